"""Fixtures of the long fault runs, shared with the integration tests."""

from __future__ import annotations

from integration.faults.conftest import own_plane, placed, store

__all__ = ["own_plane", "placed", "store"]
