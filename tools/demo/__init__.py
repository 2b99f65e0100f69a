"""`make demo`: Airwarden from nothing to a refused read and a DAG under its own account, in about two minutes.

Run as `python -m demo` with `tools` and `tests` on PYTHONPATH. All servers are real, and every line after a `$` is run
as it is shown.
"""
