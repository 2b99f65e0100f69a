"""`make demo`: Airwarden from nothing to a refused read, on real servers, in about a minute.

Run as `python -m demo` with `tools` and `tests` on PYTHONPATH. Every line after a `$` is run as it is shown.
"""
