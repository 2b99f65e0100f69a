"""What `airwarden doctor` makes of a key vault that was looked at: pure judging of what Azure showed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from airwarden.api.binding import AirflowSecretBinding
from airwarden.commands.caller import Listing
from airwarden.commands.doctor.facts import Facts, KeyVaultFacts, Unknown
from airwarden.commands.doctor.findings import Check, Diagnosis, Finding, Severity
from airwarden.commands.doctor.key_vault_checks import MOST
from airwarden.commands.doctor.store_checks import stores
from airwarden.domain.owner import Owner
from airwarden.providers.azure.marks import description, tags
from airwarden.providers.azure.naming import ASSIGNMENT, whom_of
from airwarden.providers.azure.rows import Row
from airwarden.providers.azure.seen import Audit, Definition, Given, Named, State
from airwarden.providers.azure.setup import granted
from unit.azure.making import PLACE, SUBSCRIPTION, VAULT
from unit.commands.test_doctor_checks import facts
from unit.commands.test_on_key_vaults import backend
from unit.domain.making import binding, item

UID: Final = "0f9a5f5a-1111-2222-3333-444455556666"
SECRET: Final = f"{VAULT}/secrets/airflow-db"
OWNER: Final = Owner("c1", "team", "billing", "kv")
SHORT: Final = OWNER.short_name_in_store
IDENTITY: Final = "principal-of-billing"
OPERATOR: Final = "principal-of-the-operator"
GROUP: Final = "3f0c0000-aaaa-bbbb-cccc-111111111111"
GET: Final = "Microsoft.KeyVault/vaults/secrets/getSecret/action"


def role(name: str = "role", **permissions: list[str]) -> Definition:
    return Definition(name, (permissions,))


DEFINITIONS: Final = {
    "user": role("Key Vault Secrets User", dataActions=[GET]),
    "administrator": role("Key Vault Administrator", dataActions=["Microsoft.KeyVault/vaults/*"]),
    "owner": role("Owner", actions=["*"]),
    "reader": role("Reader", actions=["*/read"]),
}


def given(principal: str = "somebody", scope: str = SECRET, what: str = "user", **more: str) -> Given:
    kind, condition = more.get("kind", "ServicePrincipal"), more.get("condition", "")
    return Given(Row(f"n-{principal}", scope, what, principal, kind, more.get("description", "")), condition)


def own(
    owner: Owner = OWNER, principal: str = IDENTITY, scope: str = SECRET, uid: str = UID, what: str = "user"
) -> Given:
    return given(principal, scope, what, description=description(owner, uid))


def bound(*names: str) -> AirflowSecretBinding:
    targets = [
        {"backend": "kv", "kind": ASSIGNMENT, "name": f"{SHORT}/{each}", "state": "Present", "digest": "d"}
        for each in names or ("airflow-db",)
    ]
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}], "targets": targets}
    made = binding(item("airflow-db", backend="kv"))
    return AirflowSecretBinding.model_validate({**made.model_dump(by_alias=True, exclude_none=True), "status": status})


def vault(*rows: Given, **parts: Any) -> KeyVaultFacts:
    found = KeyVaultFacts(
        place=PLACE,
        uid=UID,
        client="client-of-the-operator",
        state=State(rbac=True, restricted="its firewall denies what no rule lets in"),
        given=rows,
        definitions=DEFINITIONS,
        identities=(Named(SHORT, IDENTITY, "client", tags(OWNER, UID)),),
        audit=Audit(anywhere=True, as_declared=True),
        operator=OPERATOR,
        operator_given=(),
    )
    return replace(found, **parts)


def around(found: KeyVaultFacts, *bindings: AirflowSecretBinding, **parts: Any) -> Facts:
    bindings = bindings or (bound(),)
    made = facts(
        backends=Listing((backend(),)), bindings=Listing(bindings), stores={"kv": found}, all_backends=frozenset({"kv"})
    )
    keys = frozenset((each.metadata.namespace, each.metadata.name) for each in bindings)
    return replace(made, **{"bound": keys, **parts})


def said(found: KeyVaultFacts, *bindings: AirflowSecretBinding, **parts: Any) -> Diagnosis:
    return Diagnosis.of(stores(around(found, *bindings, **parts)))


def beside(*rows: Given, **parts: Any) -> list[tuple[Severity, str]]:
    diagnosis = said(vault(*rows, **parts))
    assert not diagnosis.unchecked
    return [(each.severity, each.problem) for each in diagnosis.findings if each.check is Check.LOGINS]


def only(diagnosis: Diagnosis) -> Finding:
    (found,) = diagnosis.findings
    return found


def test_what_a_binding_has_on_record_for_its_own_identity_is_no_finding() -> None:
    assert said(vault(own())) == Diagnosis()
    group = given(GROUP, kind="Group", description=description(OWNER, UID, whom_of(GROUP)))
    assert said(vault(own(), group), bound("airflow-db", f"airflow-db#{whom_of(GROUP)}")) == Diagnosis()


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        (SECRET, "secret airflow-db"),
        (VAULT, "the whole vault"),
        (f"{SUBSCRIPTION}/resourcegroups/secrets", "resource group secrets"),
        (SUBSCRIPTION, "subscription s"),
        ("/providers/microsoft.management/managementgroups/all", "management group all"),
        ("", "the root of the tenant"),
    ],
)
def test_whoever_else_may_read_is_told_with_principal_type_role_and_place(scope: str, where: str) -> None:
    sentence = f"User somebody may read secrets by role Key Vault Administrator, given at {where}"
    assert beside(given(scope=scope, what="administrator", kind="User")) == [(Severity.DANGER, sentence)]


@pytest.mark.parametrize(
    "scope", [f"{SUBSCRIPTION}/resourcegroups/other", f"{VAULT}/keys/k", f"{VAULT}2", "/subscriptions/t"]
)
def test_a_role_elsewhere_says_nothing_of_the_secrets(scope: str) -> None:
    assert beside(given(scope=scope, what="administrator")) == []


@pytest.mark.parametrize(
    ("permissions", "reads"),
    [
        ({"dataActions": [GET]}, True),
        ({"dataActions": ["microsoft.keyvault/VAULTS/secrets/getsecret/ACTION"]}, True),
        ({"dataActions": ["*"]}, True),
        ({"dataActions": ["Microsoft.KeyVault/vaults/secrets/*"]}, True),
        ({"dataActions": ["Microsoft.KeyVault/*/action"]}, True),
        ({"dataActions": ["Microsoft.KeyVault/vaults/secrets/backup/action"]}, True),
        ({"dataActions": ["Microsoft.KeyVault/vaults/secrets/readMetadata/action"]}, False),
        ({"dataActions": ["Microsoft.KeyVault/vaults/keys/*"]}, False),
        ({"dataActions": ["*"], "notDataActions": ["Microsoft.KeyVault/vaults/secrets/*"]}, False),
        ({"dataActions": ["*"], "notDataActions": [GET]}, True),
        ({"actions": ["*"]}, False),
    ],
)
def test_a_role_reads_by_its_data_actions_alone(permissions: dict[str, list[str]], reads: bool) -> None:
    assert Definition("role", (permissions,)).reads is reads


def test_what_one_part_of_a_role_excludes_another_may_give() -> None:
    parts = ({"dataActions": ["*"], "notDataActions": ["Microsoft.KeyVault/vaults/secrets/*"]}, {"dataActions": [GET]})
    assert Definition("two", parts).reads


@pytest.mark.parametrize(
    ("permissions", "grants"),
    [
        ({"actions": ["*"]}, True),
        ({"actions": ["Microsoft.Authorization/*"]}, True),
        ({"actions": ["Microsoft.Authorization/roleAssignments/write"]}, True),
        ({"actions": ["Microsoft.Authorization/roleDefinitions/write"]}, True),
        ({"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}, False),
        ({"actions": ["*/read"]}, False),
        ({"dataActions": ["*"]}, False),
    ],
)
def test_a_role_grants_by_its_actions_alone(permissions: dict[str, list[str]], grants: bool) -> None:
    assert Definition("role", (permissions,)).grants is grants


@pytest.mark.parametrize(
    ("scope", "severity"), [(VAULT, Severity.WARNING), (SECRET, Severity.WARNING), (SUBSCRIPTION, Severity.HINT)]
)
def test_whoever_may_let_themselves_in_is_told_and_is_only_a_hint_above_the_vault(
    scope: str, severity: Severity
) -> None:
    ((found, sentence),) = beside(given(scope=scope, what="owner", condition="@Request"))
    assert (found, "may give themselves access by role Owner" in sentence) == (severity, True)
    assert sentence.endswith(", under a condition that was not judged")


def test_a_bindings_identity_that_may_more_than_its_binding_is_named() -> None:
    ((_, sentence),) = beside(given(IDENTITY, VAULT))
    assert sentence.startswith(f"ServicePrincipal {IDENTITY} (identity {SHORT}) may read secrets")


def test_one_principal_and_role_is_one_finding_and_their_number_is_bounded() -> None:
    many = [given("somebody", f"{VAULT}/secrets/s{number}") for number in range(9)]
    ((_, sentence),) = beside(*many)
    assert sentence.endswith("secret s4 and 4 more")
    crowd = [given(f"p{number:03}") for number in range(300)]
    found = beside(*crowd, given("boss", SUBSCRIPTION, "owner"))
    assert len(found) == MOST + 1
    assert (
        Severity.DANGER,
        f"{301 - MOST} more role(s) of principals let them read secrets, or give themselves access",
    ) in found


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (own(principal="thief"), "for something else than its identity"),
        (own(scope=f"{VAULT}/secrets/airflow-other"), "which has no such thing on its record"),
        (own(scope=VAULT), "which has no such thing on its record"),
        (own(what="administrator"), "whose backend gives no such role there"),
        (own(scope=SUBSCRIPTION), "whose backend gives no such role there"),
        (own(Owner("c1", "team", "gone", "kv"), what="administrator"), "whose backend gives no such role there"),
        (
            given("thief", kind="Group", description=description(OWNER, UID, whom_of(GROUP))),
            "which has no such thing on its record",
        ),
    ],
)
def test_a_mark_that_somebody_else_wrote_hides_nothing(row: Given, words: str) -> None:
    ((severity, sentence),) = beside(row)
    assert (severity, words in sentence) == (Severity.DANGER, True)


def test_a_mark_for_another_group_than_the_recorded_one_hides_nothing() -> None:
    thief = given("thief", kind="Group", description=description(OWNER, UID, whom_of(GROUP)))
    found = only(said(vault(thief), bound("airflow-db", f"airflow-db#{whom_of(GROUP)}")))
    assert "for a group that it does not name" in found.problem


def test_another_clusters_mark_is_told_as_such() -> None:
    ((severity, sentence),) = beside(own(uid="99999999-1111-2222-3333-444455556666"))
    assert severity is Severity.WARNING
    assert "of cluster c1 with uid 99999999" in sentence


def test_what_another_backend_has_is_judged_there_or_not_at_all() -> None:
    theirs = own(Owner("c1", "team", "billing", "kv2"))
    both = {"all_backends": frozenset({"kv", "kv2"})}
    here = vault(theirs)
    assert only_unchecked(said(here, **both)) == [
        "whose 1 marked role assignment(s) are: backend kv2, whose mark some of them carry, was not looked at"
    ]
    same = replace(vault(), place=replace(PLACE, backend="kv2"))
    assert said(here, **both, stores={"kv": here, "kv2": same}) == Diagnosis()
    far = replace(vault(), place=replace(PLACE, backend="kv2", vault_id=f"{VAULT}2"))
    assert "which is for another store" in only(said(here, **both, stores={"kv": here, "kv2": far})).problem


def only_unchecked(diagnosis: Diagnosis) -> list[str]:
    assert not diagnosis.findings
    return [each.needs for each in diagnosis.unchecked]


def test_without_the_identities_nobody_is_called_ours_or_foreign() -> None:
    needs = only_unchecked(said(vault(own(), identities=Unknown("needs something"))))
    assert needs == ["whose 1 marked role assignment(s) are: needs something", "needs something"]


def test_what_no_binding_accounts_for_is_left_over() -> None:
    gone = Owner("c1", "team", "gone", "kv")
    made = Named(gone.short_name_in_store, "p", "c", tags(gone, UID))
    found = only(said(vault(own(gone), own(gone, scope=VAULT), identities=(made,))))
    assert (found.check, found.severity) == (Check.LEFTOVERS, Severity.WARNING)
    assert found.problem == "2 role assignment(s) and the identity of binding team/gone belong to no binding"
    nobodys = Owner("c1", "team", "gone", "older")
    assert "there is no backend older" in only(said(vault(own(nobodys)))).problem


@pytest.mark.parametrize(
    "parts",
    [
        {"bound": frozenset({("team", "billing"), ("team", "gone")})},
        {"namespace": "other"},
    ],
)
def test_what_was_there_a_moment_ago_or_was_not_asked_for_is_not_left_over(parts: dict[str, Any]) -> None:
    gone = Owner("c1", "team", "gone", "kv")
    assert said(vault(own(gone), identities=(Named("n", "p", "c", tags(gone, UID)),)), **parts) == Diagnosis()


def test_a_mark_of_a_binding_that_cannot_be_read_is_never_fine() -> None:
    gone = Owner("c1", "team", "broken", "kv")
    known = around(vault(own(gone)), bound=frozenset({("team", "billing"), ("team", "broken")}))
    listed = Listing(known.bindings.items, {"team/broken": "spec: missing"})
    needs = only_unchecked(Diagnosis.of(stores(replace(known, bindings=listed))))
    assert needs == ["whose 1 marked role assignment(s) are: binding team/broken cannot be read"]


def test_another_clusters_leftovers_are_not_ours_to_tell() -> None:
    gone = Owner("c1", "team", "gone", "kv")
    theirs = Named(gone.short_name_in_store, "p", "c", tags(gone, "99999999-1111-2222-3333-444455556666"))
    assert said(vault(identities=(theirs,))) == Diagnosis()


@pytest.mark.parametrize(
    ("state", "severity", "words"),
    [
        ({"for_templates": True}, Severity.WARNING, "hands secrets to deployments"),
        ({"soft_delete": False}, Severity.WARNING, "has no soft delete"),
        ({"purge_protection": False}, Severity.HINT, "has no purge protection"),
        ({"restricted": ""}, Severity.HINT, "from every network"),
    ],
)
def test_how_the_vault_is_kept_is_told(state: dict[str, Any], severity: Severity, words: str) -> None:
    kept = State(rbac=True, restricted="closed")
    found = only(said(vault(state=replace(kept, **state))))
    assert (found.check, found.severity, words in found.problem) == (Check.BACKENDS, severity, True)


def test_a_vault_that_decides_by_access_policies_is_never_called_fine() -> None:
    diagnosis = said(vault(given(what="administrator"), state=State(rbac=False, restricted="closed")))
    assert "decides by access policies" in only(diagnosis).problem
    assert [each.check for each in diagnosis.unchecked] == [Check.LOGINS]


@pytest.mark.parametrize(
    ("audit", "severity"), [(Audit(True, as_declared=False), Severity.WARNING), (Audit(False, True), Severity.HINT)]
)
def test_an_audit_log_that_goes_nowhere_is_told(audit: Audit, severity: Severity) -> None:
    found = only(said(vault(audit=audit)))
    assert (found.check, found.severity) == (Check.AUDIT, severity)


@pytest.mark.parametrize(
    ("part", "checks"),
    [
        ("state", {Check.BACKENDS}),
        ("given", {Check.LOGINS, Check.LEFTOVERS, Check.OPERATOR}),
        ("definitions", {Check.LOGINS, Check.OPERATOR}),
        ("identities", {Check.LEFTOVERS}),
        ("audit", {Check.AUDIT}),
        ("operator", {Check.OPERATOR}),
        ("operator_given", {Check.OPERATOR}),
    ],
)
def test_what_may_not_be_seen_is_not_checked_and_names_what_it_needs(part: str, checks: set[Check]) -> None:
    diagnosis = said(vault(**{part: Unknown("needs something")}))
    assert {each.check for each in diagnosis.unchecked} == checks
    assert {each.needs for each in diagnosis.unchecked} == {"needs something"}


def test_a_role_whose_definition_is_not_shown_is_not_checked() -> None:
    diagnosis = said(vault(given(what="hidden"), given(OPERATOR, what="secret")))
    assert {each.needs for each in diagnosis.unchecked} == {
        "what role(s) hidden, secret give is not shown to you",
        "what the operator's role secret gives is not shown to you",
    }


PRINTED: Final = granted(PLACE)


def printed(*, condition: str | None = None, more: tuple[str, ...] = (), scope: str = "") -> KeyVaultFacts:
    """Return a vault whose operator has what is printed for the vault, changed so."""
    first = PRINTED[0]
    text = first.condition if condition is None else condition
    row = given(OPERATOR, scope or VAULT, "printed", condition=text)
    actions = [*first.actions, *more]
    return vault(row, definitions={**DEFINITIONS, "printed": role("printed role", actions=actions)})


def test_an_operator_with_what_is_printed_is_no_finding() -> None:
    assert said(printed()) == Diagnosis()
    assert said(printed(condition=PRINTED[0].condition.replace(" AND ", "  AND\n"))) == Diagnosis()
    second = PRINTED[1]
    row = given(OPERATOR, second.scope.lower(), "ids")
    definitions = {**DEFINITIONS, "ids": role("identities", actions=list(second.actions))}
    assert said(vault(operator_given=(row,), definitions=definitions)) == Diagnosis()


@pytest.mark.parametrize(
    ("found", "severity", "words"),
    [
        (printed(condition=""), Severity.DANGER, "may hand out any role without the printed condition"),
        (printed(condition="@Request[x]"), Severity.DANGER, "without the printed condition"),
        (printed(scope=SUBSCRIPTION), Severity.DANGER, "may hand out any role, by role printed role"),
        (vault(given(OPERATOR)), Severity.DANGER, "the operator itself may read secrets, by role Key Vault Secrets"),
        (vault(given(OPERATOR, SUBSCRIPTION, "owner")), Severity.DANGER, "may hand out any role"),
        (vault(given(OPERATOR, VAULT, "reader")), Severity.WARNING, "what it does not need: */read"),
        (vault(operator_given=(given(OPERATOR, SUBSCRIPTION, "reader"),)), Severity.WARNING, "*/read"),
    ],
)
def test_an_operator_with_more_than_is_printed_is_told(found: KeyVaultFacts, severity: Severity, words: str) -> None:
    told = only(said(found))
    assert (told.check, told.severity, words in told.problem) == (Check.OPERATOR, severity, True)


@pytest.mark.parametrize(
    ("action", "severity", "words"),
    [
        ("Microsoft.KeyVault/vaults/write", Severity.WARNING, "does not need: microsoft.keyvault/vaults/write"),
        ("Microsoft.Authorization/roleDefinitions/write", Severity.DANGER, "may give itself access by role printed"),
    ],
)
def test_an_action_more_than_is_printed_is_named(action: str, severity: Severity, words: str) -> None:
    told = only(said(printed(more=(action,))))
    assert (told.severity, words in told.problem) == (severity, True)


def test_the_backends_of_one_operator_share_what_is_printed_for_them() -> None:
    other = replace(PLACE, backend="kv2", role="other-role")
    row = given(OPERATOR, VAULT, "printed", condition=granted(other)[0].condition)
    definitions = {**DEFINITIONS, "printed": role("printed role", actions=list(PRINTED[0].actions))}
    found = vault(row, definitions=definitions)
    assert said(found).findings
    assert said(found, stores={"kv": found, "kv2": replace(vault(), place=other)}) == Diagnosis()
