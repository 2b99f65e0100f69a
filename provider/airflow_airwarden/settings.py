"""The backend's kwargs, checked when Airflow makes the backend.

Airflow makes it while `airflow.configuration` is imported, in every process, and a constructor that raises ends
that process. So all that can be wrong with kwargs is said at once, with names, and nothing else is checked here:
whether map, token and store are there is looked at with the first lookup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

DEFAULT_MAP = "/etc/airwarden/binding.json"
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class BackendKwargsInvalid(ValueError):
    """The kwargs in Airflow's configuration are wrong; the text names each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the platform team sets for a whole Airflow; what concerns one binding stands in its map."""

    map_path: str = DEFAULT_MAP
    """Where the binding's map is mounted."""
    lookup_seconds: float = 20.0
    """Longest time that one lookup may take with all its retries."""
    fresh_denial_seconds: float = 2.0
    """How long a denial right after a login is asked again, since a grant may still be on its way."""
    allow_updates: bool = False
    """Permits secrets that are read by a call which changes something in the store, such as a new certificate."""
    development: bool = False
    """Permits stores of the types File and Environment, which are for a developer's machine."""


def settings_of(kwargs: Mapping[str, object]) -> Settings:
    """Return the checked kwargs; BackendKwargsInvalid names all that is wrong.

    Values may also be texts: Airflow passes on `AIRFLOW__WORKERS__SECRETS_BACKEND_KWARG__<KEY>` as it is.
    """
    wrong = [f"{name} is not known" for name in sorted(set(kwargs) - {each.name for each in fields(Settings)})]
    path = kwargs.get("map_path", DEFAULT_MAP)
    if not isinstance(path, str) or not path.startswith("/"):
        wrong.append("map_path must be an absolute path")
        path = DEFAULT_MAP
    settings = Settings(
        path,
        _seconds(kwargs, "lookup_seconds", 20.0, 120.0, wrong),
        _seconds(kwargs, "fresh_denial_seconds", 2.0, 30.0, wrong),
        _switch(kwargs, "allow_updates", wrong),
        _switch(kwargs, "development", wrong),
    )
    if wrong:
        known = ", ".join(each.name for each in fields(Settings))
        raise BackendKwargsInvalid(
            f"AirwardenBackend's kwargs are wrong: {'; '.join(wrong)}. Known are {known}. Correct "
            "[workers] secrets_backend_kwargs (or [secrets] backend_kwargs, where that is used): until then no Airflow "
            "process with this configuration starts"
        )
    return settings


def _seconds(kwargs: Mapping[str, object], name: str, default: float, most: float, wrong: list[str]) -> float:
    given = kwargs.get(name, default)
    if isinstance(given, (int, float, str)) and not isinstance(given, bool):
        try:
            seconds = float(given)
        except ValueError:
            seconds = -1.0
        if 0 <= seconds <= most:
            return seconds
    wrong.append(f"{name} must be a number of seconds from 0 to {most:g}")
    return default


def _switch(kwargs: Mapping[str, object], name: str, wrong: list[str]) -> bool:
    given = kwargs.get(name, False)
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.lower() in _TRUE | _FALSE:
        return given.lower() in _TRUE
    wrong.append(f"{name} must be true or false")
    return False
