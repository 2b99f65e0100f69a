"""Errors of the local control plane, apart from all others so that callers can tell them from a failing test.

Raised by every module of this package; caught by `python -m plane`, which prints the message and exits 1.
"""

from __future__ import annotations


class PlaneError(Exception):
    """The control plane cannot do what was asked; the message says what to do about it."""


class PlaneHTTPError(PlaneError):
    """A server of the plane answered with an error status. Request bodies are never part of the message."""

    def __init__(self, method: str, url: str, status: int, text: str) -> None:
        super().__init__(f"{method} {url}: HTTP {status}: {text[:2000].strip()}")
        self.status = status
        self.text = text
