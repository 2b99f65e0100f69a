"""One operator with a backend per way to log in: each gets Ready, and workloads read by it and are refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding
from integration.objects import AUTH, backend_object, rule
from integration.world import World, eventually
from plane import program, vault_admin
from plane.binaries import REPOSITORY
from plane.errors import PlaneHTTPError
from plane.json_client import Json
from plane.operator import ACCOUNT, CLUSTER, NAMESPACE
from plane.printed import run_script

DEADLINE: Final = 60.0
KEYS: Final = ("pki", "kubernetes", "service-account.pub")
PAIRS: Final[dict[str, tuple[Json, Json, str]]] = {
    "AppRole, tasks by JWT": (
        {"method": "AppRole", "appRole": {"mount": "ops-approle", "roleID": "operator", "secretIDFile": "secret-id"}},
        {"method": "JWT", "jwt": {"mount": "tasks-jwt", "audience": "vault"}},
        "auth/ops-approle/login",
    ),
    "JWT, tasks by AppRole": (
        {"method": "JWT", "jwt": {"mount": "ops-jwt", "role": "operator"}},
        {"method": "AppRole", "appRole": {"mount": "tasks-approle", "secretIDTTL": "1h"}},
        "auth/ops-jwt/login",
    ),
    "TokenFile, tasks by Kubernetes": (
        {"method": "TokenFile", "tokenFile": {"name": "vault-token"}},
        {"method": "Kubernetes", "kubernetes": {"mount": AUTH, "audience": "vault"}},
        "auth/token/lookup-self",
    ),
}
BY_APP_ROLE: Final = "JWT, tasks by AppRole"
ROLE_KINDS: Final = {"JWT": "VaultJWTRole", "AppRole": "VaultAppRole", "Kubernetes": "VaultKubernetesRole"}


@dataclass(frozen=True)
class Prepared:
    """A backend that is Ready, for one namespace, with the name of the policy that was printed for it."""

    backend: Backend
    team: str
    policy: str
    login_path: str
    workload: Json
    mark: int

    def logins(self) -> int:
        """Return how often the operator logged in for it."""
        entries = self.backend.world.plane.vault.audit.entries(self.mark)
        return sum(each.path == self.login_path for each in entries)


@pytest.fixture
def prepare(world: World, backend: MakeBackend, team: str) -> Callable[[str], Prepared]:
    """Return a function that runs the printed script of a pair for the team's namespace, and makes the backend."""

    def make(name: str) -> Prepared:
        login, workload, login_path = PAIRS[name]
        spec: dict[str, Any] = {"vault": {"login": login, "workloadLogin": workload}, "allow": [rule(names=(team,))]}
        store = world.fresh("logins")
        policy = f"operator-{login['method'].lower()}"
        print_and_run(
            world, backend_object(store, world.plane.vault_address, **dict(spec, vault=dict(spec["vault"]))), policy
        )
        mark = world.plane.vault.audit.mark()
        made = backend(store, **spec)
        return Prepared(made, team, policy, login_path, workload, mark)

    return make


def print_and_run(world: World, body: Json, policy: str) -> None:
    """Run what `airwarden vault-setup --policy` prints for a backend."""
    model = AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
    account = OperatorAccount(NAMESPACE, ACCOUNT)
    made = vault_setup(model, cluster=CLUSTER, operator=account, options=ModeOptions(policy=policy))
    tokens = world.operator.tokens
    run_script(
        world.plane,
        made.script,
        SECRET_ID_FILE=str(tokens / "secret-id"),
        TOKEN_FILE=str(tokens / "vault-token"),
        JWT_PUBLIC_KEYS_FILE=str(world.plane.data_dir.joinpath(*KEYS)),
    )


@pytest.fixture(params=list(PAIRS))
def prepared(request: pytest.FixtureRequest, prepare: Callable[[str], Prepared]) -> Prepared:
    """Return a backend for each pair."""
    return prepare(request.param)


@pytest.fixture
def by_app_role(prepare: Callable[[str], Prepared], binding: MakeBinding) -> Iterator[tuple[Prepared, Binding]]:
    """Return a backend whose workloads log in by AppRole, with a binding that is Ready."""
    made = prepare(BY_APP_ROLE)
    bound = binding(made.team, made.backend)
    bound.wait_ready(DEADLINE)
    yield made, bound


def workload_token(prepared: Prepared, bound: Binding, account: str) -> str:
    """Log in as a workload of the account does; PlaneHTTPError when it is refused."""
    plane, workload = bound.world.plane, prepared.workload
    if workload["method"] != "AppRole":
        mount = next(iter(set(workload) - {"method"}))
        jwt = plane.service_account_token(bound.namespace, account, "vault", 600)
        return vault_admin.login(plane, bound.store_name, jwt, workload[mount]["mount"])
    return app_role_token(bound, *hand_out(prepared, bound))


def hand_out(prepared: Prepared, bound: Binding) -> tuple[str, str]:
    """Run `airwarden secret-id` and what it prints; return role id and secret-id."""
    said = command(prepared, f"{bound.namespace}/{bound.name}").stdout
    lines = dict(line.split(":", 1) for line in said.splitlines()[:2])
    wrapping, role_id = lines["wrapping token"].strip(), lines["role id"].strip()
    printed = next(line.strip() for line in said.splitlines() if "vault unwrap" in line)
    folder = bound.world.operator.folder
    run_script(bound.world.plane, f"cd {folder}\n{printed.replace('<wrapping token>', wrapping)}\n")
    return role_id, (folder / "secret-id").read_text()


def command(prepared: Prepared, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with the token of somebody who may hand out secret-ids."""
    world = prepared.backend.world
    if token is None:
        body = {"policies": [f"{prepared.policy}.secret-ids"], "no_default_policy": True, "ttl": "5m"}
        token = world.plane.vault.request("POST", "auth/token/create", body)["auth"]["client_token"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(world.operator.folder),
        "KUBECONFIG": str(world.plane.kubeconfig),
        "VAULT_TOKEN": str(token),
        "AIRWARDEN_CLUSTER": CLUSTER,
        "PYTHONPATH": str(REPOSITORY / "operator"),
    }
    return program.run(["secret-id", *arguments], environment, world.operator.folder)


def app_role_token(bound: Binding, role_id: str, secret_id: str) -> str:
    body = {"role_id": role_id, "secret_id": secret_id}
    answer = bound.world.plane.vault.request("POST", "auth/tasks-approle/login", body, token="")
    return str(answer["auth"]["client_token"])


def test_a_binding_gets_ready_reads_its_own_alone_and_leaves_nothing(
    world: World, prepared: Prepared, binding: MakeBinding
) -> None:
    team, method = prepared.team, prepared.workload["method"]
    bound = binding(team, prepared.backend)
    status = bound.wait_ready(DEADLINE)
    kinds = {each["kind"] for each in status["targets"]}
    assert kinds == {"ServiceAccount", "VaultPolicy", ROLE_KINDS[method]}
    value = world.write_secret(f"{team}/connections/warehouse")
    world.write_secret(f"{team}/connections/other")
    token = workload_token(prepared, bound, bound.account)
    assert world.read(token, f"{team}/connections/warehouse") == value
    assert not world.may_read(token, f"{team}/connections/other")
    if method != "AppRole":
        world.plane.api.create_service_account(team, "intruder")
        with pytest.raises(PlaneHTTPError):
            workload_token(prepared, bound, "intruder")
    assert prepared.logins() == 1
    assert_kept_secret(world, prepared)
    bound.delete()
    bound.wait_gone(DEADLINE)
    assert not world.may_read(token, f"{team}/connections/warehouse")
    mount = next(iter(set(prepared.workload) - {"method"}))
    path = f"auth/{prepared.workload[mount]['mount']}/role/{bound.store_name}"
    with pytest.raises(PlaneHTTPError, match="404"):
        world.plane.vault.request("GET", path)


def proof_of(prepared: Prepared) -> Path:
    """Return the file that the operator logs in with."""
    names = {"AppRole": "secret-id", "JWT": "vault", "TokenFile": "vault-token"}
    method = prepared.backend.body()["spec"]["vault"]["login"]["method"]
    return prepared.backend.world.operator.tokens / names[method]


def assert_kept_secret(world: World, prepared: Prepared) -> None:
    """Find the operator's proof in nothing that it lets out; its log is at debug level."""
    secret = proof_of(prepared).read_text().strip().rsplit(".", maxsplit=1)[-1]
    kinds = "airflowsecretbindings,airflowsecretbackends,serviceaccounts,events,configmaps"
    shown = world.plane.kubectl("get", kinds, "-A", "-o", "json", "--show-managed-fields")
    log = world.operator.log.read_text()
    assert prepared.backend.name in shown
    for text in (shown, log, world.operator.metrics()):
        assert secret not in text


def test_a_file_that_is_away_is_told_by_name_and_heals_when_it_is_back(world: World, prepared: Prepared) -> None:
    file = proof_of(prepared)
    aside = file.with_name(".aside")
    file.rename(aside)
    try:
        # A change of the connection makes a new login necessary.
        prepared.backend.edit(requests={"perSecond": 400})
        said = prepared.backend.wait_condition("Ready", "False", "BackendMisconfigured", DEADLINE)
        assert str(file) in said["message"]
    finally:
        aside.rename(file)
    prepared.backend.wait_ready(DEADLINE)


def test_a_role_of_each_kind_that_was_changed_is_set_right(
    world: World, prepared: Prepared, binding: MakeBinding
) -> None:
    prepared.backend.edit(drift={"interval": "2s"})
    bound = binding(prepared.team, prepared.backend)
    bound.wait_ready(DEADLINE)
    field = next(iter(set(prepared.workload) - {"method"}))
    path = f"auth/{prepared.workload[field]['mount']}/role/{bound.store_name}"
    before = world.plane.vault.request("GET", path)["data"]
    changed: Json = {"token_num_uses": 7}
    if field == "jwt":
        changed |= {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault"}
    world.plane.vault.request("POST", path, changed)
    eventually("the role is set right", lambda: world.plane.vault.request("GET", path)["data"] == before, DEADLINE)


def test_the_status_says_what_an_app_role_does_not_protect(by_app_role: tuple[Prepared, Binding]) -> None:
    prepared, _ = by_app_role
    ready = prepared.backend.wait_condition("Ready", "True")
    assert "whoever holds a secret-id has the binding's access" in ready["message"]


def test_a_secret_id_reaches_its_receiver_and_neither_the_cluster_nor_the_operator(
    world: World, by_app_role: tuple[Prepared, Binding]
) -> None:
    prepared, bound = by_app_role
    role_id, secret_id = hand_out(prepared, bound)
    assert app_role_token(bound, role_id, secret_id).startswith("hvs.")
    kinds = "airflowsecretbindings,airflowsecretbackends,serviceaccounts,events,configmaps,secrets"
    shown = world.plane.kubectl("get", kinds, "-A", "-o", "json", "--show-managed-fields")
    assert bound.store_name in shown
    for text in (shown, world.operator.log.read_text(), world.operator.metrics()):
        assert secret_id not in text
    entries = world.plane.vault.audit.entries()
    asked = [each for each in entries if each.path == f"auth/tasks-approle/role/{bound.store_name}/secret-id"]
    assert [each.display_name for each in asked] == ["token"], "only the token of the one who hands it out"


def test_the_command_refuses_what_would_not_be_safe_or_not_work(
    world: World, by_app_role: tuple[Prepared, Binding], backend: MakeBackend, binding: MakeBinding
) -> None:
    prepared, bound = by_app_role
    name = f"{bound.namespace}/{bound.name}"
    usual = binding(prepared.team, backend(allow=[rule(names=(prepared.team,))]))
    powerless = world.plane.vault.request("POST", "auth/token/create", {"policies": ["default"], "ttl": "5m"})
    for arguments, token, status, words in (
        ((name, "--wrap-ttl", "0s"), None, 2, "printed only wrapped"),
        ((f"{bound.namespace}/nobody",), None, 2, "there is no AirflowSecretBinding nobody"),
        ((name, "--backend", "other"), None, 2, f"does not name backend other: give --backend {bound.backend}"),
        ((f"{usual.namespace}/{usual.name}",), None, 2, "log in by Kubernetes, which needs no secret-id"),
        ((name,), powerless["auth"]["client_token"], 1, "Your token's policies do not cover it"),
        ((name,), "hvs.nobodys", 1, "does not know your token"),
        ((name, "--cluster", "elsewhere"), world.plane.vault_token, 1, "there is no AppRole airwarden.elsewhere."),
    ):
        done = command(prepared, *arguments, token=token)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert words in " ".join(done.stderr.split())
