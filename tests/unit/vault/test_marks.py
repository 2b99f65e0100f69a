"""The lines before a policy's rights: whose it is, what was adopted, what was let go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Adoption, Claim, StaticSecret
from airwarden.providers.vault import marks, policy
from airwarden.providers.vault.store import POLICY, ROLE

OWNER = Owner("c1", "team", "billing", "vault")
OTHERS = (
    Owner("c2", "team", "billing", "vault"),
    Owner("c1", "other", "billing", "vault"),
    Owner("c1", "team", "orders", "vault"),
    Owner("c1", "team", "billing", "other"),
)
RULES = policy.rules_for([StaticSecret("team/db")], mount="airflow", version=2)
TEXT = policy.render(OWNER, RULES)
RIGHTS = TEXT.split("\n", 2)[2]
NOTED = Adoption(marks.scope_of(["airflow/data/team/db"]), frozenset({POLICY, ROLE}))
comments = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), max_size=4)


def test_the_first_line_alone_says_whose_it_is() -> None:
    assert marks.claim_of(OWNER, TEXT) is Claim.OURS
    assert [marks.claim_of(each, TEXT) for each in OTHERS] == [Claim.FOREIGN] * len(OTHERS)
    assert marks.claim_of(OWNER, RIGHTS) is Claim.UNMARKED
    assert marks.claim_of(OWNER, f"{RIGHTS}{TEXT}") is Claim.UNMARKED


def test_what_was_let_go_is_nobodys_and_keeps_its_rights() -> None:
    text = marks.released(OWNER, marks.adopting(TEXT, NOTED))
    assert text.endswith(f"\n{RIGHTS}")
    assert "airwarden.dev/adopted" not in text
    assert policy.owner_of(text) is None
    assert marks.claim_of(OWNER, text) is Claim.RELEASED
    assert [marks.claim_of(each, text) for each in OTHERS] == [Claim.UNMARKED] * len(OTHERS)
    assert marks.as_marked(OWNER, text) == TEXT


def test_the_note_of_an_adoption_is_read_back_and_taken_off() -> None:
    text = marks.adopting(TEXT, NOTED)
    assert marks.read_adoption(text) == (TEXT, NOTED)
    assert marks.claim_of(OWNER, text) is Claim.OURS
    assert marks.read_adoption(TEXT) == (TEXT, None)


@pytest.mark.parametrize(
    "line",
    [
        "# airwarden.dev/adopted scope=short kinds=VaultPolicy",
        "# airwarden.dev/adopted scope=" + "0" * 32,
        "# airwarden.dev/adopted scope=" + "0" * 32 + " kinds=",
        "# airwarden.dev/adopted scope=" + "0" * 32 + " kinds=VaultPolicy and more",
    ],
)
def test_a_broken_note_is_no_note_and_counts_as_a_change(line: str) -> None:
    mark, rest = TEXT.split("\n", 1)
    text = f"{mark}\n{line}\n{rest}"
    assert marks.read_adoption(text) == (text, None)


@given(comments)
def test_comments_before_the_rights_make_no_difference(lines: list[str]) -> None:
    text = "".join(f"# {line}\n" for line in lines) + RIGHTS
    assert marks.as_marked(OWNER, text) == TEXT
    assert marks.as_marked(OWNER, text.rstrip("\n")) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        RIGHTS + 'path "airflow/*" {\n  capabilities = ["read"]\n}\n',
        RIGHTS + "# a comment behind",
        'path "airflow/*" { capabilities = ["read"] }\n' + RIGHTS,
        '# a\rpath "airflow/*" { capabilities = ["read"] }\n' + RIGHTS,
        '/* a */ path "airflow/*" { capabilities = ["read"] }\n' + RIGHTS,
        " " + RIGHTS,
        RIGHTS.replace('"read"', '"read", "list"', 1),
        "",
    ],
    ids=["a right more", "a comment behind", "a right before", "return", "block comment", "blank", "list", "nothing"],
)
def test_any_other_difference_counts(text: str) -> None:
    assert marks.as_marked(OWNER, text) != TEXT


def test_the_scope_is_of_the_secrets_alone_in_any_order() -> None:
    paths = policy.secret_paths(policy.rules_for([StaticSecret("a"), StaticSecret("b")], mount="m", version=1))
    assert paths == ("m/a", "m/b")
    assert marks.scope_of(paths) == marks.scope_of(reversed(paths))
    assert marks.scope_of(paths) != marks.scope_of(paths[:1])
