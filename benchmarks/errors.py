"""The one error of the benchmarks, for what a person must be told.

Raised by every module here; `__main__` prints the message and exits 1.
"""


class BenchmarkError(Exception):
    """Something could not be measured; the message says what and why."""
