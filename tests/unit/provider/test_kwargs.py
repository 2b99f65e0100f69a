"""The backend's kwargs: what is wrong is said at once and with names, since Airflow does not start with it."""

from __future__ import annotations

import pytest

from airflow_airwarden.settings import DEFAULT_MAP, BackendKwargsInvalid, Settings, settings_of


def test_no_kwargs_are_the_defaults() -> None:
    assert settings_of({}) == Settings(DEFAULT_MAP, 20.0, 2.0, allow_updates=False, development=False)


def test_texts_are_taken_as_airflows_variables_give_them() -> None:
    given = {"lookup_seconds": "7.5", "fresh_denial_seconds": "0", "allow_updates": "True", "development": "off"}
    assert settings_of(given) == Settings(DEFAULT_MAP, 7.5, 0.0, allow_updates=True, development=False)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"url": "https://vault"}, "url is not known"),
        ({"map_path": "binding.json"}, "map_path must be an absolute path"),
        ({"map_path": None}, "map_path must be an absolute path"),
        ({"lookup_seconds": "soon"}, "lookup_seconds must be a number of seconds from 0 to 120"),
        ({"lookup_seconds": 121}, "lookup_seconds must be a number of seconds from 0 to 120"),
        ({"lookup_seconds": "nan"}, "lookup_seconds must be"),
        ({"fresh_denial_seconds": True}, "fresh_denial_seconds must be a number of seconds from 0 to 30"),
        ({"allow_updates": "perhaps"}, "allow_updates must be true or false"),
        ({"development": 1}, "development must be true or false"),
    ],
)
def test_a_wrong_kwarg_is_named_with_what_is_known(kwargs: dict[str, object], said: str) -> None:
    with pytest.raises(BackendKwargsInvalid) as refused:
        settings_of(kwargs)
    assert said in str(refused.value)
    assert "Known are map_path, lookup_seconds" in str(refused.value)
    assert "[workers] secrets_backend_kwargs" in str(refused.value)


def test_all_that_is_wrong_is_said_together() -> None:
    with pytest.raises(BackendKwargsInvalid, match="url is not known; map_path must be"):
        settings_of({"url": "x", "map_path": ""})
