"""Checks of the operator's login for rotations: the rights that vault-setup prints, and no other. Pure."""

import re
from typing import Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.doctor.cluster_checks import Said
from airwarden.commands.doctor.facts import Facts, RotationFacts, StoreFacts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.commands.doctor.store_checks import AGAIN, admitted_by, blocks, judge_role
from airwarden.providers.vault.opening import vault_settings
from airwarden.providers.vault.rotation.setup import RotationOptions, policy_text

_MAKES: Final = re.compile(r"sys/policies/password/([A-Za-z0-9_][A-Za-z0-9_.-]*)/generate")


def rotations(facts: Facts) -> Said:
    """Report everything about the login for rotations of every store that was looked at."""
    if isinstance(facts.backends, Unknown):
        return
    for backend in facts.backends.items:
        found = facts.stores.get(backend.metadata.name)
        if not isinstance(found, StoreFacts) or found.rotation is None or backend.spec.rotation is None:
            continue
        yield from _login(backend, found.rotation, f"store {vault_settings(backend).address}", facts)


def _login(backend: AirflowSecretBackend, found: RotationFacts, where: str, facts: Facts) -> Said:
    rotation = backend.spec.rotation
    if isinstance(found.policy, Unknown):
        yield Unchecked(Check.OPERATOR, where, found.policy.needs)
    elif found.policy is not None:
        yield from _policy(backend, found.policy_name, found.policy, where, facts)
    elif rotation is not None and rotation.login.token_file is None:
        problem = (
            f"policy {found.policy_name} is not there, so that nothing of backend {backend.metadata.name} is rotated"
        )
        yield Finding(Check.OPERATOR, Severity.WARNING, where, problem, AGAIN)
    if isinstance(found.role, Unknown):
        yield Unchecked(Check.OPERATOR, where, found.role.needs)
    elif found.role is not None and rotation is not None:
        by_account = rotation.login.kubernetes is not None
        yield from judge_role(found.role, where, found.policy_name, by_account=by_account)


def _policy(backend: AirflowSecretBackend, name: str, text: str, where: str, facts: Facts) -> Said:
    """Compare a policy with what is printed for the same options and the namespaces that rules mean.

    What lacks is told for namespaces that rules name; a rotation itself tells it for those that are meant by label.
    """
    live = blocks(text)
    if live is None:
        problem = f"policy {name} is not in the form that vault-setup prints, so it was not compared"
        yield Finding(Check.OPERATOR, Severity.HINT, where, problem, AGAIN)
        return
    policies = tuple(found[1] for path in live if (found := _MAKES.fullmatch(path)) is not None)
    cluster, selected = facts.cluster, tuple(sorted(admitted_by([backend], facts)))
    named = blocks(policy_text(backend, cluster, (), RotationOptions(False, policies))) or {}
    usual, reading = (
        blocks(policy_text(backend, cluster, selected, RotationOptions(read, policies))) or {} for read in (False, True)
    )
    for path in sorted(live.keys() - usual.keys()):
        problem = f"policy {name} gives rights on {path}, which no rotation needs"
        yield Finding(Check.OPERATOR, Severity.DANGER, where, problem, AGAIN)
    for path in sorted(named.keys() - live.keys()):
        problem = f"policy {name} gives no right on {path}, which rotations need"
        yield Finding(Check.OPERATOR, Severity.WARNING, where, problem, AGAIN)
    for path in sorted(live.keys() & usual.keys()):
        if live[path] not in {usual[path], reading[path]}:
            problem = f"policy {name} differs from what vault-setup prints, at {path}"
            yield Finding(Check.OPERATOR, Severity.WARNING, where, problem, AGAIN)
