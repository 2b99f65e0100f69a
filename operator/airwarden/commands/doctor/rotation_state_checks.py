"""Checks of rotations: what is refused, in conflict, failed or overdue; what nobody reads or rotates. Pure."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from airwarden.api.backend import Operation
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Condition
from airwarden.api.fields import duration_text
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.commands.doctor.cluster_checks import Said
from airwarden.commands.doctor.facts import Facts, KeyVaultFacts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.domain.rotation.sugar import is_name_of
from airwarden.providers.kubernetes.accounts import BINDING

_ROTATES: Final = frozenset(each for each in Operation if each is not Operation.READ)


def rotations(facts: Facts) -> Said:
    """Report everything about rotations that the cluster and the metadata of the stores tell."""
    yield from _logins(facts)
    if isinstance(facts.rotations, Unknown):
        yield Unchecked(Check.ROTATIONS, "rotations", facts.rotations.needs)
        return
    for name, complaint in facts.rotations.unreadable.items():
        yield _warning(f"rotation {name}", f"does not hold to its schema: {complaint}", "apply it again as that says")
    for rotation in facts.rotations.items:
        yield from _state(rotation)
        yield from _orphan(rotation, facts)
        yield from _unread(rotation, facts)
    yield from _unrotated(facts)


def _logins(facts: Facts) -> Said:
    """Report backends whose rules permit rotations that they have no login for."""
    if isinstance(facts.backends, Unknown):
        return
    for backend in facts.backends.items:
        rules = sorted(each.name for each in backend.spec.allow if not _ROTATES.isdisjoint(each.operations))
        if rules and backend.spec.rotation is None:
            yield _warning(
                f"backend {backend.metadata.name}",
                f"rule {rules[0]} permits rotations, but the backend has no login for them, so that none runs",
                "set spec.rotation and apply what airwarden vault-setup then prints, or take the operation out",
            )


def _state(rotation: AirflowSecretRotation) -> Said:
    status = rotation.status
    ready = status.condition("Ready") if status is not None else None
    healthy = status.condition("Healthy") if status is not None else None
    if ready is None:
        step = "see whether the operator runs: kubectl get pods -n airwarden"
        yield _warning(_name(rotation), "no operator has looked at it", step)
    elif ready.status != "True":
        yield _warning(_name(rotation), f"cannot run, {ready.reason}: {ready.message}", _step(ready))
    if healthy is not None and healthy.status != "True" and (ready is None or healthy.reason != ready.reason):
        yield _warning(_name(rotation), f"is not healthy, {healthy.reason}: {healthy.message}", _step(healthy))


def _step(said: Condition) -> str:
    known = next((each.value for each in Reason if each.word == said.reason), None)
    return known.next_step if known is not None else "kubectl describe asr says more"


def _orphan(rotation: AirflowSecretRotation, facts: Facts) -> Said:
    """Report a rotation that a binding made which is gone: it went on without the operator's leave."""
    binding = rotation.metadata.labels.get(BINDING, "")
    if not binding or not is_name_of(binding, rotation.metadata.name):
        return
    if (rotation.metadata.namespace, binding) not in facts.bound:
        problem = f"binding {binding} made it and is gone, and it still rotates"
        yield _warning(_name(rotation), problem, "delete it, or take its label airwarden.dev/binding off to keep it")


def _unread(rotation: AirflowSecretRotation, facts: Facts) -> Said:
    """Report a rotation of what no binding reads. Bindings of other namespaces may, so all must have been asked for."""
    spec = rotation.spec
    if facts.namespace or not spec.key or facts.bindings.unreadable or spec.suspend:
        return
    if (spec.backend_ref.name, spec.key) not in read_by(facts.bindings.items):
        yield Finding(
            Check.ROTATIONS,
            Severity.HINT,
            _name(rotation),
            f"rotates {spec.key} of backend {spec.backend_ref.name}, which no binding reads",
            "delete it if nothing else reads the secret",
        )


def _unrotated(facts: Facts) -> Said:
    """Report secrets that bindings read, that nothing rotates, and whose newest version is old."""
    if isinstance(facts.rotations, Unknown) or facts.older_than is None or facts.rotations.unreadable:
        return
    rotated = rotated_by(facts.rotations.items)
    for backend, store in sorted(facts.stores.items()):
        if isinstance(store, Unknown):
            continue
        if isinstance(store, KeyVaultFacts):
            needs = "how old a secret in a key vault is, commands do not ask: az keyvault secret list shows it"
            yield Unchecked(Check.ROTATIONS, f"age of the secrets of backend {backend}", needs)
            continue
        if isinstance(store.made, Unknown):
            yield Unchecked(Check.ROTATIONS, f"age of the secrets of backend {backend}", store.made.needs)
            continue
        for key, made in sorted(store.made.items()):
            if (backend, key) not in rotated and facts.now - made > facts.older_than:
                yield _aged(backend, key, facts.now - made)


def _aged(backend: str, key: str, age: timedelta) -> Finding:
    days = age // timedelta(days=1)
    shown = f"{days} days" if days else duration_text(int(age.total_seconds()))
    return Finding(
        Check.ROTATIONS,
        Severity.HINT,
        f"secret {key} of backend {backend}",
        f"its newest version is {shown} old, and nothing rotates it",
        "make an AirflowSecretRotation for it, or set spec.rotation of a binding that reads it",
    )


def read_by(bindings: Iterable[AirflowSecretBinding]) -> frozenset[tuple[str, str]]:
    """Return backend and key of every secret with a key that bindings name."""
    return frozenset(
        (item.backend_ref.name, item.key)
        for binding in bindings
        for item in binding.spec.secrets
        if item.key is not None
    )


def rotated_by(rotations: Iterable[AirflowSecretRotation]) -> frozenset[tuple[str, str]]:
    """Return backend and key of every secret that has a rotation."""
    return frozenset((each.spec.backend_ref.name, each.spec.key) for each in rotations if each.spec.key)


def _name(rotation: AirflowSecretRotation) -> str:
    return f"rotation {rotation.metadata.namespace}/{rotation.metadata.name}"


def _warning(what: str, problem: str, step: str) -> Finding:
    return Finding(Check.ROTATIONS, Severity.WARNING, what, problem, step)
