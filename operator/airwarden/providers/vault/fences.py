"""What the operator's policy lets it write into a role, method by method: Vault's own parameter rules.

What Vault makes of them was tried on a real one: numbers of a rule match texts only, `[]` is any value, a
last star is a glob, `"***"` means "holds a star". Pure; called by `airwarden.providers.vault.setup`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.jwt_role import subject
from airwarden.providers.vault.role_forms import AppRoleForm, JWTForm, KubernetesForm, RoleForm

Parameters = tuple[tuple[str, str], ...]
_VALUE: Final = re.compile(r"[A-Za-z0-9._:/-]+")
_ANY: Final = "[]"
_EMPTY: Final = '[""]'
_NO_COMMA: Final = '["*,*"]'
_PLAIN: Final = '["***", "*,*"]'


@dataclass(frozen=True, slots=True)
class Fence:
    """Names of parameters with the values that they may have, and must not have, as a policy writes them."""

    allowed: Parameters
    denied: Parameters


def fence(form: RoleForm, cluster: str, namespaces: Iterable[str]) -> Fence:
    """Return what may be written into roles of this form for accounts of these namespaces.

    Raises InvalidSettings for a value that cannot stand in a policy.
    """
    # A star, and a comma that Vault would split at, get past an allowed value that ends with a star.
    denied: Parameters = (("token_policies", _NO_COMMA),)
    if isinstance(form, KubernetesForm):
        own = _kubernetes(form, namespaces)
        denied += (("bound_service_account_names", _PLAIN), ("bound_service_account_namespaces", _PLAIN))
    elif isinstance(form, JWTForm):
        own = _jwt(form, namespaces)
    elif isinstance(form, AppRoleForm):
        own = _app_role(form)
    else:
        raise InvalidSettings(f"no fence is known for {form.kind}: choose another workloadLogin.method")
    return Fence((*own, *_token(cluster)), denied)


def group_fence(cluster: str, group_ids: Iterable[str]) -> Fence:
    """Return what may be written into identity groups: our policies, the admin's groups as members, and no entity."""
    return Fence(
        (
            ("type", strings("internal")),
            ("policies", _below(f"{PREFIX}.{cluster}.")),
            ("member_group_ids", strings(*sorted(set(group_ids)))),
            ("member_entity_ids", _EMPTY),
            ("metadata", _ANY),
        ),
        (("policies", _NO_COMMA),),
    )


def _kubernetes(form: KubernetesForm, namespaces: Iterable[str]) -> Parameters:
    return (
        ("bound_service_account_names", _ANY),
        ("bound_service_account_namespaces", strings(*namespaces)),
        ("bound_service_account_namespace_selector", _EMPTY),
        ("audience", strings(form.audience)),
        ("alias_name_source", strings("serviceaccount_uid")),
    )


def _jwt(form: JWTForm, namespaces: Iterable[str]) -> Parameters:
    return (
        ("role_type", strings("jwt")),
        ("user_claim", strings("sub")),
        ("user_claim_json_pointer", "[false]"),
        ("bound_audiences", strings(form.audience)),
        ("bound_subject", _below(*(subject(each, "") for each in namespaces))),
        ("bound_claims", "[{}]"),
        ("bound_claims_type", strings("string")),
        ("claim_mappings", "[{}]"),
        ("groups_claim", _EMPTY),
        ("clock_skew_leeway", '["0"]'),
        ("expiration_leeway", '["0"]'),
        ("not_before_leeway", '["0"]'),
        ("max_age", '["0"]'),
        ("allowed_redirect_uris", _EMPTY),
        ("oidc_scopes", _EMPTY),
        ("verbose_oidc_logging", "[false]"),
    )


def _app_role(form: AppRoleForm) -> Parameters:
    return (
        ("bind_secret_id", "[true]"),
        ("secret_id_ttl", strings(str(form.body({"secret_id_ttl": form.secret_id_ttl})["secret_id_ttl"]))),
        ("secret_id_num_uses", strings(str(form.secret_id_uses))),
        ("secret_id_bound_cidrs", _EMPTY),
    )


def _token(cluster: str) -> Parameters:
    return (
        ("token_policies", _below(f"{PREFIX}.{cluster}.")),
        ("token_ttl", _ANY),
        ("token_max_ttl", _ANY),
        ("token_explicit_max_ttl", _ANY),
        ("token_period", '["0"]'),
        ("token_num_uses", '["0"]'),
        ("token_bound_cidrs", _EMPTY),
        ("token_type", strings("service")),
        ("token_no_default_policy", "[true]"),
    )


def strings(*values: str) -> str:
    """Return the values as a list of a policy. Raises InvalidSettings for one that could be read otherwise."""
    return "[" + ", ".join(f'"{_checked(value)}"' for value in values) + "]"


def _below(*prefixes: str) -> str:
    return "[" + ", ".join(f'"{_checked(prefix)}*"' for prefix in prefixes) + "]"


def _checked(value: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise InvalidSettings(f"{value!r} cannot stand in a policy: write letters, digits and . _ : / -")
    return value
