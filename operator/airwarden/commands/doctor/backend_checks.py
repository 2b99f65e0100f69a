"""Checks of backends and their allow rules: what does not work, what admits nobody, what changes nothing. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, AllowRule, BackendType, DynamicRule
from airwarden.api.fields import seconds
from airwarden.api.metadata import Metadata
from airwarden.api.reasons import Reason
from airwarden.commands.doctor.cluster_checks import Said
from airwarden.commands.doctor.facts import Facts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.domain.logins import shortened
from airwarden.providers.ports import NOTED

_LOOK: Final = "see what the condition says: kubectl describe asbk"
_SETUP: Final = {
    BackendType.VAULT: "apply what airwarden vault-setup prints",
    BackendType.AZURE_KEY_VAULT: "run what airwarden azure-setup prints",
}
_JUDGED: Final = {"name", "namespaces", "key_prefixes", "dynamic", "operations", "service_accounts", "session"}
"""Fields of a rule that `covers` understands; any other must be equal."""


def backends(facts: Facts) -> Said:
    """Report backends that cannot be read, are not Ready, or that nobody uses."""
    if isinstance(facts.backends, Unknown):
        yield Unchecked(Check.BACKENDS, "backends", facts.backends.needs)
        return
    for name, complaint in facts.backends.unreadable.items():
        yield Finding(
            Check.BACKENDS,
            Severity.WARNING,
            f"backend {name}",
            f"does not hold to its schema: {complaint}",
            "apply it again as the message says",
        )
    used = {item.backend_ref.name for binding in facts.bindings.items for item in binding.spec.secrets}
    for backend in facts.backends.items:
        yield from _readiness(backend)
        yield from _of_key_vault(backend)
        if not facts.namespace and backend.metadata.name not in used:
            yield Finding(
                Check.BACKENDS,
                Severity.HINT,
                f"backend {backend.metadata.name}",
                "no binding uses it",
                "remove it when it is not needed: the operator's rights in the store are not needed then either",
            )


def _readiness(backend: AirflowSecretBackend) -> Said:
    status = backend.status
    ready = status.condition("Ready") if status is not None else None
    if status is None or ready is None:
        problem = "no operator has looked at it"
        step = "see whether the operator runs: kubectl get pods -n airwarden"
    elif ready.status != "True":
        lacking = f" ({shortened(status.missing_permissions)})" if status.missing_permissions else ""
        problem = f"is not Ready, {ready.reason}: {ready.message}{lacking}"
        known = next((each.value for each in Reason if each.word == ready.reason), None)
        step = _SETUP[backend.spec.type] if status.missing_permissions or known is None else known.next_step
    else:
        return
    yield Finding(Check.BACKENDS, Severity.WARNING, f"backend {backend.metadata.name}", problem, step)


def _of_key_vault(backend: AirflowSecretBackend) -> Said:
    """Report what the operator found of a key vault: quotas, for one, the command does not ask for itself."""
    if backend.spec.azure_key_vault is None or backend.status is None:
        return
    for each in backend.status.conditions:
        if each.type in NOTED and each.status == "True":
            known = next((one.value for one in Reason if one.word == each.reason), None)
            step = known.next_step if known is not None else _LOOK
            said = f"{each.type}, {each.reason}: {each.message}"
            yield Finding(Check.BACKENDS, Severity.WARNING, f"backend {backend.metadata.name}", said, step)


def rules(facts: Facts) -> Said:
    """Report allow rules that admit nobody, and those that another rule makes useless."""
    if isinstance(facts.backends, Unknown):
        yield Unchecked(Check.RULES, "backends", facts.backends.needs)
        return
    if isinstance(facts.namespaces, Unknown):
        yield Unchecked(Check.RULES, "rules that admit nobody", facts.namespaces.needs)
    for backend in facts.backends.items:
        if not backend.spec.allow:
            yield _rule_finding(backend, "it has no allow rule, so it grants nothing", "add a rule to spec.allow")
        for number, each in enumerate(backend.spec.allow):
            if not isinstance(facts.namespaces, Unknown) and not admitted(each, facts.namespaces):
                yield _rule_finding(
                    backend,
                    f"rule {each.name} admits nobody: no namespace has such a name or such labels",
                    "correct the rule's namespaces, label the namespace, or remove the rule",
                )
            wider = next(
                (one for place, one in enumerate(backend.spec.allow) if _hides(one, each, place, number)), None
            )
            if wider is not None:
                yield _rule_finding(
                    backend,
                    f"rule {each.name} changes nothing: rule {wider.name} admits all of it",
                    "remove it, or narrow the other one if that was not meant",
                )


def _rule_finding(backend: AirflowSecretBackend, problem: str, next_step: str) -> Finding:
    return Finding(Check.RULES, Severity.HINT, f"backend {backend.metadata.name}", problem, next_step)


def admitted(rule: AllowRule, namespaces: Mapping[str, Metadata]) -> frozenset[str]:
    """Return the namespaces that a rule speaks of."""
    selector = rule.namespaces.selector
    wanted = selector.match_labels if selector is not None else {}
    return frozenset(
        name
        for name, each in namespaces.items()
        if name in rule.namespaces.names or (wanted and wanted.items() <= each.labels.items())
    )


def _hides(wide: AllowRule, narrow: AllowRule, wide_place: int, narrow_place: int) -> bool:
    """Tell whether one rule makes the other useless; of two equal ones only the later is."""
    if wide_place == narrow_place or not covers(wide, narrow):
        return False
    return wide_place < narrow_place or not covers(narrow, wide)


def covers(wide: AllowRule, narrow: AllowRule) -> bool:
    """Tell whether everything that one rule admits, in whatever namespaces come, the other admits as well."""
    return (
        _covers_namespaces(wide, narrow)
        and _begin(narrow.key_prefixes, wide.key_prefixes)
        and all(_covers_engine(wide.dynamic, each) for each in narrow.dynamic)
        and set(narrow.operations) <= set(wide.operations)
        and set(narrow.service_accounts) <= set(wide.service_accounts)
        and seconds(narrow.session.max_ttl) <= seconds(wide.session.max_ttl)
        and (narrow.session.required or not wide.session.required)
        and _others(wide) == _others(narrow)
    )


def _covers_namespaces(wide: AllowRule, narrow: AllowRule) -> bool:
    if not set(narrow.namespaces.names) <= set(wide.namespaces.names):
        return False
    theirs, ours = narrow.namespaces.selector, wide.namespaces.selector
    return theirs is None or (ours is not None and ours.match_labels.items() <= theirs.match_labels.items())


def _covers_engine(wide: Iterable[DynamicRule], narrow: DynamicRule) -> bool:
    return any(
        each.engine == narrow.engine
        and _begin(narrow.role_prefixes, each.role_prefixes)
        and set(narrow.connections) <= set(each.connections)
        and set(narrow.usernames) <= set(each.usernames)
        and set(narrow.roots) <= set(each.roots)
        for each in wide
    )


def _begin(texts: Iterable[str], prefixes: tuple[str, ...]) -> bool:
    return all(text.startswith(prefixes) for text in texts)


def _others(rule: AllowRule) -> object:
    return rule.model_dump(exclude=_JUDGED)
