"""Checks of what stands in the stores beside the bindings, and of the operator's own rights there. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.doctor import key_vault_checks
from airwarden.commands.doctor.backend_checks import admitted
from airwarden.commands.doctor.cluster_checks import Said
from airwarden.commands.doctor.facts import Facts, KeyVaultFacts, StoreFacts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.logins import admitting, shortened
from airwarden.domain.owner import PREFIX, Owner
from airwarden.domain.resources import FieldValue
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.opening import vault_settings
from airwarden.providers.vault.setup import OperatorAccount, vault_setup

_STORE_CHECKS: Final = (Check.LOGINS, Check.LEFTOVERS, Check.OPERATOR, Check.AUDIT)
_BLOCK: Final = re.compile(r'^path "([^"\n]+)" \{\n(.*?)\n\}\n', re.MULTILINE | re.DOTALL)
_LISTED: Final = re.compile(r'"(bound_service_account_namespaces|bound_subject|name|alias_name)" = \[("[^\]\n]*)\]')
_ACCESSOR: Final = re.compile(r'"((?:alias_)?mount_accessor)" = \["[^"\n]*"\]')
_DENIED: Final = frozenset({"***", "*,*"})
"""Patterns in a list of what is refused, not of what is permitted."""
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
AGAIN: Final = "review it, and apply what airwarden vault-setup prints"


def stores(facts: Facts) -> Said:
    """Report everything about every store that was looked at."""
    if isinstance(facts.backends, Unknown):
        return
    for backend in facts.backends.items:
        found = facts.stores.get(backend.metadata.name)
        if found is None or isinstance(found, Unknown):
            needs = found.needs if found is not None else "the store was not looked at"
            for check in _STORE_CHECKS:
                yield Unchecked(check, f"backend {backend.metadata.name}", needs)
            continue
        if isinstance(found, KeyVaultFacts):
            yield from key_vault_checks.key_vault(found, facts)
            continue
        yield from _logins(backend, found, facts)
        yield from _leftovers(backend, found, facts)
        yield from _audit(found)
        yield from _operator(backend, found, facts)


def _logins(backend: AirflowSecretBackend, found: StoreFacts, facts: Facts) -> Said:
    name = f"backend {backend.metadata.name}"
    if isinstance(found.logins, Unknown):
        yield Unchecked(Check.LOGINS, name, found.logins.needs)
        return
    if found.logins.unread:
        yield Unchecked(
            Check.LOGINS, name, f"{found.logins.unread} more role(s) were not looked at: there are too many"
        )
    for hit in admitting(found.logins.logins, facts.managed):
        yield Finding(
            Check.LOGINS,
            Severity.DANGER,
            name,
            hit.sentence,
            "take the account out of the role, or remove the role: what it gives, no binding shows and nothing ends",
        )


def _leftovers(backend: AirflowSecretBackend, found: StoreFacts, facts: Facts) -> Said:
    name = f"backend {backend.metadata.name}"
    if isinstance(found.names, Unknown):
        yield Unchecked(Check.LEFTOVERS, name, found.names.needs)
        return
    holders = _holders(facts)
    for each in sorted(found.names):
        owner = owner_of_name(each, facts.cluster)
        if owner is None:
            continue
        nobodys = not isinstance(facts.all_backends, Unknown) and owner.backend not in facts.all_backends
        if owner.backend != backend.metadata.name and not nobodys:
            continue
        key = (owner.namespace, owner.binding)
        if (facts.namespace and owner.namespace != facts.namespace) or owner.backend in holders.get(key, ()):
            continue
        if key in facts.bound and key not in holders:
            continue  # it was there a moment ago, or cannot be read: not known to be nobody's
        yield Finding(
            Check.LEFTOVERS,
            Severity.WARNING,
            f"store {found.address}",
            f"{each} belongs to no binding" + (f", and there is no backend {owner.backend}" if nobodys else ""),
            "airwarden sweep shows what it is, and removes it with --delete",
        )


def _holders(facts: Facts) -> dict[tuple[str, str], frozenset[str]]:
    """Return the backends that each binding names or has something recorded in."""
    found = {}
    for binding in facts.bindings.items:
        named = {each.backend_ref.name for each in binding.spec.secrets}
        recorded = {each.backend for each in binding.status.targets} if binding.status is not None else set()
        found[binding.metadata.namespace, binding.metadata.name] = frozenset(named | recorded)
    return found


def owner_of_name(name: str, cluster: str) -> Owner | None:
    """Return whose a name in a store is, by its parts; None for one that Airwarden does not give."""
    namespace, _, rest = name.removeprefix(f"{PREFIX}.{cluster}.").partition(".")
    binding, _, backend = rest.rpartition(".")
    try:
        owner = Owner(cluster, namespace, binding, backend)
    except ValueError:
        return None
    return owner if backend and owner.name_in_store == name else None


def _audit(found: StoreFacts) -> Said:
    if isinstance(found.audit_devices, Unknown):
        yield Unchecked(Check.AUDIT, f"store {found.address}", found.audit_devices.needs)
    elif not found.audit_devices:
        yield Finding(
            Check.AUDIT,
            Severity.HINT,
            f"store {found.address}",
            "it has no audit device, so nobody can tell afterwards who read what",
            "enable one: vault audit enable file file_path=…",
        )


def _operator(backend: AirflowSecretBackend, found: StoreFacts, facts: Facts) -> Said:
    where = f"store {found.address}"
    if isinstance(found.operator_policy, Unknown):
        yield Unchecked(Check.OPERATOR, where, found.operator_policy.needs)
    elif found.operator_policy is not None:
        yield from _policy(backend, found, found.operator_policy, facts)
    if isinstance(found.operator_role, Unknown):
        yield Unchecked(Check.OPERATOR, where, found.operator_role.needs)
    elif found.operator_role is not None:
        by_account = vault_settings(backend).login.kubernetes is not None
        yield from judge_role(found.operator_role, where, found.operator_policy_name, by_account=by_account)


def _policy(backend: AirflowSecretBackend, found: StoreFacts, text: str, facts: Facts) -> Said:
    """Compare the operator's policy with what is printed for the same namespaces."""
    where, name = f"store {found.address}", found.operator_policy_name
    listed = namespaces_of(text)
    permitted = frozenset(each for each in listed if _NAMESPACE.fullmatch(each) is not None)
    try:
        printed, moving = (_printed(backend, permitted, name, facts, moving=each) for each in (False, True))
    except InvalidSettings as error:
        yield Unchecked(Check.OPERATOR, where, f"what vault-setup would print is not known: {error.message}")
        return
    live = blocks(text)
    if live is None:
        problem = f"policy {name} is not in the form that vault-setup prints, so it was not compared"
        yield Finding(Check.OPERATOR, Severity.HINT, where, problem, AGAIN)
        return
    for path in sorted(live.keys() - printed.keys()):
        only_moving = path in moving
        why = "it needs only while it moves between its modes" if only_moving else "the operator does not need"
        problem = f"policy {name} gives rights on {path}, which {why}"
        severity = Severity.WARNING if only_moving else Severity.DANGER
        yield Finding(Check.OPERATOR, severity, where, problem, AGAIN)
    for path in sorted(path for path in live.keys() & printed.keys() if live[path] != printed[path]):
        problem = f"policy {name} differs from what vault-setup prints, at {path}"
        yield Finding(Check.OPERATOR, Severity.WARNING, where, problem, AGAIN)
    if wide := sorted(listed - permitted):
        problem = f"policy {name} permits namespaces by pattern: {shortened(wide)}"
        yield Finding(Check.OPERATOR, Severity.WARNING, where, problem, AGAIN)
    yield from _permitted(backend, permitted, where, facts)


def _printed(
    backend: AirflowSecretBackend, permitted: frozenset[str], name: str, facts: Facts, *, moving: bool
) -> dict[str, str]:
    """Return the blocks of the policy that is printed for these namespaces, with everything that may be asked for."""
    made = vault_setup(
        backend,
        cluster=facts.cluster,
        operator=OperatorAccount(facts.operator_namespace, "airwarden"),
        namespaces=sorted(permitted) or ("airwarden",),  # a login by AppRole lists none
        options=ModeOptions(moving=moving, policy=name),
        foreign_role_scan=True,
    )
    return blocks(made.policy_text) or {}


def _permitted(backend: AirflowSecretBackend, permitted: frozenset[str], where: str, facts: Facts) -> Said:
    if not permitted or isinstance(facts.namespaces, Unknown) or isinstance(facts.backends, Unknown):
        return
    meant = admitted_by([backend], facts)
    for namespace in sorted(meant & facts.namespaces.keys() - permitted):
        problem = (
            f"the operator may not bind accounts of namespace {namespace}, which backend {backend.metadata.name} allows"
        )
        yield Finding(Check.OPERATOR, Severity.WARNING, where, problem, "run what airwarden vault-setup prints again")
    spare = sorted(permitted - admitted_by(facts.backends.items, facts))
    if (
        spare
        and not facts.namespace
        and facts.all_backends == frozenset(each.metadata.name for each in facts.backends.items)
    ):
        problem = f"the operator may bind accounts of namespaces that no rule speaks of: {shortened(spare)}"
        yield Finding(Check.OPERATOR, Severity.HINT, where, problem, "run what airwarden vault-setup prints again")


def admitted_by(backends: Iterable[AirflowSecretBackend], facts: Facts) -> frozenset[str]:
    """Return the namespaces that rules of these backends name, or mean by labels that are known."""
    rules = [rule for backend in backends for rule in backend.spec.allow]
    named = {name for rule in rules for name in rule.namespaces.names}
    labelled = [] if isinstance(facts.namespaces, Unknown) else [admitted(rule, facts.namespaces) for rule in rules]
    return frozenset(named).union(*labelled)


def judge_role(role: Mapping[str, FieldValue], where: str, policy: str, *, by_account: bool) -> Said:
    """Report what a role of the operator gives beside its policy, and whom else it lets in."""
    policies = role.get("token_policies")
    carried = policies if isinstance(policies, tuple) else ()
    spare = sorted(set(carried) - {policy})
    if spare:
        problem = (
            f"the operator's role also carries {shortened(spare)}: the fence that vault-setup prints does not hold"
        )
        yield Finding(Check.OPERATOR, Severity.DANGER, where, problem, AGAIN)
    if role.get("token_no_default_policy") is not True:
        problem = "the operator's role also carries Vault's policy default"
        yield Finding(Check.OPERATOR, Severity.HINT, where, problem, AGAIN)
    if not by_account:
        return
    for field in ("bound_service_account_names", "bound_service_account_namespaces"):
        value = role.get(field)
        names = value if isinstance(value, tuple) else ()
        if len(names) != 1 or any("*" in each for each in names):
            problem = f"the operator's role lets in more than one account: {field} is {shortened(names) or 'empty'}"
            yield Finding(Check.OPERATOR, Severity.DANGER, where, problem, AGAIN)


def namespaces_of(text: str) -> frozenset[str]:
    """Return the namespaces whose accounts a policy in the printed form lets the operator bind."""
    values = [value for found in _LISTED.finditer(text) for value in re.findall(r'"([^"]*)"', found[2])]
    plain = (value.removeprefix("system:serviceaccount:").removesuffix(":*").removesuffix("/*") for value in values)
    return frozenset(plain) - _DENIED


def blocks(text: str) -> dict[str, str] | None:
    """Return the rules of a policy by path, without what differs from place to place: namespaces and accessors.

    None for a form that is not the printed one.
    """
    rest = _BLOCK.sub("", text)
    if any(line and not line.startswith("#") for line in rest.splitlines()):
        return None
    found: dict[str, set[str]] = {}
    for each in _BLOCK.finditer(text):
        body = _LISTED.sub(r'"\1" = …', each[2], count=1)
        found.setdefault(each[1], set()).add(_ACCESSOR.sub(r'"\1" = …', body))
    return {path: "\n".join(sorted(bodies)) for path, bodies in found.items()}
