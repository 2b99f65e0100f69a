"""The policy text: exactly what was asked for, deterministic, read back, and hostile paths refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airwarden.domain.owner import Owner
from airwarden.domain.resources import DynamicCredentials, Readable, StaticSecret
from airwarden.providers.vault import policy
from airwarden.providers.vault.policy import PathRule
from airwarden.providers.vault.store import key_grammar

OWNER = Owner("c1", "team", "billing", "vault")
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~@:=,-"
segments = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda each: each not in (".", ".."))
paths = st.lists(segments, min_size=1, max_size=5).map("/".join)
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
owners = st.builds(Owner, names, names, st.lists(names, min_size=1, max_size=3).map(".".join), names)
readables: st.SearchStrategy[Readable] = st.one_of(
    st.builds(StaticSecret, paths),
    st.builds(DynamicCredentials, paths, segments, st.sampled_from(("Dynamic", "Static"))),
)


def text_of(*readable: Readable, version: int = 2) -> str:
    return policy.render(OWNER, policy.rules_for(readable, mount="airflow", version=version))


def test_a_binding_of_one_key_and_one_dynamic_role_is_rendered_as_documented() -> None:
    assert text_of(StaticSecret("team/db"), DynamicCredentials("database", "team.ro", "Dynamic")) == (
        "# airwarden.dev/owner cluster=c1 namespace=team binding=billing backend=vault\n"
        "# Written by Airwarden. A change made here is undone: change the binding instead.\n"
        'path "airflow/data/team/db" {\n  capabilities = ["read"]\n}\n'
        'path "auth/token/lookup-self" {\n  capabilities = ["read"]\n}\n'
        'path "auth/token/renew-self" {\n  capabilities = ["update"]\n}\n'
        'path "auth/token/revoke-self" {\n  capabilities = ["update"]\n}\n'
        'path "database/creds/team.ro" {\n  capabilities = ["read"]\n}\n'
        'path "sys/leases/renew" {\n  capabilities = ["update"]\n'
        '  allowed_parameters = {\n    "lease_id" = ["database/creds/team.ro/*"]\n    "increment" = []\n  }\n}\n'
        'path "sys/leases/revoke" {\n  capabilities = ["update"]\n'
        '  allowed_parameters = {\n    "lease_id" = ["database/creds/team.ro/*"]\n    "sync" = []\n  }\n}\n'
    )


def test_version_one_has_no_data_segment_and_static_roles_have_no_leases() -> None:
    text = text_of(StaticSecret("team/db"), DynamicCredentials("database", "team.ro", "Static"), version=1)
    assert 'path "airflow/team/db"' in text
    assert 'path "database/static-creds/team.ro"' in text
    assert "leases" not in text
    assert "*" not in text


@given(owners, st.frozensets(readables, max_size=8), st.sampled_from((1, 2)))
def test_every_text_reads_back_as_what_was_asked_for(owner: Owner, readable: frozenset[Readable], version: int) -> None:
    rules = policy.rules_for(readable, mount="airflow", version=version)
    text = policy.render(owner, rules)
    assert policy.parse(text) == policy.PolicyDocument(owner, rules)
    assert policy.owner_of(text) == owner
    assert policy.render(owner, reversed(rules)) == text
    for rule in rules:
        assert rule.capability == "read" or rule.path.startswith(("auth/token/", "sys/leases/"))


@given(st.text(max_size=40))
@example("a*")
@example("a/+/b")
@example("+")
@example('a" { capabilities = ["read"] }\npath "*')
@example("a\\")
@example("${x}")
@example("{{identity.entity.id}}")
@example("a/../b")
@example("a/./b")
@example("..")
@example("a//b")
@example("/a")
@example("a/")
@example("a%2e")
@example("a?b")
@example("a#b")
@example("a b")
@example("a\n")
@example("a\r\n")
@example("é")
@example("a\x00")
@example("")
def test_a_path_is_quoted_only_if_every_reader_takes_it_literally(text: str) -> None:
    plain = bool(text) and all(
        each and each not in (".", "..") and set(each) <= set(CHARACTERS) for each in text.split("/")
    )
    if plain:
        assert policy.quote(text) == f'"{text}"'
    else:
        with pytest.raises(ValueError, match="cannot be a path"):
            policy.quote(text)


@given(st.text(st.sampled_from('ab*+."\\{}$#%?/ \n\t\x00é'), min_size=1, max_size=12))
def test_a_hostile_key_engine_or_role_is_never_rendered(text: str) -> None:
    for item in (StaticSecret(text), DynamicCredentials(text, "r", "Dynamic"), DynamicCredentials("e", text, "Static")):
        try:
            rendered = text_of(item)
        except ValueError:
            continue
        assert policy.parse(rendered) is not None
        assert not set(text) & set('*+"\\{}$#%? \n\t\x00é')
        assert ".." not in text.split("/")


def test_a_role_with_a_slash_is_refused() -> None:
    with pytest.raises(ValueError, match="slash"):
        text_of(DynamicCredentials("database", "a/b", "Dynamic"))


@pytest.mark.parametrize(
    "rule",
    [
        PathRule("sys/mounts", "update"),
        PathRule("airflow/data/x", "delete"),
        PathRule("airflow/data/x", "sudo"),
        PathRule("airflow/data/x", "read", ("database/creds/x",)),
        PathRule("sys/leases/revoke", "update"),
        PathRule("auth/token/create", "update"),
        PathRule("auth/token/renew-self", "update", ("database/creds/x",)),
    ],
)
def test_no_right_but_those_of_a_reader_can_be_rendered(rule: PathRule) -> None:
    with pytest.raises(ValueError, match="never gives"):
        policy.render(OWNER, (rule,))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text + 'path "*" {\n  capabilities = ["read"]\n}\n',
        lambda text: text + 'path "sys/*" {\n  capabilities = ["sudo"]\n}\n',
        lambda text: text.replace('["read"]', '["read", "list"]', 1),
        lambda text: text.replace('["read"]', '["list"]', 1),
        lambda text: text.replace("team/db", "team/*"),
        lambda text: text.replace("team/db", "team/\\u0064b"),
        lambda text: text.replace("# Written", 'path "*" { capabilities = ["read"] }\n# Written'),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.split("\n", 1)[1],
        lambda text: text.replace("  capabilities", "\tcapabilities", 1),
        lambda text: text.replace("lookup-self", "zookup-self"),
        lambda text: text + 'path "auth/token/revoke-self" {\n  capabilities = ["update"]\n}\n',
        lambda _: "",
    ],
)
def test_a_text_that_was_changed_is_not_understood(change: object) -> None:
    text = text_of(StaticSecret("team/db"))
    assert policy.parse(text) is not None
    assert callable(change)
    assert policy.parse(change(text)) is None


@given(st.text(max_size=200))
def test_any_other_text_is_not_understood(text: str) -> None:
    assert policy.parse(text) is None


def test_the_mark_counts_on_the_first_line_only() -> None:
    text = text_of(StaticSecret("team/db"))
    assert policy.owner_of("\n" + text) is None
    assert policy.owner_of("# by hand\n" + text) is None
    assert policy.owner_of(f'path "x" {{}} # {OWNER.mark}') is None
    assert policy.owner_of(f"# {OWNER.mark} more") is None
    assert policy.owner_of(f"#  {OWNER.mark}") is None


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("team/*", "not a key"),
        ("team/+/x", "not a key"),
        ("team/../x", "segment"),
        ("team//x", "not a key"),
        ("/team", "not a key"),
        ("team/", "not a key"),
        ("data/team/x", "begins with data/"),
        ("metadata/team/x", "begins with metadata/"),
        ("team/x\n", "not a key"),
        ("team/é", "not a key"),
        ("a" * 513, "not a key"),
        ("", "not a key"),
    ],
)
def test_the_grammar_says_what_is_wrong_with_a_key(key: str, word: str) -> None:
    assert word in (key_grammar(2).complaint(key) or "")


def test_the_grammar_takes_keys_of_vault() -> None:
    assert key_grammar(2).complaint("team/connections/a.b_c~d@e:f=g,h-i") is None
    assert key_grammar(2).complaint("a" * 512) is None
    assert key_grammar(1).complaint("data/x") is None


@given(paths)
def test_every_key_of_the_grammar_can_be_rendered(path: str) -> None:
    if key_grammar(1).complaint(path) is None:
        assert f'"airflow/{path}"' in text_of(StaticSecret(path), version=1)


@pytest.mark.parametrize("key", ['a" {\n}\npath "*', 'x"', 'a\nb"\n# c'])
def test_a_text_that_reads_back_otherwise_is_not_handed_out(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second lock: were the quoting careless one day, the comparison would still refuse."""
    monkeypatch.setattr(policy, "quote", lambda path: f'"{path}"')
    with pytest.raises(ValueError, match="does not read back"):
        text_of(StaticSecret(key))
