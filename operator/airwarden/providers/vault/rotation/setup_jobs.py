"""What a Vault admin gives the login for rotations for strategy Job: values are read, and candidates staged.

Pure; called by `airwarden.providers.vault.rotation.setup`, only where a rule has the operation.
"""

from collections.abc import Callable, Iterable
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, Operation
from airwarden.api.texts import PENDING
from airwarden.domain.guardrails import prefixes_for

Below = Callable[..., list[str]]
METADATA: Final = ("custom_metadata", "max_versions")
"""What a run writes of a secret's metadata. With the others a thief could have versions deleted, or writes refused."""


def job_rights(
    backend: AirflowSecretBackend, cluster: str, mount: str, namespaces: Iterable[str], below: Below
) -> list[str]:
    """Return the rights as lines of a policy; none where no rule permits rotations by Job.

    ``namespaces`` are those that rules select by label; ``below`` renders a right on everything below a path.
    """
    rules = [each for each in backend.spec.allow if Operation.ROTATE_JOB in each.operations]
    if not rules:
        return []
    selected = tuple(namespaces)
    found: set[str] = set()
    for rule in rules:
        for namespace in (*rule.namespaces.names, *(selected if rule.namespaces.selector is not None else ())):
            found |= set(prefixes_for(rule, namespace))
    lines = ["# Rotations by Job: the Job gets the old value and a new one, which waits here until the target has it."]
    for prefix in sorted(found):
        lines += below(f"{mount}/data/{prefix}", "patch", "read")
        lines += below(f"{mount}/metadata/{prefix}", "patch", "read", parameters=METADATA)
        lines += below(f"{mount}/subkeys/{prefix}", "read")
    lines += below(f"{mount}/data/{PENDING}/{cluster}/", "create", "read")
    rights = ("delete", "list", "patch", "read")
    lines += below(f"{mount}/metadata/{PENDING}/{cluster}/", *rights, parameters=METADATA[:1])
    return lines
