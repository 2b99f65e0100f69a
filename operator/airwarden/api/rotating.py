"""A backend's login for rotations: what it says, and what keeps it apart from the login that writes policies.

Used by `airwarden.api.backend`.
"""

from typing import Final

from airwarden.api.fields import Model, rule
from airwarden.api.logins import Login, WorkloadLogin

_ANOTHER: Final = (
    "rotation.login must be another login than vault.login: "
    "the one that writes policies must not write values, and the one that writes values no policies"
)
_NOT_THE_TASKS: Final = (
    "rotation.login.appRole.mount must differ from vault.workloadLogin.appRole.mount: "
    "the operator's other login may write every role there"
)
_NAMED_BY: Final = {
    "kubernetes": ("mount", "role"),
    "jwt": ("mount", "role"),
    "appRole": ("mount", "roleID"),
    "tokenFile": ("name",),
}
"""What tells two logins of one method apart, by the method's block."""


class Rotation(Model):
    """A login of its own for rotations: the only one that writes values. It writes no policy and no role."""

    login: Login
    """How the operator logs in to rotate. Another login than the store's own, with the rights of vault-setup alone."""


def apart_rules() -> tuple[dict[str, str], ...]:
    """Return the rules of a backend's spec that keep its two logins apart."""
    same = " || ".join(
        " && ".join(
            [
                f"has(self.rotation.login.{block}) && has(self.vault.login.{block})",
                *(f"self.rotation.login.{block}.{name} == self.vault.login.{block}.{name}" for name in names),
            ]
        )
        for block, names in _NAMED_BY.items()
    )
    return (
        rule(f"!has(self.rotation) || !has(self.vault) || !({same})", _ANOTHER),
        rule(
            "!has(self.rotation) || !has(self.vault) || !has(self.rotation.login.appRole)"
            " || !has(self.vault.workloadLogin.appRole)"
            " || self.rotation.login.appRole.mount != self.vault.workloadLogin.appRole.mount",
            _NOT_THE_TASKS,
        ),
    )


def check_apart(rotation: Rotation, own: Login, tasks: WorkloadLogin) -> None:
    """Raise ValueError unless the login for rotations is neither the store's own nor one that it could rewrite."""
    login = rotation.login
    if _who(login) == _who(own):
        raise ValueError(_ANOTHER)
    if login.app_role is not None and tasks.app_role is not None and login.app_role.mount == tasks.app_role.mount:
        raise ValueError(_NOT_THE_TASKS)


def _who(login: Login) -> tuple[str, ...]:
    named = login.kubernetes or login.jwt
    if named is not None:
        return (login.method, named.mount, named.role.lower())  # Vault does not tell case apart in names of roles
    if login.app_role is not None:
        return (login.method, login.app_role.mount, login.app_role.role_id)
    return (login.method, login.token_file.name if login.token_file is not None else "")
