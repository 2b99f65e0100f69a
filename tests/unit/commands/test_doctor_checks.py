"""The checks of `airwarden doctor`, on facts made by hand: each finds its own fault, and says what it could not see."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from airwarden.api import crd
from airwarden.api.backend import AirflowSecretBackend, AllowRule
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.metadata import Metadata
from airwarden.commands.caller import Listing
from airwarden.commands.doctor import backend_checks, cluster_checks, store_checks
from airwarden.commands.doctor.cluster import role_grant
from airwarden.commands.doctor.facts import Facts, StoreFacts, TokenSecret, Unknown
from airwarden.commands.doctor.findings import Check, Diagnosis, Finding, Severity, Unchecked
from airwarden.commands.doctor.showing import lines, summary
from airwarden.domain.logins import ForeignLogin, ForeignLogins
from airwarden.domain.resources import FieldValue
from airwarden.providers.kubernetes.accounts import Account
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from unit.domain.making import binding, rule

NEEDED = Unknown("needs something")
READY = {"type": "Ready", "status": "True", "reason": "Ready"}
OURS = "airwarden.c1.team.billing.vault"


def backend(*rules: AllowRule, name: str = "vault", **status: Any) -> AirflowSecretBackend:
    settings = {
        "address": "https://vault:8200",
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
    }
    return AirflowSecretBackend.model_validate(
        {
            "metadata": {"name": name},
            "spec": {"type": "Vault", "vault": settings, "allow": rules or (rule(),)},
            "status": {"conditions": [READY], **status},
        }
    )


def with_status(
    reason: str, message: str = "as it is", targets: tuple[dict[str, str], ...] = ()
) -> AirflowSecretBinding:
    status = {
        "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message}],
        "targets": targets,
    }
    return AirflowSecretBinding.model_validate({**binding().model_dump(by_alias=True), "status": status})


def store(**parts: Any) -> StoreFacts:
    made = vault_setup(backend(), cluster="c1", operator=OperatorAccount("airwarden", "airwarden"))
    role: dict[str, FieldValue] = {
        "token_policies": (made.policy_name,),
        "token_no_default_policy": True,
        "bound_service_account_names": ("airwarden",),
        "bound_service_account_namespaces": ("airwarden",),
    }
    found = StoreFacts(
        "https://vault:8200", ForeignLogins(), frozenset({OURS}), 1, made.policy_name, made.policy_text, role
    )
    return dataclasses.replace(found, **parts)


@cache
def kinds() -> dict[str, Any]:
    """Return the definitions of this version, as they would be installed."""
    return {file: yaml.safe_load(text) for file, text in crd.crd_files().items()}


def facts(**parts: Any) -> Facts:
    """Return facts of a cluster in which nothing is wrong."""
    healthy = Facts(
        cluster="c1",
        operator_namespace="airwarden",
        namespace="",
        bindings=Listing((binding(),)),
        backends=Listing((backend(),)),
        all_backends=frozenset({"vault"}),
        bound=frozenset({("team", "billing")}),
        namespaces={"team": Metadata(name="team", labels={"tenant": "true"})},
        accounts=(Account("team", "billing", "u", "1", {}, automount=False),),
        token_secrets=(),
        role_grants=(),
        kinds=kinds(),
        stores={"vault": store()},
    )
    return dataclasses.replace(healthy, **parts)


def diagnosis(found: Facts) -> Diagnosis:
    checks = (
        store_checks.stores,
        cluster_checks.role_grants,
        cluster_checks.accounts,
        cluster_checks.bindings,
        backend_checks.backends,
        backend_checks.rules,
        cluster_checks.kinds,
    )
    return Diagnosis.of(said for check in checks for said in check(found))


def only(found: Facts) -> Finding:
    """Return the one thing that is wrong."""
    said = diagnosis(found)
    assert not said.unchecked
    (finding,) = said.findings
    return finding


def test_where_nothing_is_wrong_nothing_is_said_and_the_run_is_fine() -> None:
    assert diagnosis(facts()) == Diagnosis()
    assert Diagnosis().status == 0


@pytest.mark.parametrize("part", ["backends", "namespaces", "accounts", "token_secrets", "role_grants", "kinds"])
def test_what_could_not_be_looked_at_is_said_and_never_fine(part: str) -> None:
    said = diagnosis(facts(**{part: NEEDED}))
    assert said.unchecked
    assert {each.needs for each in said.unchecked} == {"needs something"}
    assert not said.findings
    assert said.status == 2
    assert "could not be checked" in summary(said, "it")


@pytest.mark.parametrize("part", ["logins", "names", "audit_devices", "operator_policy", "operator_role"])
def test_what_a_store_did_not_show_is_said(part: str) -> None:
    said = diagnosis(facts(stores={"vault": store(**{part: NEEDED})}))
    assert ([each.needs for each in said.unchecked], said.findings) == (["needs something"], ())


@pytest.mark.parametrize("stores", [{}, {"vault": NEEDED}])
def test_a_store_that_could_not_be_asked_leaves_each_of_its_checks_open(stores: Mapping[str, Unknown]) -> None:
    said = diagnosis(facts(stores=stores))
    assert [each.check for each in said.unchecked] == [Check.LOGINS, Check.LEFTOVERS, Check.OPERATOR, Check.AUDIT]


def test_findings_beat_what_could_not_be_checked_and_hints_do_not_count() -> None:
    hint = Finding(Check.RULES, Severity.HINT, "a", "b", "c")
    wrong = dataclasses.replace(hint, severity=Severity.WARNING)
    open_check = Unchecked(Check.KINDS, "a", "b")
    assert [Diagnosis.of(each).status for each in ((hint,), (hint, open_check), (hint, open_check, wrong))] == [0, 2, 1]
    assert summary(Diagnosis.of((hint,)), "it") == "Nothing is wrong, 1 hint(s). Looked at it."


def test_a_login_beside_ours_is_dangerous_and_too_many_of_them_are_not_fine() -> None:
    login = ForeignLogin("auth/kubernetes/role/legacy", ("*",), ("team",), policies=("admin",))
    found = only(facts(stores={"vault": store(logins=ForeignLogins((login,)))}))
    assert (found.check, found.severity) == (Check.LOGINS, Severity.DANGER)
    assert "team/billing log in with policies admin" in found.problem
    said = diagnosis(facts(stores={"vault": store(logins=ForeignLogins(unread=7))}))
    assert [each.needs for each in said.unchecked] == ["7 more role(s) were not looked at: there are too many"]


def test_what_an_external_account_may_do_elsewhere_is_its_owners_matter() -> None:
    login = ForeignLogin("auth/kubernetes/role/legacy", ("billing",), ("team",))
    body = binding().model_dump(by_alias=True, mode="json", exclude_none=True)
    body["spec"]["serviceAccount"]["mode"] = "External"
    external = Listing((AirflowSecretBinding.model_validate(body),))
    stores = {"vault": store(logins=ForeignLogins((login,)))}
    assert diagnosis(facts(stores=stores, bindings=external, accounts=())) == Diagnosis()
    assert diagnosis(facts(stores=stores, accounts=())).findings


def test_a_leftover_is_what_no_binding_names_or_records() -> None:
    def left(*names: str, **parts: Any) -> list[str]:
        found = diagnosis(facts(stores={"vault": store(names=frozenset(names))}, **parts)).findings
        return [each.problem.split()[0] for each in found]

    ghost, gone = "airwarden.c1.team.ghost.vault", "airwarden.c1.team.billing.gone"
    assert left(OURS, ghost, gone) == [gone, ghost]
    assert left(OURS, "airwarden.c1.team.billing.other", all_backends=frozenset({"vault", "other"})) == []
    assert left(ghost, bound=frozenset({("team", "ghost")})) == [], "made meanwhile, or cannot be read"
    assert left("airwarden.c1.elsewhere.x.vault", namespace="team") == []
    assert left(gone, all_backends=NEEDED) == []
    assert left("airwarden.c1.junk", "airwarden.c1.UPPER.x.vault") == []
    recorded = with_status(
        "x", targets=({"backend": "vault", "kind": "VaultPolicy", "name": OURS, "state": "Present"},)
    )
    moved = recorded.model_copy(update={"spec": binding(account="billing").spec})
    assert left(OURS, bindings=Listing((moved,))) == ["is"], "only the binding itself is not Ready"


def test_an_operator_with_more_rights_than_printed_is_dangerous() -> None:
    text = store().operator_policy
    assert isinstance(text, str)
    found = only(facts(stores={"vault": store(operator_policy=text + 'path "sys/auth" {\n  x\n}\n')}))
    assert (found.severity, found.problem) == (
        Severity.DANGER,
        "policy airwarden-operator.c1 gives rights on sys/auth, which the operator does not need",
    )
    wider = text.replace('"token_policies" = ["airwarden.c1.*"]', '"token_policies" = []')
    assert (
        "differs from what vault-setup prints, at auth/kubernetes/role"
        in only(facts(stores={"vault": store(operator_policy=wider)})).problem
    )
    unlike = only(facts(stores={"vault": store(operator_policy='path "*" { capabilities = ["sudo"] }')}))
    assert "was not compared" in unlike.problem
    denied = text.replace('["***", "*,*"]', "[]")
    assert "differs" in only(facts(stores={"vault": store(operator_policy=denied)})).problem


def test_in_mode_fenced_a_right_to_write_policies_is_found_although_a_move_needs_it() -> None:
    fenced = {"mode": "Fenced", "fenced": {"role": "tasks", "slots": {"own": 1, "shared": 1, "dynamic": 1}}}
    body = backend().model_dump(by_alias=True, mode="json", exclude_none=True)
    body["spec"]["vault"] |= fenced
    made = AirflowSecretBackend.model_validate(body)
    operator = OperatorAccount("airwarden", "airwarden")

    def found(options: ModeOptions, *, scan: bool = False) -> Diagnosis:
        printed = vault_setup(made, cluster="c1", operator=operator, options=options, foreign_role_scan=scan)
        text = printed.policy_text
        text = text.replace("${ACCESSOR}", "auth_kubernetes_1234")
        return diagnosis(facts(backends=Listing((made,)), stores={"vault": store(operator_policy=text)}))

    assert found(ModeOptions()) == Diagnosis()
    assert found(ModeOptions(), scan=True) == Diagnosis()
    moving = found(ModeOptions(moving=True)).findings
    assert {each.severity for each in moving} == {Severity.WARNING}
    assert any("sys/policies/acl/airwarden.c1.*, which it needs only while it moves" in each.problem for each in moving)


def test_a_policy_that_permits_namespaces_by_pattern_is_found() -> None:
    text = store().operator_policy
    assert isinstance(text, str)
    wide = text.replace(
        '"bound_service_account_namespaces" = ["team"]', '"bound_service_account_namespaces" = ["team", "t*"]'
    )
    assert "by pattern: t*" in only(facts(stores={"vault": store(operator_policy=wide)})).problem
    open_list = text.replace('"bound_service_account_namespaces" = ["team"]', '"bound_service_account_namespaces" = []')
    said = diagnosis(facts(stores={"vault": store(operator_policy=open_list)})).findings
    assert any("differs from what vault-setup prints" in each.problem for each in said), "an empty list is any value"


def test_namespaces_of_the_operators_policy_are_compared_with_the_rules() -> None:
    wide = vault_setup(
        backend(), cluster="c1", operator=OperatorAccount("airwarden", "airwarden"), namespaces=("spare",)
    ).policy_text
    found = only(facts(stores={"vault": store(operator_policy=wide)}))
    assert (found.severity, found.problem.rpartition(": ")[2]) == (Severity.HINT, "spare")
    selecting = backend(rule(), rule("b", namespaces={"selector": {"matchLabels": {"tenant": "true"}}}))
    known = {name: Metadata(name=name, labels={"tenant": "true"}) for name in ("team", "second")}
    missing = only(facts(backends=Listing((selecting,)), namespaces=known))
    assert (missing.severity, "namespace second" in missing.problem) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("part", "value", "severity"),
    [
        ("token_policies", ("airwarden-operator.c1", "admin"), Severity.DANGER),
        ("token_no_default_policy", False, Severity.HINT),
        ("bound_service_account_names", ("airwarden", "other"), Severity.DANGER),
        ("bound_service_account_namespaces", ("*",), Severity.DANGER),
    ],
)
def test_a_role_of_the_operator_that_reaches_further_is_found(part: str, value: object, severity: Severity) -> None:
    role = store().operator_role
    assert isinstance(role, Mapping)
    assert only(facts(stores={"vault": store(operator_role={**role, part: value})})).severity is severity


def test_a_store_without_audit_is_a_hint() -> None:
    assert only(facts(stores={"vault": store(audit_devices=0)})).severity is Severity.HINT


def test_a_blocked_deletion_is_dangerous_and_any_other_fault_a_warning() -> None:
    blocked = only(facts(bindings=Listing((with_status("DeletionBlocked", "BackendSealed: x"),))))
    assert (blocked.severity, blocked.object) == (Severity.DANGER, "binding team/billing")
    assert blocked.problem == "cannot be deleted, so its access may still hold: BackendSealed: x"
    refused = only(facts(bindings=Listing((with_status("KeyNotAllowed", "why"),))))
    assert (refused.severity, refused.problem) == (Severity.WARNING, "is not Ready, KeyNotAllowed: why")
    assert refused.next_step.startswith("Ask for a key")
    assert (
        only(facts(bindings=Listing((with_status("OfANewerRelease"),)))).next_step == "kubectl describe asb says more"
    )


def test_a_binding_that_names_no_backend_is_found_once() -> None:
    found = only(facts(bindings=Listing((with_status("BackendNotFound"),)), all_backends=frozenset({"other"})))
    assert found.problem == "names backend vault, which does not exist"


@pytest.mark.parametrize(
    "target",
    [
        {"backend": "vault", "kind": "VaultPolicy", "name": "admin", "state": "Present"},
        {"backend": "vault", "kind": "VaultPolicy", "name": "airwarden.c1.other.billing.vault", "state": "Present"},
        {"backend": "", "kind": "ServiceAccount", "name": "default", "state": "Present"},
        {"backend": "Not A Name", "kind": "VaultPolicy", "name": "x", "state": "Present"},
    ],
)
def test_a_forged_record_is_dangerous_and_a_true_one_is_not(target: dict[str, str]) -> None:
    own = {"backend": "vault", "kind": "VaultPolicy", "name": OURS, "state": "Present"}
    said = diagnosis(facts(bindings=Listing((with_status("Pending", targets=(own, target)),)))).findings
    (forged,) = (each for each in said if each.severity is Severity.DANGER)
    assert target["name"] in forged.problem
    assert OURS not in forged.problem


def test_objects_against_their_schema_are_found() -> None:
    found = diagnosis(facts(bindings=Listing((), {"team/x": "spec.y: wrong"}), backends=Listing((), {"vault": "bad"})))
    assert {(each.object, each.severity) for each in found.findings} == {
        ("binding team/x", Severity.WARNING),
        ("backend vault", Severity.WARNING),
    }


def test_a_backend_that_nobody_looked_at_or_that_lacks_rights_is_found() -> None:
    silent = backend().model_copy(update={"status": None})
    assert only(facts(backends=Listing((silent,)))).problem == "no operator has looked at it"
    lacking = backend(
        conditions=[{"type": "Ready", "status": "False", "reason": "BackendForbidden", "message": "why"}],
        missingPermissions=["sys/policies/acl: list"],
    )
    found = only(facts(backends=Listing((lacking,))))
    assert found.problem == "is not Ready, BackendForbidden: why (sys/policies/acl: list)"
    assert "vault-setup" in found.next_step


def test_a_backend_that_nobody_uses_is_a_hint_only_where_all_bindings_were_seen() -> None:
    both = Listing((backend(), backend(name="spare")))
    names = frozenset({"vault", "spare"})
    stores = {"vault": store(), "spare": store(names=frozenset())}
    assert only(facts(backends=both, all_backends=names, stores=stores)).object == "backend spare"
    assert diagnosis(facts(backends=both, all_backends=names, stores=stores, namespace="team")) == Diagnosis()


ROLES: dict[str, Any] = {"engine": "roles", "rolePrefixes": ["{namespace}."], "usernames": ["u_*"]}
WIDE: dict[str, Any] = {
    "keyPrefixes": ["{namespace}/", "shared/"],
    "session": {"maxTTL": "2h", "required": False},
    "dynamic": [ROLES],
}


@pytest.mark.parametrize(
    ("narrow", "hidden"),
    [
        ({}, True),
        ({"keyPrefixes": ["{namespace}/x/"]}, True),
        ({"keyPrefixes": ["other/"]}, False),
        ({"session": {"maxTTL": "3h"}}, False),
        ({"names": ("team", "second")}, False),
        ({"namespaces": {"selector": {"matchLabels": {"a": "b"}}}}, False),
        ({"dynamic": [{"engine": "database", "rolePrefixes": ["{namespace}."]}]}, False),
        ({"dynamic": [ROLES]}, True),
        *(({"dynamic": [{**ROLES, each: ["x"]}]}, False) for each in ("connections", "usernames", "roots")),
    ],
)
def test_a_rule_is_useless_where_another_admits_all_of_it(narrow: dict[str, Any], hidden: bool) -> None:
    assert backend_checks.covers(rule("wide", **WIDE), rule("narrow", **narrow)) is hidden


def test_selectors_with_fewer_labels_are_wider_and_a_required_session_is_stricter() -> None:
    def selecting(name: str, *labels: str, **more: Any) -> AllowRule:
        return rule(name, namespaces={"selector": {"matchLabels": dict.fromkeys(labels, "x")}}, **more)

    assert backend_checks.covers(selecting("wide", "a"), selecting("narrow", "a", "b"))
    assert not backend_checks.covers(selecting("wide", "a", "b"), selecting("narrow", "a"))
    assert not backend_checks.covers(rule("strict"), rule("lax", session={"maxTTL": "1h", "required": False}))


def test_of_two_equal_rules_the_later_is_useless_and_a_rule_for_nobody_is_found() -> None:
    twins = diagnosis(facts(backends=Listing((backend(rule("first"), rule("second")),)))).findings
    assert [each.problem for each in twins] == ["rule second changes nothing: rule first admits all of it"]
    lonely = diagnosis(facts(backends=Listing((backend(rule("lonely", names=("nowhere",))),))))
    assert "rule lonely admits nobody: no namespace has such a name or such labels" in {
        each.problem for each in lonely.findings
    }


def test_rights_in_kubernetes_are_found_by_account_user_and_group() -> None:
    def granted(kind: str, name: str, namespace: str = "") -> list[Severity]:
        subject = {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}
        body = {
            "metadata": {"name": "x", "namespace": "team"},
            "roleRef": {"kind": "ClusterRole", "name": "edit"},
            "subjects": [subject],
        }
        return [each.severity for each in diagnosis(facts(role_grants=(role_grant("RoleBinding", body),))).findings]

    assert granted("ServiceAccount", "billing") == [Severity.WARNING], "its namespace is that of the role binding"
    assert granted("ServiceAccount", "billing", "elsewhere") == []
    assert granted("User", "system:serviceaccount:team:billing") == [Severity.WARNING]
    assert granted("Group", "system:serviceaccounts:team") == [Severity.WARNING]
    assert granted("Group", "system:serviceaccounts:other") == []
    assert granted("Group", "system:serviceaccounts") == [Severity.HINT]
    assert granted("Group", "people") == []


def test_tokens_of_managed_accounts_are_found_and_those_of_others_are_not_our_matter() -> None:
    secrets = (TokenSecret("team", "lasting", "billing"), TokenSecret("team", "other", "default"))
    assert "Secret team/lasting" in only(facts(token_secrets=secrets)).problem
    mounted = (Account("team", "billing", "u", "1", {}, automount=None),)
    assert "automountServiceAccountToken" in only(facts(accounts=mounted)).problem


def test_kinds_are_compared_without_writing_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = kinds()
    monkeypatch.setattr(crd, "crd_files", None)  # to write them takes so long that requests under way would give up
    assert diagnosis(facts(kinds=installed)) == Diagnosis()


def test_installed_kinds_are_compared_but_not_with_what_the_server_fills_in() -> None:
    file = next(iter(kinds()))
    filled = yaml.safe_load(yaml.safe_dump(kinds()[file]))
    filled["spec"]["conversion"] = {"strategy": "None"}
    filled["status"] = {}
    assert diagnosis(facts(kinds={**kinds(), file: filled})) == Diagnosis()
    schema = filled["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    schema["spec"]["properties"]["added"] = {"type": "string"}
    assert only(facts(kinds={**kinds(), file: filled})).problem.endswith("properties.spec.properties.added")
    assert only(facts(kinds={**kinds(), file: None})).problem == "is not installed"


def test_what_is_shown_is_grouped_the_worst_first_and_without_control_characters() -> None:
    worst = Finding(Check.LOGINS, Severity.DANGER, "a", "evil\x1b[2J", "do")
    hint = Finding(Check.LOGINS, Severity.HINT, "a", "b", "c")
    said = [text.plain for text in lines(Diagnosis.of((hint, worst, worst, Unchecked(Check.KINDS, "x", "y"))), "it")]
    assert said == [
        "Logins beside Airwarden",
        "  danger  a",
        "    evil [2J",
        "    next: do",
        "  hint  a",
        "    b",
        "    next: c",
        "",
        "Not checked",
        "  Installed kinds, x: y",
        "",
        "1 finding(s), 1 hint(s), 1 thing(s) could not be checked. Looked at it.",
    ]
