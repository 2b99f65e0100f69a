"""`airwarden access`: who may read what, from the live bindings and backends, decided by the operator's own code."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Final

import typer

from airwarden.api.binding import AirflowSecretBinding, DynamicKind, SecretItem
from airwarden.api.conditions import SecretState, TargetState
from airwarden.api.fields import duration_text
from airwarden.api.metadata import Metadata
from airwarden.commands.caller import (
    FINE,
    FOUND,
    Caller,
    Cluster,
    Context,
    Kubeconfig,
    Listing,
    OperatorNamespace,
    Ways,
    run,
)
from airwarden.commands.deciding import World, closed, opened, uid_of
from airwarden.commands.mapping import environments_of
from airwarden.commands.showing import Output, OutputOption, say, show
from airwarden.domain.desired import Decision, Held, Plan
from airwarden.domain.errors import ClusterForbidden, InvalidSettings
from airwarden.domain.guardrails import Admitted
from airwarden.providers.kubernetes.api import Absent

_COLUMNS: Final = ("account", "id", "backend", "key", "rule", "session", "state")
ANY_KEY: Final = "?"
"""Stands for keys of an earlier generation that the store may still give."""
NamespaceOption = Annotated[str | None, typer.Option("-n", "--namespace", help="Bindings of this namespace only.")]
KeyOption = Annotated[
    str | None, typer.Option("--key", help="Who can read this key? For dynamic secrets: engine/creds/role.")
]
AccountOption = Annotated[
    str | None, typer.Option("--account", help="What can this account read? NAMESPACE/NAME, or NAME with -n.")
]
BackendOption = Annotated[str | None, typer.Option("--backend", help="Secrets of this backend only.")]


@dataclass(frozen=True, slots=True)
class Line:
    """One secret that one account may read, or may still read."""

    account: str
    binding: str
    id: str
    backend: str
    key: str
    rule: str
    session: str
    """Longest login with which it is read."""
    state: str
    """granted, pending (not written yet), leaving (being taken away), unknown."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    namespace: str = ""
    key: str = ""
    account: str = ""
    backend: str = ""

    def asks_for(self, line: Line) -> bool:
        """Tell whether a line is part of the answer."""
        namespace, _, name = self.account.rpartition("/")
        account = f"{namespace or self.namespace}/{name}"
        return (
            (not self.key or line.key in (self.key, ANY_KEY))
            and (not self.account or line.account == account)
            and (not self.backend or line.backend == self.backend)
        )


def access(  # noqa: PLR0913, PLR0917 - one parameter per option
    cluster: Cluster,
    namespace: NamespaceOption = None,
    key: KeyOption = None,
    account: AccountOption = None,
    backend: BackendOption = None,
    output: OutputOption = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
) -> None:
    """Show who may read what. Give one of -n, --key and --account at least.

    The answer comes from the live bindings and backends, by the operator's own code; no store is asked, so no Vault
    token is needed. Access that is being taken away, or of which it is not known whether it still holds, is shown as
    well: state leaving or unknown. Policies that others wrote are not seen here: airwarden doctor looks for those.

    Exit status: 0 with an answer, also an empty one; 1 when something in it is unknown; 2 when nothing could be asked.
    """
    ways = Ways(cluster, kubeconfig, context, operator_namespace)
    question = Question(namespace or "", key or "", account or "", backend or "")
    run(ways, partial(answer, question=question, output=output))


async def answer(caller: Caller, *, question: Question, output: Output) -> int:
    """Collect, decide, show; return the exit status."""
    if not (question.namespace or question.key or question.account):
        raise InvalidSettings("say what you want to know: -n NAMESPACE, --key KEY or --account NAMESPACE/NAME")
    if question.account and not question.namespace and "/" not in question.account:
        raise InvalidSettings(
            f"{question.account} is in which namespace? Write NAMESPACE/{question.account}, or give -n"
        )
    namespace = question.namespace or question.account.rpartition("/")[0]
    bindings = await caller.bindings(namespace)
    world = await _world(caller, question.backend, namespace, bindings.items)
    found = [line for binding in bindings.items for line in lines(binding, world) if question.asks_for(line)]
    found.sort(key=lambda line: (line.account, line.backend, line.key, line.id))
    await closed(world.backends.values())
    _print(found, bindings, question, output)
    return FOUND if bindings.unreadable or any(line.state == "unknown" for line in found) else FINE


async def _world(caller: Caller, backend: str, namespace: str, bindings: Sequence[AirflowSecretBinding]) -> World:
    backends = await caller.backends()
    if backend and backend not in {each.metadata.name for each in backends.items} | backends.unreadable.keys():
        raise InvalidSettings(f"there is no AirflowSecretBackend {backend}: correct --backend")
    environments = await environments_of(caller, bindings)
    seen = await namespaces(caller, namespace)
    for each in sorted({key[0] for key in environments} - seen.keys()):
        seen |= await namespaces(caller, each)
    uid = await uid_of(caller.api, backends.items)
    return World(caller.ways.cluster, opened(backends, caller.ways.cluster, uid=uid), seen, environments)


async def namespaces(caller: Caller, namespace: str) -> dict[str, Metadata]:
    """Return the namespaces whose labels the caller may read; without the right, what selectors mean is unknown."""
    try:
        if not namespace:
            return await caller.namespaces()
        body = await caller.api.get(f"/api/v1/namespaces/{namespace}")
    except (ClusterForbidden, Absent):
        return {}
    return {namespace: Metadata.model_validate(body["metadata"])}


def lines(binding: AirflowSecretBinding, world: World) -> Iterator[Line]:
    """Yield what a binding's account may read, or may still read."""
    decided = world.decide(binding)
    kept = _kept(binding, world, decided)
    for item, decision in zip(world.items(binding), decided.decisions, strict=True):
        state = _state(binding, decision, kept)
        if state is None:
            continue
        admitted = decision.verdict if isinstance(decision.verdict, Admitted) else None
        yield Line(
            account=f"{binding.metadata.namespace}/{binding.spec.service_account.name}",
            binding=f"{binding.metadata.namespace}/{binding.metadata.name}",
            id=f"{decision.type}/{decision.id}",
            backend=decision.backend,
            key=key_of(item),
            rule=admitted.rule if admitted is not None else "",
            session=_session(decided, decision.backend) if admitted is not None else "",
            state=state,
        )
    for backend in sorted(name for name, settled in kept.items() if not settled):
        yield Line(
            account=f"{binding.metadata.namespace}/{binding.spec.service_account.name}",
            binding=f"{binding.metadata.namespace}/{binding.metadata.name}",
            id="",
            backend=backend,
            key=ANY_KEY,
            rule="",
            session="",
            state="unknown",
        )


def key_of(item: SecretItem) -> str:
    """Return the key; for what a secrets engine makes, the path of its credentials."""
    if item.dynamic is None:
        return item.key or ""
    place = "creds" if item.dynamic.kind is DynamicKind.DYNAMIC else "static-creds"
    return f"{item.dynamic.engine}/{place}/{item.dynamic.role}"


def _kept(binding: AirflowSecretBinding, world: World, decided: Plan) -> dict[str, bool]:
    """Return the backends in which the binding has something, and whether that is exactly what it may have now.

    Where it is not, the store may still hold what an earlier generation or a wider rule gave.
    """
    recorded = world.recorded(binding)
    settled = binding.status is not None and binding.status.observed_generation == binding.metadata.generation
    unsettled = {
        target.backend
        for target in (binding.status.targets if binding.status is not None else ())
        if target.state is not TargetState.PRESENT
    }
    kept = {}
    for backend in sorted({address.backend for address in recorded} - {""}):
        here = {address: digest for address, digest in recorded.items() if address.backend == backend}
        kept[backend] = settled and backend not in unsettled and here == world.digests(decided, backend)
    return kept


def _state(binding: AirflowSecretBinding, decision: Decision, kept: Mapping[str, bool]) -> str | None:
    """Return in which state the access is; None when there is none, as far as the record goes."""
    said = binding.status.secrets if binding.status is not None else ()
    granted = any(
        (each.type, each.id, each.state) == (decision.type, decision.id, SecretState.GRANTED) for each in said
    )
    if binding.metadata.deletion_timestamp is not None:
        return "leaving" if granted and decision.backend in kept else None
    if isinstance(decision.verdict, Admitted):
        return "granted" if granted and kept.get(decision.backend) else "pending"
    if decision.backend not in kept:
        return None
    if isinstance(decision.verdict, Held):
        return "unknown"
    return "leaving" if granted else None


def _session(decided: Plan, backend: str) -> str:
    return duration_text(decided.grants[backend].session.max_ttl)


def _print(found: list[Line], bindings: Listing[AirflowSecretBinding], question: Question, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps([asdict(line) for line in found], indent=2))
    elif found:
        show(_COLUMNS, [asdict(line) for line in found], output)
    else:
        typer.echo(nobody(question))
    for name, complaint in sorted(bindings.unreadable.items()):
        say(f"airwarden: binding {name} cannot be read, so what it still has is not shown: {complaint}")


def nobody(question: Question) -> str:
    """Return the plain answer when nothing was found."""
    who = "No binding" + (f" in namespace {question.namespace}" if question.namespace else "")
    if question.account:
        who += f" with account {question.account}"
    what = f" can read {question.key}" if question.key else " can read anything"
    where = f" in backend {question.backend}" if question.backend else ""
    seen = "Only bindings are seen here: what others wrote into the store, airwarden doctor looks for."
    return f"{who}{what}{where}. {seen}"
