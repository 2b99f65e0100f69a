"""Bindings, rules and backends for the tests of the pure core, each made with as few words as possible.

Used by the tests beside this module and by those of the reconciler. Hypothesis strategies stand at the end:
they draw from few names, so that prefixes, near misses and overlaps come up all the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from airwarden.api.backend import AllowRule
from airwarden.api.binding import AccountMode, AirflowSecretBinding, SecretItem, Session
from airwarden.api.environment import EnvironmentSpec
from airwarden.domain.environment.claims import Claimant, decide
from airwarden.domain.environment.mapping import EnvironmentView
from airwarden.domain.guardrails import BackendView, Request
from airwarden.domain.sessions import PER_BINDING
from airwarden.providers.vault.store import key_grammar

GRAMMAR = key_grammar(2)
NAMESPACE = "team"
NOW = datetime(2031, 5, 1, 10, tzinfo=UTC)


def item(key: str | None = "team/db", name: str = "db", backend: str = "vault", **more: Any) -> SecretItem:
    """Return one declared secret."""
    given = {} if key is None else {"key": key}
    return SecretItem.model_validate(
        {"type": "Connection", "id": name, "backendRef": {"name": backend}, **given, **more}
    )


def dynamic_item(role: str, engine: str = "database", name: str = "db") -> SecretItem:
    """Return one declared secret that the store makes itself."""
    return item(None, name, dynamic={"engine": engine, "role": role})


def binding(
    *items: SecretItem,
    account: str = "billing",
    session: Mapping[str, str] | None = None,
    not_after: str | None = None,
    suspend: bool = False,
    namespace: str = NAMESPACE,
    status: Mapping[str, Any] | None = None,
    dags: Mapping[str, tuple[str, ...]] | None = None,
    **metadata: Any,
) -> AirflowSecretBinding:
    """Return a binding of the given secrets."""
    return AirflowSecretBinding.model_validate(
        {
            "metadata": {"name": "billing", "namespace": namespace, "uid": "u-1", "generation": 1, **metadata},
            "spec": {
                "serviceAccount": {"name": account},
                "secrets": [each.model_dump(by_alias=True, exclude_none=True) for each in items or (item(),)],
                "access": {"session": dict(session or {}), "notAfter": not_after},
                "suspend": suspend,
                **mapped_spec(dags),
            },
            "status": status,
        }
    )


def mapped_spec(dags: Mapping[str, tuple[str, ...]] | None) -> dict[str, Any]:
    """Return the part of a spec that claims DAGs, by bundle, of the environment airflow/main."""
    if dags is None:
        return {}
    claims = [{"bundle": bundle, "ids": list(ids)} for bundle, ids in dags.items()]
    return {"environmentRef": {"name": "main", "namespace": "airflow"}, "dags": claims}


def environment_spec(*common: SecretItem, **more: Any) -> EnvironmentSpec:
    """Return an environment that runs tasks in the namespace team and gives it the bundle git."""
    return EnvironmentSpec.model_validate(
        {
            "workerNamespaces": [NAMESPACE],
            "bundles": [{"name": "git", "namespaces": [NAMESPACE]}],
            "components": {"scheduler": {"serviceAccountName": "airflow-scheduler"}},
            "unbound": {"namespace": NAMESPACE, "serviceAccountName": "airflow-unbound"},
            "commonSecrets": [each.model_dump(by_alias=True, exclude_none=True) for each in common],
            **more,
        }
    )


def environment(
    asking: AirflowSecretBinding, *others: AirflowSecretBinding, spec: EnvironmentSpec | None = None
) -> EnvironmentView:
    """Return the environment airflow/main as one binding sees it, beside others that ask of it."""
    declared = spec or environment_spec()
    verdicts = decide(declared, [Claimant.of(each) for each in (asking, *others)])
    key = (asking.metadata.namespace, asking.metadata.name)
    return EnvironmentView("airflow", "main", declared, {}, verdicts[key])


def rule(name: str = "own", *, names: tuple[str, ...] = (NAMESPACE,), **more: Any) -> AllowRule:
    """Return an allow rule: the namespace's own tree, unless something else is given."""
    namespaces = more.pop("namespaces", {"names": list(names)})
    return AllowRule.model_validate({"name": name, "namespaces": namespaces, "keyPrefixes": ["{namespace}/"], **more})


def view(*rules: AllowRule, name: str = "vault", enforces: bool = True, deleting: bool = False) -> BackendView:
    """Return a backend with these rules and no other."""
    return BackendView(name, rules, GRAMMAR, PER_BINDING if enforces else None, deleting)


def request(namespace: str = NAMESPACE, labels: Mapping[str, str] | None = None, **session: str) -> Request:
    """Return who asks."""
    return Request(namespace, labels or {}, AccountMode.MANAGED, Session.model_validate(session), now=NOW)


_ENDS = (
    "2031-05-01T09:59:59Z",
    "2031-05-01T10:00:00Z",
    "2031-05-01T10:00:20Z",
    "2031-05-01T10:40:00Z",
    "2031-05-03T00:00:00Z",
)
_NAMES = ("team", "team-b", "tea", "shared", "prod")
namespaces = st.sampled_from(_NAMES)
_segments = st.sampled_from((*_NAMES, "db", "connections", "x"))
keys = st.lists(_segments, min_size=1, max_size=4).map("/".join)
roles = st.lists(st.sampled_from((*_NAMES, "ro")), min_size=1, max_size=3).map(".".join)
durations = st.sampled_from(("1s", "59s", "15m", "30m", "1h", "1h1s", "24h"))
labels = st.dictionaries(st.sampled_from(("tenant", "env")), st.sampled_from(("a", "b")), max_size=2)
_key_prefixes = st.one_of(st.just("{namespace}/"), st.lists(_segments, min_size=1, max_size=2).map("/".join)).map(
    lambda text: text if text.endswith("/") else f"{text}/"
)
_role_prefixes = st.one_of(
    st.just("{namespace}."),
    st.sampled_from(_NAMES).map(lambda text: f"{text}."),
    st.sampled_from(_NAMES).map(lambda text: f"{text}.{{namespace}}."),
)


@st.composite
def rules(draw: st.DrawFn) -> AllowRule:
    """Draw one allow rule that the API server would accept, but for its name."""
    spoken: dict[str, Any] = {"names": draw(st.lists(namespaces, max_size=2, unique=True))}
    selected = draw(labels)
    if selected or not spoken["names"]:
        spoken["selector"] = {"matchLabels": selected or {"tenant": "a"}}
    dynamic = draw(st.lists(_role_prefixes, max_size=2, unique=True))
    return AllowRule.model_validate(
        {
            "name": "r",
            "namespaces": spoken,
            "keyPrefixes": draw(st.lists(_key_prefixes, max_size=2, unique=True)),
            "dynamic": [{"engine": draw(st.sampled_from(("database", "ssh"))), "rolePrefixes": dynamic}]
            if dynamic
            else [],
            "session": {"maxTTL": draw(durations), "required": draw(st.booleans())},
            "maxLifetime": draw(st.one_of(st.none(), st.none(), durations)),
        }
    )


@st.composite
def backends(draw: st.DrawFn, name: str = "vault") -> BackendView:
    """Draw a backend with some rules, named by their place."""
    found = draw(st.lists(rules(), max_size=4))
    named = tuple(each.model_copy(update={"name": f"r{number}"}) for number, each in enumerate(found))
    return view(*named, name=name, enforces=draw(st.booleans()))


@st.composite
def items(draw: st.DrawFn, number: int = 0, backend: str = "vault") -> SecretItem:
    """Draw one declared secret."""
    if draw(st.booleans()):
        return item(draw(keys), f"id{number}", backend)
    engine, role = draw(st.sampled_from(("database", "ssh"))), draw(roles)
    return item(None, f"id{number}", backend, dynamic={"engine": engine, "role": role})


@st.composite
def sessions(draw: st.DrawFn) -> dict[str, str]:
    """Draw a session, in the order that the API demands."""
    ordered = ("1s", "59s", "15m", "30m", "1h", "1h1s", "24h")
    longest = draw(st.one_of(st.none(), st.sampled_from(ordered)))
    allowed = ordered if longest is None else ordered[: ordered.index(longest) + 1]
    first = draw(st.one_of(st.none(), st.sampled_from(allowed)))
    return {key: text for key, text in (("ttl", first), ("maxTTL", longest)) if text is not None}


@st.composite
def bindings(draw: st.DrawFn, backends_in_use: tuple[str, ...] = ("vault", "other")) -> AirflowSecretBinding:
    """Draw a binding of some secrets in some stores."""
    count = draw(st.integers(min_value=1, max_value=5))
    declared = [draw(items(number, draw(st.sampled_from(backends_in_use)))) for number in range(count)]
    not_after = draw(st.one_of(st.none(), st.none(), st.sampled_from(_ENDS)))
    return binding(*declared, session=draw(sessions()), namespace=draw(namespaces), not_after=not_after)
