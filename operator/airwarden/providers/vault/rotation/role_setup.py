"""The rights of the login for rotations on database engines: only where a rule has the operation, and no wider.

Whoever may write a static role may otherwise have Vault run any SQL as the user of the connection
(rotation_statements): so where roles may be declared, the parameters are fenced too. Pure; called by
`airwarden.providers.vault.rotation.setup`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, AllowRule, DynamicRule, Operation
from airwarden.domain.guardrails import role_prefixes
from airwarden.domain.role_guardrails import own_prefix, user_patterns
from airwarden.providers.vault.policy import quote

_TIMING: Final = ("rotation_period", "rotation_schedule", "rotation_window", "skip_import_rotation")


@dataclass
class _Path:
    """What is permitted on one path, from all rules."""

    capabilities: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)


def role_rights(backend: AirflowSecretBackend, cluster: str, namespaces: tuple[str, ...]) -> list[str]:
    """Return the lines of the policy. ``namespaces`` are those that rules select by label.

    Raises ValueError for a name that no path can hold.
    """
    paths: dict[str, _Path] = {}
    for rule in backend.spec.allow:
        selected = namespaces if rule.namespaces.selector is not None else ()
        for namespace in dict.fromkeys((*rule.namespaces.names, *selected)):
            _add(paths, rule, namespace, cluster)
    return [line for path in sorted(paths) for line in _block(path, paths[path])]


def _add(paths: dict[str, _Path], rule: AllowRule, namespace: str, cluster: str) -> None:
    for each in rule.dynamic:
        prefixes = role_prefixes(each.role_prefixes, namespace)
        if Operation.ROTATE_REVOKE in rule.operations:
            for prefix in prefixes:
                _permit(paths, f"sys/leases/revoke-prefix/{each.engine}/creds/{prefix}*", "sudo", "update")
        if Operation.ROTATE_NATIVE not in rule.operations:
            continue
        for prefix in prefixes:
            _permit(paths, f"{each.engine}/rotate-role/{prefix}*", "update")
            _permit(paths, f"{each.engine}/static-roles/{prefix}*", "read")
        for root in each.roots:
            _permit(paths, f"{each.engine}/rotate-root/{root}", "update")
        _add_declared(paths, each, namespace, tuple(_declarable(prefixes, own_prefix(cluster, namespace))))


def _declarable(prefixes: list[str], own: str) -> Iterator[str]:
    """Yield the beginnings of names under which a namespace may declare roles: its own, as far as rules give them."""
    for each in prefixes:
        if own.startswith(each):
            yield own
        elif each.startswith(own):
            yield each


def _add_declared(paths: dict[str, _Path], rule: DynamicRule, namespace: str, prefixes: tuple[str, ...]) -> None:
    if not prefixes or not rule.connections or not rule.usernames:
        return
    for prefix in prefixes:
        path = _permit(paths, f"{rule.engine}/static-roles/{prefix}*", "create", "delete", "read", "update")
        path.connections |= set(rule.connections)
        path.users |= set(user_patterns(rule, namespace))
    # To see whether another role has the same user already: nothing of a password is in it.
    _permit(paths, f"{rule.engine}/static-roles", "list")
    _permit(paths, f"{rule.engine}/static-roles/+", "read")


def _permit(paths: dict[str, _Path], path: str, *capabilities: str) -> _Path:
    found = paths.setdefault(path, _Path())
    found.capabilities |= set(capabilities)
    return found


def _block(path: str, found: _Path) -> list[str]:
    listed = ", ".join(f'"{each}"' for each in sorted(found.capabilities))
    lines = [f"path {_quoted(path)} {{", f"  capabilities = [{listed}]"]
    if found.connections:
        lines += [
            "  allowed_parameters = {",
            f'    "db_name" = [{_listed(found.connections)}]',
            f'    "username" = [{_listed(found.users)}]',
            *(f'    "{each}" = []' for each in _TIMING),
            "  }",
        ]
    return [*lines, "}"]


def _listed(values: set[str]) -> str:
    return ", ".join(f'"{each}"' for each in sorted(values))


def _quoted(path: str) -> str:
    """Return a path as a policy has it; a last star stands for the rest of a name, a last + for any one name."""
    for wild in ("*", "+"):
        if path.endswith(wild):
            return quote(f"{path.removesuffix(wild)}x").removesuffix('x"') + f'{wild}"'
    return quote(path)
