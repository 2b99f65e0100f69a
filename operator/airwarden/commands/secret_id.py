"""`airwarden secret-id`: a secret-id for a workload that logs in by AppRole, made with the caller's own rights.

The operator makes none and may make none. What is printed is a wrapping token, which opens once and soon:
a secret-id in clear is printed in no case. Listed by `airwarden.cli`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.fields import duration_text, seconds
from airwarden.api.logins import WorkloadMethod
from airwarden.commands import caller as people
from airwarden.commands.caller import FINE, Caller
from airwarden.domain.errors import InvalidSettings, Rejected, StoreFailed
from airwarden.domain.owner import Owner
from airwarden.providers.vault.opening import vault_settings
from airwarden.providers.vault.store import VaultStore
from airwarden.providers.vault.transport import Call

_SHORTEST, _LONGEST = 30, 3600
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A secret-id in its wrapping, and what its receiver needs besides."""

    token: str
    seconds: int
    role_id: str
    mount: str
    role: str


def secret_id(  # noqa: PLR0913, PLR0917 - one parameter per flag
    binding: Annotated[str, typer.Argument(metavar="NAMESPACE/BINDING", help="The binding that it is for.")],
    cluster: people.Cluster,
    backend: Annotated[str, typer.Option(help="Backend, where the binding names several.")] = "",
    wrap_ttl: Annotated[str, typer.Option(help="For how long it can be unwrapped: 30s to 1h. Never unwrapped.")] = "5m",
    kubeconfig: people.Kubeconfig = None,
    context: people.Context = None,
    operator_namespace: people.OperatorNamespace = "airwarden",
    vault_address: people.VaultAddress = None,
    vault_ca: people.VaultCA = None,
) -> None:
    """Make a secret-id with your own Vault token, and print the token that unwraps it, once."""
    namespace, _, name = binding.partition("/")
    if not namespace or not name or "/" in name:
        raise people.fail(f"{binding!r} is not NAMESPACE/BINDING, such as airflow-prod/billing")
    try:
        wrap_seconds = wrapping(wrap_ttl)
    except InvalidSettings as error:
        raise people.fail(error.message) from None
    ways = people.Ways(cluster, kubeconfig, context, operator_namespace, vault_address, vault_ca)

    async def work(caller: Caller) -> int:
        found = await caller.binding(namespace, name)
        made = await make(caller, found, backend, wrap_seconds)
        typer.echo(explain(made))
        return FINE

    people.run(ways, work)


def wrapping(text: str) -> int:
    """Return the seconds for which a secret-id stays wrapped. Raises InvalidSettings, also for none at all."""
    try:
        found = seconds(text)
    except ValueError as error:
        raise InvalidSettings(f"--wrap-ttl: {error}") from None
    if not _SHORTEST <= found <= _LONGEST:
        raise InvalidSettings(
            f"--wrap-ttl {text} is refused: a secret-id is printed only wrapped, for 30s to 1h, since one in clear "
            "stays in terminals, logs and pipelines, and whoever reads it there has the binding's access unnoticed"
        )
    return found


async def make(caller: Caller, binding: AirflowSecretBinding, backend: str, wrap_seconds: int) -> Wrapped:
    """Make a secret-id for the binding's AppRole. Raises AirwardenError; what comes unwrapped is never shown."""
    name = _backend(binding, backend)
    described = await caller.backend(name)
    login = vault_settings(described).workload_login
    if login.method is not WorkloadMethod.APP_ROLE:
        raise InvalidSettings(
            f"workloads of backend {name} log in by {login.method}, which needs no secret-id: run them under the "
            "binding's account with a projected token"
        )
    store = await caller.store(described)
    if not isinstance(store, VaultStore):
        raise InvalidSettings(f"backend {name} is no Vault, so it has no secret-ids")
    owner = Owner(caller.ways.cluster, binding.metadata.namespace, binding.metadata.name, name)
    role = f"auth/{login.mount}/role/{owner.name_in_store}"
    found = await store.client.request(Call("GET", f"{role}/role-id"))
    if found.absent:
        raise Rejected(
            f"there is no AppRole {owner.name_in_store} on mount {login.mount}: wait until the binding is Ready, and "
            "look that --cluster is the operator's"
        )
    about = {"namespace": owner.namespace, "binding": owner.binding}
    call = Call("POST", f"{role}/secret-id", {"metadata": json.dumps(about)}, wrap_seconds=wrap_seconds)
    answer = await store.client.request(call)
    return _wrapped(answer.body.get("wrap_info"), found.data.get("role_id"), login.mount, owner.name_in_store)


def explain(made: Wrapped) -> str:
    """Return what the caller passes on."""
    return "\n".join(
        (
            f"wrapping token: {made.token}",
            f"role id:        {made.role_id}",
            f"It opens once, within {duration_text(made.seconds)}. Where the workload runs:",
            "  VAULT_TOKEN=<wrapping token> vault unwrap -field=secret_id > secret-id",
            f"  vault write auth/{made.mount}/login role_id={made.role_id} secret_id=@secret-id",
            "If it does not open there, somebody else has opened it. A Vault administrator then lists and destroys:",
            f"  vault list auth/{made.mount}/role/{made.role}/secret-id",
            f"  vault write auth/{made.mount}/role/{made.role}/secret-id-accessor/destroy secret_id_accessor=<each>",
        )
    )


def _backend(binding: AirflowSecretBinding, asked: str) -> str:
    named = sorted({each.backend_ref.name for each in binding.spec.secrets})
    if asked in named:
        return asked
    if not asked and len(named) == 1:
        return named[0]
    what = f"does not name backend {asked}" if asked else "names several backends"
    raise InvalidSettings(
        f"binding {binding.metadata.namespace}/{binding.metadata.name} {what}: give --backend {' or '.join(named)}"
    )


def _wrapped(info: object, role_id: object, mount: str, role: str) -> Wrapped:
    token = info.get("token") if isinstance(info, Mapping) else None
    lasting = info.get("ttl") if isinstance(info, Mapping) else None
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None or not isinstance(lasting, int):
        raise StoreFailed(
            "Vault answered without a wrapping token, so nothing is shown: look at what stands between, for it takes "
            "the header X-Vault-Wrap-TTL away, and destroy the secret-id that it made"
        )
    if not isinstance(role_id, str) or not role_id:
        raise StoreFailed("Vault answered without a role id: is it a Vault?")
    return Wrapped(token, lasting, role_id, mount, role)
