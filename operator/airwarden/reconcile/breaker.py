"""Remembers that a store is down, so that its bindings fail at once instead of waiting one by one.

One probe, the backend's own check, finds out when it is back (`airwarden.reconcile.backends`).
"""

from airwarden.domain.errors import AirwardenError, OfAPart, Sealed, Throttled, Unauthorized, Unreachable

_THRESHOLD = 3
"""Failures in a row after which the store counts as down."""


class Breaker:
    """Closed while the store answers; open from the third failure in a row to the next answer."""

    def __init__(self) -> None:
        self._failures = 0
        self._error: AirwardenError | None = None

    @property
    def open(self) -> bool:
        """True while the store counts as down."""
        return self._failures >= _THRESHOLD

    def guard(self) -> None:
        """Raise the last failure while the store counts as down."""
        if self.open and self._error is not None:
            # A new one each time: one exception raised again and again would pile up tracebacks.
            raise type(self._error)(self._error.message, retry_after=self._error.retry_after)

    def succeeded(self) -> bool:
        """Note an answer; True when that ended an outage."""
        was_open = self.open
        self._failures = 0
        self._error = None
        return was_open

    def failed(self, error: AirwardenError) -> None:
        """Note a failure. Only those that say something of the store as a whole count."""
        if isinstance(error, OfAPart):
            return  # its other parts answer, and the provider asks this one no more until it may
        if isinstance(error, Unreachable | Sealed | Throttled | Unauthorized):
            self._failures += 1
            self._error = error
