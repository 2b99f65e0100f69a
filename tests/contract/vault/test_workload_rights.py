"""What the printed policies let a stolen operator do with JWT roles and AppRoles: asked of Vault, call by call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import NAMESPACE, grant
from contract.vault.ways import APP_ROLE_MOUNT, JWT_MOUNT, Way
from plane.errors import PlaneHTTPError

BY_JWT, BY_APP_ROLE = "AppRole", "JWT"  # the pairs in which tasks log in so
NAME: Final = f"airwarden.c1.{NAMESPACE}.rights.contract-vault"
JWT_ROLE, APP_ROLE = f"auth/{JWT_MOUNT}/role/{NAME}", f"auth/{APP_ROLE_MOUNT}/role/{NAME}"
WANTED: Final = grant("rights")
TOKEN_ABUSE: Final[tuple[dict[str, Any], ...]] = (
    {"token_policies": "admin"},
    {"token_policies": f"{NAME},admin"},
    {"token_policies": [NAME, "admin"]},
    {"token_policies": "airwarden.c2.team.x"},
    {"token_policies": None},
    {"policies": "admin"},
    {"token_period": "1h"},
    {"token_num_uses": "5"},
    {"token_bound_cidrs": "0.0.0.0/0"},
    {"token_type": "batch"},
    {"token_no_default_policy": False},
    {"period": "1h"},
)
JWT_ABUSE: Final[tuple[dict[str, Any], ...]] = (
    {"role_type": "oidc"},
    {"user_claim": "iss"},
    {"bound_audiences": "other"},
    {"bound_audiences": ["vault", "other"]},
    {"bound_subject": "system:serviceaccount:kube-system:x"},
    {"bound_subject": f"system:serviceaccount:{NAMESPACE}"},
    {"bound_claims": {"a": "b"}},
    {"bound_claims_type": "glob"},
    {"claim_mappings": {"iss": "x"}},
    {"groups_claim": "aud"},
    {"expiration_leeway": "1000h"},
    {"clock_skew_leeway": "1000h"},
    {"not_before_leeway": "1000h"},
    {"allowed_redirect_uris": "https://evil"},
    {"verbose_oidc_logging": True},
    {"user_claim_json_pointer": True},
)
APP_ROLE_ABUSE: Final[tuple[dict[str, Any], ...]] = (
    {"bind_secret_id": False},
    {"role_id": "chosen"},
    {"secret_id_ttl": "1000h"},
    {"secret_id_ttl": "0"},
    {"secret_id_num_uses": "0"},
    {"secret_id_bound_cidrs": "0.0.0.0/0"},
    {"bound_cidr_list": "0.0.0.0/0"},
    {"local_secret_ids": True},
)
CASES: Final[list[tuple[str, str, str, dict[str, Any]]]] = [
    *((BY_JWT, "POST", JWT_ROLE, each) for each in (*JWT_ABUSE, *TOKEN_ABUSE)),
    *((BY_APP_ROLE, "POST", APP_ROLE, each) for each in (*APP_ROLE_ABUSE, *TOKEN_ABUSE)),
]
REFUSED: Final[list[tuple[str, str, str, Any]]] = [
    (BY_JWT, "POST", f"auth/{JWT_MOUNT}/role/other", {"role_type": "jwt"}),
    (BY_JWT, "POST", f"auth/{JWT_MOUNT}/role/airwarden.c2.a.b.c", {"role_type": "jwt"}),
    (BY_JWT, "POST", f"auth/{JWT_MOUNT}/config", {"jwks_url": "https://evil"}),
    (BY_JWT, "GET", f"auth/{JWT_MOUNT}/config", None),
    (BY_JWT, "POST", "auth/contract-ops-approle/role/contract-operator-approle", {"token_policies": NAME}),
    (BY_JWT, "POST", "auth/contract-ops-approle/role/contract-operator-approle/secret-id", {}),
    (BY_JWT, "POST", APP_ROLE, {}),
    *(
        (BY_APP_ROLE, method, f"{APP_ROLE}/{below}", body)
        for method, below, body in (
            ("POST", "secret-id", {}),
            ("PUT", "secret-id", None),
            ("LIST", "secret-id", None),
            ("POST", "custom-secret-id", {"secret_id": "x" * 30}),
            ("POST", "secret-id/lookup", {"secret_id": "x"}),
            ("GET", "role-id", None),
            ("POST", "role-id", {"role_id": "chosen"}),
            ("POST", "policies", {"token_policies": NAME}),
            ("POST", "bind-secret-id", {"bind_secret_id": False}),
            ("DELETE", "bind-secret-id", None),
            ("POST", "secret-id-ttl", {"secret_id_ttl": "0"}),
        )
    ),
    (BY_APP_ROLE, "POST", f"auth/{APP_ROLE_MOUNT}/tidy/secret-id", {}),
    (BY_APP_ROLE, "POST", "auth/contract-ops-jwt/role/contract-airwarden", {"role_type": "jwt"}),
]


@pytest.fixture(scope="module")
def tokens(ways: Mapping[str, Way]) -> dict[str, str]:
    """Return a token with each pair's printed policy and nothing else."""
    found = {}
    for name, way in ways.items():
        body = {"policies": [way.setup.policy_name], "no_default_policy": True, "ttl": "15m"}
        found[name] = str(way.bench.plane.vault.request("POST", "auth/token/create", body)["auth"]["client_token"])
    return found


def sent(way: Way) -> dict[str, Any]:
    store: VaultStore = way.open()
    return dict(store.layout.form.body(store.layout.form.desired(WANTED)))


@pytest.mark.parametrize(("name", "path"), [(BY_JWT, JWT_ROLE), (BY_APP_ROLE, APP_ROLE)], ids=["JWT", "AppRole"])
async def test_the_policy_allows_each_call_that_the_operator_makes(
    ways: Mapping[str, Way], tokens: Mapping[str, str], name: str, path: str
) -> None:
    vault, fields = ways[name].bench.plane.vault, sent(ways[name])
    for method, where, body in (
        ("POST", path, fields),
        ("GET", path, None),
        ("POST", path, fields),
        ("LIST", path.rpartition("/")[0], None),
        ("DELETE", path, None),
    ):
        vault.request(method, where, body, token=tokens[name])


@pytest.mark.parametrize(("name", "method", "path", "change"), CASES, ids=lambda each: str(each)[:60])
async def test_a_role_that_gives_more_is_refused(
    ways: Mapping[str, Way], tokens: Mapping[str, str], name: str, method: str, path: str, change: dict[str, Any]
) -> None:
    fields = {**sent(ways[name]), **change}
    with pytest.raises(PlaneHTTPError) as caught:
        ways[name].bench.plane.vault.request(method, path, fields, token=tokens[name])
    assert caught.value.status == 403, caught.value.text


@pytest.mark.parametrize(("name", "method", "path", "body"), REFUSED, ids=lambda each: str(each)[-60:])
def test_everything_beside_the_roles_is_refused(
    ways: Mapping[str, Way], tokens: Mapping[str, str], name: str, method: str, path: str, body: Any
) -> None:
    with pytest.raises(PlaneHTTPError) as caught:
        ways[name].bench.plane.vault.request(method, path, body, token=tokens[name])
    assert caught.value.status == 403, caught.value.text


async def test_what_the_fence_of_a_jwt_role_cannot_demand_is_known(
    ways: Mapping[str, Way], tokens: Mapping[str, str]
) -> None:
    """A rule cannot demand a field: a thief can leave the subject out, and the audience still decides (docs)."""
    way = ways[BY_JWT]
    fields = sent(way)
    del fields["bound_subject"]
    way.bench.plane.vault.request("POST", JWT_ROLE, fields, token=tokens[BY_JWT])
    found = way.bench.plane.vault.request("GET", JWT_ROLE)["data"]
    assert (found["bound_subject"], found["bound_audiences"]) == ("", ["vault"])
    assert found["token_policies"] == [NAME]
    way.bench.plane.vault.request("DELETE", JWT_ROLE)
