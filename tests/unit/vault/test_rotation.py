"""What a Vault says of a secret that is rotated: read into facts, and never into what it did not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.rotation import Generate, Part
from airwarden.domain.errors import NotRotatable, NoVersions, PasswordPolicyMissing, StoreFailed, VersionMoved
from airwarden.domain.rotation.facts import RunMark, SecretState
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import Connection, TokenFile
from airwarden.providers.vault.rotation import reading
from airwarden.providers.vault.rotation.rotator import Place, VaultRotator
from airwarden.providers.vault.transport import Call, Transport
from plane.binaries import REPOSITORY

MADE = "2031-05-01T10:00:00.123456789Z"
METADATA: Mapping[str, Any] = {
    "current_version": 3,
    "max_versions": 0,
    "custom_metadata": None,
    "versions": {"3": {"created_time": MADE, "deletion_time": "", "destroyed": False}},
}


def answer(data: object, *, absent: bool = False) -> Answer:
    return Answer({"data": data}, absent=absent)  # type: ignore[dict-item] # also what Vault never says


def test_what_the_metadata_says_is_read() -> None:
    found = reading.versions(answer({**METADATA, "max_versions": 5}), "x")
    assert found is not None
    assert (found.current, found.kept, found.mark) == (3, 5, None)
    assert found.made is not None
    assert found.made.isoformat() == "2031-05-01T10:00:00.123456+00:00"
    assert reading.versions(Answer(absent=True), "x") is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        {"current_version": "3"},
        {"current_version": -1},
        {"current_version": True},
        {"current_version": 3, "versions": {}},
        {**METADATA, "versions": None},
        {**METADATA, "versions": {"3": {"created_time": "yesterday"}}},
        {**METADATA, "versions": {"3": {"created_time": "2031-05-01T10:00:00"}}},
        {**METADATA, "max_versions": "five"},
    ],
)
def test_metadata_that_makes_no_sense_is_a_fault_and_never_an_absent_secret(data: object) -> None:
    with pytest.raises(StoreFailed, match="is it a Vault"):
        reading.versions(answer(data), "x")


@given(st.dictionaries(st.sampled_from((reading.OWNER, reading.RUN, reading.ROTATED, "team")), st.text(max_size=5)))
def test_a_mark_is_what_names_an_owner(metadata: dict[str, str]) -> None:
    found = reading.versions(answer({**METADATA, "custom_metadata": metadata}), "x")
    assert found is not None
    if metadata.get(reading.OWNER):
        owner, run, rotated = (metadata.get(each, "") for each in (reading.OWNER, reading.RUN, reading.ROTATED))
        assert found.mark == RunMark(owner, run, rotated)
        own = {key: text for key, text in metadata.items() if key != "team"}
        assert reading.mark_fields(found.mark).items() >= own.items()
    else:
        assert found.mark is None


def test_how_a_version_is_gone_is_told_apart() -> None:
    assert reading.state(answer({"subkeys": {}})) is SecretState.PRESENT
    assert reading.state(Answer(absent=True)) is SecretState.ABSENT
    gone = {"version": 2, "deletion_time": MADE, "destroyed": False}
    assert reading.state(answer({"metadata": gone}, absent=True)) is SecretState.DELETED
    assert reading.state(answer({"metadata": {**gone, "destroyed": True}}, absent=True)) is SecretState.DESTROYED


class Scripted(VaultClient):
    """A client that answers what the test says, and remembers what it was asked."""

    def __init__(self, **answers: Answer | Exception) -> None:
        self.connection = Connection("vault", "http://vault:8200", "", 5, 1, 1, None, "", TokenFile(REPOSITORY))
        self.answers = answers
        self.asked: list[Call] = []

    async def request(self, call: Call, *, identified: bool = True, kind: str = "request") -> Answer:
        assert identified, "nothing of a secret is asked of a Vault that may be another"
        self.asked.append(call)
        name = "generate" if call.path.startswith("sys/") else f"{call.method}_{call.path.split('/')[1]}".lower()
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


PRESENT = answer({"subkeys": {"password": None}})
WRITTEN = answer({"version": 4})


async def test_only_the_field_travels_with_the_version_that_it_replaces() -> None:
    client = Scripted(get_subkeys=PRESENT, patch_data=WRITTEN)
    rotator = VaultRotator(client, Place("vault", "airflow", 2))
    assert await rotator.write("team/db", "password", Part.VALUE, Generate(), 3) == 4
    looked, wrote = client.asked
    assert looked.what == "GET airflow/subkeys/team/db?version=3"
    assert wrote.what == "PATCH airflow/data/team/db"
    assert wrote.body is not None
    assert wrote.body["options"] == {"cas": 3}
    ((name, value),) = wrote.body["data"].items()  # type: ignore[attr-defined] # the one object of the body
    assert name == "password"
    assert wrote.secrets == (value,)
    for shown in (repr(wrote), repr(client.asked), repr(vars(rotator))):
        assert value not in shown


@pytest.mark.parametrize(
    ("answers", "wanted", "kind"),
    [
        ({"get_subkeys": answer({})}, Generate(), StoreFailed),
        ({"get_subkeys": answer({"subkeys": None})}, Generate(), StoreFailed),
        ({"patch_data": answer({"version": None})}, Generate(), StoreFailed),
        ({"patch_data": answer({"version": 0})}, Generate(), StoreFailed),
        ({"patch_data": Answer(absent=True)}, Generate(), VersionMoved),
        ({"generate": answer({"password": ""})}, Generate(password_policy="words"), StoreFailed),
        ({"generate": answer({"password": ["x"]})}, Generate(password_policy="words"), StoreFailed),
        ({"generate": Answer(absent=True)}, Generate(password_policy="words"), PasswordPolicyMissing),
    ],
)
async def test_an_answer_that_makes_no_sense_is_no_written_value(
    answers: dict[str, Answer], wanted: Generate, kind: type[Exception]
) -> None:
    client = Scripted(**{"get_subkeys": PRESENT, "patch_data": WRITTEN, **answers})
    with pytest.raises(kind):
        await VaultRotator(client, Place("vault", "airflow", 2)).write("team/db", "password", Part.VALUE, wanted, 3)


async def test_a_patch_that_failed_without_a_word_counts_as_deleted_only_when_vault_says_so() -> None:
    mark, failure = RunMark("c1/team/db", "run-1", MADE), StoreFailed("404 without a word")
    answers: dict[str, Answer | Exception] = {"get_subkeys": PRESENT, "patch_data": failure, "patch_metadata": failure}
    for metadata, kind in ((answer(dict(METADATA)), StoreFailed), (Answer(absent=True), VersionMoved)):
        rotator = VaultRotator(Scripted(**answers, get_metadata=metadata), Place("vault", "airflow", 2))
        for work in (
            rotator.mark("team/db", mark, None),
            rotator.write("team/db", "password", Part.VALUE, Generate(), 3),
        ):
            with pytest.raises(kind):
                await work


async def test_a_field_that_cannot_be_rotated_stops_before_a_value_is_made() -> None:
    client = Scripted(get_subkeys=answer({"subkeys": {"password": {"nested": None}}}))
    rotator = VaultRotator(client, Place("vault", "airflow", 2))
    for field in ("password", "other"):
        with pytest.raises(NotRotatable):
            await rotator.write("team/db", field, Part.VALUE, Generate(), 3)
    assert {each.method for each in client.asked} == {"GET"}


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../b", "a/./b", "a?version=1", "a#b", "a b", "a%2fb", "data/a"]
)
async def test_what_is_no_key_stops_before_the_first_request(key: str) -> None:
    client = Scripted()
    with pytest.raises(NotRotatable):
        await VaultRotator(client, Place("vault", "airflow", 2)).look(key)
    assert client.asked == []


async def test_an_engine_of_version_1_is_asked_nothing() -> None:
    client = Scripted()
    rotator = VaultRotator(client, Place("vault", "airflow", 1))
    mark = RunMark("c1/team/db", "run-1", MADE)
    for work in (
        rotator.look("team/db"),
        rotator.write("team/db", "password", Part.VALUE, Generate(), 3),
        rotator.mark("team/db", mark, None),
    ):
        with pytest.raises(NoVersions, match="version 2"):
            await work
    assert client.asked == []


def test_what_a_call_hides_is_hidden_from_the_words_of_the_other_side() -> None:
    connection = Connection("vault", "http://vault:8200", "", 5, 1, 1, None, "", TokenFile(REPOSITORY))
    asked = Transport(connection).asked(Call("PATCH", "x", {}, secrets=("value",)), "token")
    assert set(asked.hidden) == {"value", "token"}
    assert "value" not in repr(asked)
