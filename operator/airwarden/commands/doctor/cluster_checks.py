"""Checks of what the cluster holds: bindings, backends' statuses, managed accounts, RBAC, installed kinds. Pure."""

from collections.abc import Iterator
from typing import Final

from airwarden.api import crd
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.reasons import Reason
from airwarden.commands.doctor.facts import Facts, RoleGrant, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.domain import record as records
from airwarden.domain.logins import shortened
from airwarden.domain.owner import Owner

Said = Iterator[Finding | Unchecked]
_EVERYBODY: Final = frozenset({"system:serviceaccounts", "system:authenticated"})
_OF_NAMESPACE: Final = "system:serviceaccounts:"


def bindings(facts: Facts) -> Said:
    """Report bindings that cannot be read, are stuck, name no backend, or carry records they do not derive."""
    for name, complaint in facts.bindings.unreadable.items():
        yield Finding(
            Check.BINDINGS,
            Severity.WARNING,
            f"binding {name}",
            f"does not hold to its schema: {complaint}",
            "apply it again as the message says; until then what it has stays as it is",
        )
    for binding in facts.bindings.items:
        yield from _condition(binding)
        yield from _forged(binding, facts.cluster)
        if not isinstance(facts.all_backends, Unknown):
            named = {each.backend_ref.name for each in binding.spec.secrets}
            for name in sorted(named - facts.all_backends):
                yield Finding(
                    Check.BINDINGS,
                    Severity.WARNING,
                    _name(binding),
                    f"names backend {name}, which does not exist",
                    "correct backendRef.name, or apply the backend",
                )


def _condition(binding: AirflowSecretBinding) -> Said:
    ready = binding.status.condition("Ready") if binding.status is not None else None
    if ready is None or ready.status == "True" or ready.reason == Reason.BACKEND_NOT_FOUND.word:
        return
    known = next((each.value for each in Reason if each.word == ready.reason), None)
    blocked = ready.reason == Reason.DELETION_BLOCKED.word
    yield Finding(
        Check.BINDINGS,
        Severity.DANGER if blocked else Severity.WARNING,
        _name(binding),
        ("cannot be deleted, so its access may still hold: " if blocked else f"is not Ready, {ready.reason}: ")
        + ready.message,
        known.next_step if known is not None else "kubectl describe asb says more",
    )


def _forged(binding: AirflowSecretBinding, cluster: str) -> Said:
    recorded = records.recorded(binding.status)
    owner = Owner(cluster, binding.metadata.namespace, binding.metadata.name)
    forged = recorded.keys() - records.derived(recorded, owner, binding.spec.service_account.name).keys()
    if forged:
        yield Finding(
            Check.BINDINGS,
            Severity.DANGER,
            _name(binding),
            f"its status records what it does not derive: {shortened([str(each) for each in sorted(forged)])}",
            "find out who may write statuses: Airwarden did not write this, and touches nothing under such a name",
        )


def accounts(facts: Facts) -> Said:
    """Report managed accounts that carry a token of the API server where none is needed."""
    if isinstance(facts.accounts, Unknown):
        yield Unchecked(Check.ACCOUNTS, "service accounts", facts.accounts.needs)
    else:
        for account in facts.accounts:
            if account.automount is not False:
                yield Finding(
                    Check.ACCOUNTS,
                    Severity.WARNING,
                    f"service account {account.namespace}/{account.name}",
                    "its pods get a token of the API server, because automountServiceAccountToken is not false",
                    "the operator sets it right within seconds: if it stays, see whether the operator runs",
                )
    if isinstance(facts.token_secrets, Unknown):
        yield Unchecked(Check.ACCOUNTS, "Secrets with tokens", facts.token_secrets.needs)
        return
    for secret in facts.token_secrets:
        if (secret.namespace, secret.account) in facts.managed:
            yield Finding(
                Check.ACCOUNTS,
                Severity.DANGER,
                f"service account {secret.namespace}/{secret.account}",
                f"Secret {secret.namespace}/{secret.name} holds a token of it that does not expire",
                "delete the Secret: tasks use projected tokens, which are short and for one audience",
            )


def role_grants(facts: Facts) -> Said:
    """Report rights in Kubernetes that managed accounts were given: tasks need none."""
    if isinstance(facts.role_grants, Unknown):
        yield Unchecked(Check.RBAC, "RoleBindings and ClusterRoleBindings", facts.role_grants.needs)
        return
    managed = facts.managed
    for grant in facts.role_grants:
        named = sorted(grant.accounts & managed)
        if named:
            shown = shortened([f"{namespace}/{name}" for namespace, name in named])
            yield Finding(
                Check.RBAC,
                Severity.WARNING,
                grant.object,
                f"gives {grant.role} to managed account {shown}",
                "take the account out of the subjects: what runs under it needs the store, not the cluster",
            )
        yield from _by_group(grant, {namespace for namespace, _ in managed})


def _by_group(grant: RoleGrant, namespaces: set[str]) -> Said:
    for group in sorted(grant.groups):
        namespace = group.removeprefix(_OF_NAMESPACE)
        everybody = group in _EVERYBODY and bool(namespaces)
        if everybody or (group != namespace and namespace in namespaces):
            whose = "every service account" if everybody else f"every service account of {namespace}"
            yield Finding(
                Check.RBAC,
                Severity.HINT if everybody else Severity.WARNING,
                grant.object,
                f"gives {grant.role} to {whose}, so to managed ones as well (group {group})",
                "name the accounts that need it instead of the group",
            )


def kinds(facts: Facts) -> Said:
    """Report CustomResourceDefinitions that are not those of this version."""
    if isinstance(facts.kinds, Unknown):
        yield Unchecked(Check.KINDS, "CustomResourceDefinitions", facts.kinds.needs)
        return
    for kind in crd.KINDS:
        wanted, installed = crd.definition(kind), facts.kinds.get(kind.file)
        if installed is None:
            problem = "is not installed"
        elif different := _differs(wanted["spec"], installed.get("spec") or {}):
            problem = f"differs from that of this version of airwarden, first at spec{different}"
        else:
            continue
        yield Finding(
            Check.KINDS,
            Severity.WARNING,
            f"CustomResourceDefinition {kind.definition_name}",
            problem,
            "apply crds/ of the version that the operator runs, and use the command of the same version",
        )


def _differs(wanted: object, found: object, where: str = "") -> str:
    """Return where two definitions differ; empty when they do not. What the API server fills in does not count."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        schema = ".openAPIV3Schema" in where
        more = sorted(found.keys() - wanted.keys()) if schema else []
        for key in [*wanted, *more]:
            if different := _differs(wanted.get(key), found.get(key), f"{where}.{key}"):
                return different
        return ""
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return where
        pairs = zip(wanted, found, strict=True)
        return next((said for n, (a, b) in enumerate(pairs) if (said := _differs(a, b, f"{where}[{n}]"))), "")
    return "" if wanted == found else where


def _name(binding: AirflowSecretBinding) -> str:
    return f"binding {binding.metadata.namespace}/{binding.metadata.name}"
