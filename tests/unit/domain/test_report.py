"""The status: honest, complete for kstatus, and equal to the one before when nothing is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Condition, SecretState, Status, Target, TargetState
from airwarden.api.reasons import Reason
from airwarden.domain import record as records
from airwarden.domain import report as reports
from airwarden.domain.desired import Plan, Surroundings, plan
from airwarden.domain.progress import CLUSTER, Done, Fault, Progress, needs_record
from airwarden.domain.report import Verdict, conditions
from airwarden.domain.resources import Action, Address, Changes, Claim, Conflict, Observed, Operation, Resource
from unit.domain.making import NOW, binding, item, rule, view

EARLY, LATE = "2031-05-01T10:00:00Z", "2031-05-01T11:00:00Z"
POLICY = Resource(Address("vault", "Policy", "airwarden.c1.team.billing.vault"), {"text": "p"})
ACCOUNT = Resource(Address(CLUSTER, "ServiceAccount", "billing"), {"labels": "l"})
DOWN = Fault(Reason.BACKEND_UNREACHABLE, "reading: Vault gave no answer")


def planned(declared: AirflowSecretBinding | None = None) -> tuple[AirflowSecretBinding, Plan]:
    declared = declared or binding(item())
    return declared, plan(declared, Surroundings("c1", {"vault": view(rule())}, {}, now=NOW))


def written(resource: Resource) -> Progress:
    """Return the progress of a store in which the one resource was just made."""
    operation = Operation(Action.CREATE, resource.address, resource, Observed(resource.address, None))
    digests = {resource.address: resource.digest}
    return Progress(resource.address.backend, Changes((operation,)), digests, (Done(operation, "id-1"),))


def equal(resource: Resource) -> Progress:
    """Return the progress of a store in which the one resource was found as it should be."""
    found = Observed(resource.address, resource.fields, Claim.OURS, "id-1")
    changes = Changes(present={resource.address: found})
    return Progress(resource.address.backend, changes, {resource.address: resource.digest})


def ready() -> AirflowSecretBinding:
    """Return a binding whose status says that all is well since early."""
    declared, wanted = planned()
    status = reports.report(declared, wanted, {CLUSTER: written(ACCOUNT), "vault": written(POLICY)}, EARLY)
    return declared.model_copy(update={"status": status})


def said(found: Sequence[Condition]) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in found}


def test_when_all_is_acknowledged_the_binding_is_ready_and_each_target_is_recorded() -> None:
    status = ready().status
    assert status is not None
    assert said(status.conditions) == {"Ready": ("True", "Ready")}
    assert status.observed_generation == 1
    assert status.summary.secrets == "1/1"
    assert status.effective.rules == ("vault/own",)
    assert [(each.kind, each.state, each.id, each.digest, each.last_applied_time) for each in status.targets] == [
        ("ServiceAccount", TargetState.PRESENT, "id-1", ACCOUNT.digest, EARLY),
        ("Policy", TargetState.PRESENT, "id-1", POLICY.digest, EARLY),
    ]


def test_a_later_look_that_finds_the_same_gives_an_equal_status() -> None:
    before = ready()
    _, wanted = planned()
    again = reports.report(before, wanted, {CLUSTER: equal(ACCOUNT), "vault": equal(POLICY)}, LATE)
    assert again == before.status


def test_a_store_that_cannot_be_asked_leaves_what_is_known_of_it_as_it_was() -> None:
    before = ready()
    _, wanted = planned()
    status = reports.report(before, wanted, {CLUSTER: equal(ACCOUNT), "vault": Progress("vault", fault=DOWN)}, LATE)
    assert before.status is not None
    assert status.targets == before.status.targets
    assert said(status.conditions) == {
        "Ready": ("False", "BackendUnreachable"),
        "Reconciling": ("True", "BackendUnreachable"),
    }
    assert status.secrets[0].state is SecretState.FAILED


def test_what_was_acknowledged_before_stays_ready_while_the_store_is_down() -> None:
    before = ready()
    _, wanted = planned()
    unverified = Progress("vault", digests={POLICY.address: POLICY.digest}, unverified=True)
    assert reports.report(before, wanted, {CLUSTER: equal(ACCOUNT), "vault": unverified}, LATE) == before.status
    assert not unverified.complete


def down(backend: str, reason: Reason) -> Progress:
    fault = Fault(reason, f"reading from backend {backend}: {reason.word} it says")
    return Progress(backend, digests={}, fault=fault)


_FACES = (
    Reason.BACKEND_SEALED,
    Reason.BACKEND_UNREACHABLE,
    Reason.BACKEND_THROTTLED,
    Reason.BACKEND_ERROR,
)


@pytest.mark.parametrize("first", _FACES)
def test_one_outage_is_said_once_whatever_face_it_shows_next(first: Reason) -> None:
    declared, wanted = planned()
    outage = reports.report(declared, wanted, {CLUSTER: equal(ACCOUNT), "vault": down("vault", first)}, EARLY)
    later = declared.model_copy(update={"status": outage})
    for face in _FACES:
        assert reports.report(later, wanted, {CLUSTER: equal(ACCOUNT), "vault": down("vault", face)}, LATE) == outage


def test_an_outage_that_ends_in_a_refusal_is_said_anew() -> None:
    declared, wanted = planned()
    account = equal(ACCOUNT)
    outage = reports.report(declared, wanted, {CLUSTER: account, "vault": down("vault", Reason.BACKEND_SEALED)}, EARLY)
    later = declared.model_copy(update={"status": outage})
    parts = {CLUSTER: account, "vault": down("vault", Reason.BACKEND_UNAUTHORIZED)}
    refused = reports.report(later, wanted, parts, LATE)
    assert said(refused.conditions)["Ready"] == ("False", "BackendUnauthorized")


def test_two_stores_that_are_down_keep_the_words_of_each() -> None:
    declared = binding(item(), item("team/x", "x", "other"))
    wanted = plan(
        declared, Surroundings("c1", {"vault": view(rule()), "other": view(rule(), name="other")}, {}, now=NOW)
    )
    stores = {name: down(name, Reason.BACKEND_UNREACHABLE) for name in ("vault", "other")}
    parts = {CLUSTER: equal(ACCOUNT), **stores}
    outage = reports.report(declared, wanted, parts, EARLY)
    again = reports.report(declared.model_copy(update={"status": outage}), wanted, parts, LATE)
    assert again == outage
    assert {each.id: each.message for each in again.secrets} == {
        "db": "reading from backend vault: BackendUnreachable it says",
        "x": "reading from backend other: BackendUnreachable it says",
    }


def test_a_blocked_deletion_says_one_outage_once() -> None:
    declared = ready()
    first = reports.deleting(declared.status, 2, {"vault": down("vault", Reason.BACKEND_SEALED)}, EARLY)
    again = reports.deleting(first, 2, {"vault": down("vault", Reason.BACKEND_UNREACHABLE)}, LATE)
    assert again == first


def test_a_refusal_stalls_and_says_how_many_more_there_are() -> None:
    declared, wanted = planned(binding(item("team/a", "a"), item("other/b", "b"), item("other/c", "c")))
    status = reports.report(declared, wanted, {CLUSTER: written(ACCOUNT), "vault": written(POLICY)}, EARLY)
    assert said(status.conditions) == {"Ready": ("False", "KeyNotAllowed"), "Stalled": ("True", "KeyNotAllowed")}
    assert [each.state for each in status.secrets] == [SecretState.GRANTED, SecretState.REFUSED, SecretState.REFUSED]
    assert status.conditions[0].message.endswith("(and 1 more: see status.secrets)")
    assert status.summary.secrets == "1/3"


def test_an_unknown_backend_waits_and_does_not_stall() -> None:
    declared, wanted = planned(binding(item("team/a", "a", "missing")))
    status = reports.report(declared, wanted, {CLUSTER: written(ACCOUNT)}, EARLY)
    assert said(status.conditions) == {
        "Ready": ("False", "BackendNotFound"),
        "Reconciling": ("True", "BackendNotFound"),
    }


def test_something_foreign_under_our_name_is_not_ready_and_stalls() -> None:
    declared, wanted = planned()
    changes = Changes(conflicts=(Conflict(POLICY.address, "not made by this binding"),))
    progress = Progress("vault", changes, {POLICY.address: POLICY.digest})
    status = reports.report(declared, wanted, {CLUSTER: written(ACCOUNT), "vault": progress}, EARLY)
    assert said(status.conditions) == {"Ready": ("False", "NotOwned"), "Stalled": ("True", "NotOwned")}
    assert [each.kind for each in status.targets] == ["ServiceAccount"]
    assert not progress.complete


def test_a_failed_write_keeps_the_pending_record_and_a_failed_change_is_failed() -> None:
    before, wanted = planned()
    pending = reports.pending(before, wanted, [POLICY.address], EARLY)
    operation = Operation(Action.CREATE, POLICY.address, POLICY, Observed(POLICY.address, None))
    progress = Progress("vault", Changes((operation,)), failed={POLICY.address: DOWN}, fault=DOWN)
    new = before.model_copy(update={"status": pending})
    (target,) = reports.report(new, wanted, {CLUSTER: Progress(CLUSTER, Changes()), "vault": progress}, LATE).targets
    assert (target.state, target.reason) == (TargetState.PENDING, "BackendUnreachable")
    old = ready()
    targets = reports.report(old, wanted, {CLUSTER: equal(ACCOUNT), "vault": progress}, LATE).targets
    (failed,) = [each for each in targets if each.kind == "Policy"]
    assert (failed.state, failed.digest) == (TargetState.FAILED, POLICY.digest)


def test_pending_adds_to_the_record_and_claims_nothing_that_was_there_before() -> None:
    before = ready()
    _, wanted = planned()
    other = Address("vault", "Role", POLICY.address.name)
    status = reports.pending(before, wanted, [other], LATE)
    assert [(each.kind, each.state) for each in status.targets] == [
        ("ServiceAccount", TargetState.PRESENT),
        ("Policy", TargetState.PRESENT),
        ("Role", TargetState.PENDING),
    ]
    assert said(status.conditions) == {"Ready": ("False", "Pending"), "Reconciling": ("True", "Pending")}


def test_while_a_change_is_pending_the_slots_in_use_are_still_shown() -> None:
    before = ready()
    assert before.status is not None
    summary = before.status.summary.model_copy(update={"slots": "vault: own 4/5; running low"})
    status = before.status.model_copy(update={"summary": summary})
    _, wanted = planned()
    pending = reports.pending(before.model_copy(update={"status": status}), wanted, [POLICY.address], LATE)
    assert pending.summary.slots == summary.slots


def test_only_what_is_about_to_be_made_and_is_not_recorded_needs_a_record() -> None:
    create = Operation(Action.CREATE, POLICY.address, POLICY, Observed(POLICY.address, None))
    delete = Operation(Action.DELETE, ACCOUNT.address, None, Observed(ACCOUNT.address, {}))
    progress = Progress("vault", Changes((delete, create)))
    assert needs_record(progress, frozenset()) == {POLICY.address}
    assert needs_record(progress, frozenset({POLICY.address})) == frozenset()
    assert needs_record(Progress("vault", fault=DOWN), frozenset()) == frozenset()


def test_a_forged_entry_of_a_store_that_was_looked_at_is_dropped() -> None:
    before = ready()
    assert before.status is not None
    forged = Target(backend="vault", kind="Policy", name="airwarden.c1.other.x", state=TargetState.PRESENT)
    lying = before.model_copy(
        update={"status": before.status.model_copy(update={"targets": (*before.status.targets, forged)})}
    )
    _, wanted = planned()
    status = reports.report(lying, wanted, {CLUSTER: equal(ACCOUNT), "vault": equal(POLICY)}, LATE)
    assert status == before.status


def test_a_removal_that_failed_stays_on_the_record_with_its_reason() -> None:
    before = ready()
    assert before.status is not None
    operation = Operation(Action.DELETE, POLICY.address, None, Observed(POLICY.address, {"text": "p"}))
    progress = Progress("vault", Changes((operation,)), failed={POLICY.address: DOWN}, fault=DOWN)
    status = reports.deleting(before.status, 2, {"vault": progress}, LATE)
    assert said(status.conditions) == {
        "Ready": ("False", "DeletionBlocked"),
        "Reconciling": ("True", "DeletionBlocked"),
    }
    states = {each.kind: each.state for each in status.targets}
    assert states == {"ServiceAccount": TargetState.PRESENT, "Policy": TargetState.REMOVING}
    assert "Vault gave no answer" in status.conditions[0].message


@pytest.mark.parametrize(
    ("after", "within"), [(0.5, "within 1 minute,"), (90.0, "within 2 minutes,"), (None, "by itself,")]
)
def test_a_removal_that_waits_for_its_turn_asks_nobody_to_let_go_of_it(after: float | None, within: str) -> None:
    before = ready().status
    turn = Fault(Reason.PENDING, "the write of x waits for its turn", retry_after=after)
    operation = Operation(Action.DELETE, POLICY.address, None, Observed(POLICY.address, {"text": "p"}))
    waits = Progress("vault", Changes((operation,)), failed={POLICY.address: turn}, fault=turn)
    status = reports.deleting(before, 2, {"vault": waits}, LATE)
    message = status.conditions[0].message
    assert "the write of x waits for its turn" in message
    assert "nothing has failed" in message
    assert within in message
    assert "by hand" not in message
    assert "leave the finalizer" in message
    again = replace(waits, fault=replace(turn, retry_after=300.0))
    assert reports.deleting(status, 2, {"vault": again}, LATE).conditions[0].message == message, (
        "no write for each pass"
    )
    down = replace(waits, failed={POLICY.address: DOWN}, fault=DOWN)
    both = reports.deleting(status, 2, {"a-store": waits, "vault": down}, LATE).conditions[0].message
    assert "Vault gave no answer" in both
    assert "by hand" in both


def test_an_unreadable_spec_stalls_and_keeps_the_record() -> None:
    before = ready().status
    status = reports.invalid(before, 2, "spec.secrets.0.key: …", LATE)
    assert said(status.conditions) == {"Ready": ("False", "InvalidSpec"), "Stalled": ("True", "InvalidSpec")}
    assert before is not None
    assert status.targets == before.targets


@pytest.mark.parametrize("status", [None, Status()])
def test_a_lost_status_records_nothing(status: Status | None) -> None:
    assert records.recorded(status) == {}


verdicts = st.builds(
    Verdict,
    st.booleans(),
    st.sampled_from((Reason.READY, Reason.PENDING, Reason.NOT_OWNED)),
    st.just("m"),
    st.booleans(),
).map(lambda each: Verdict(each.ready, each.reason, each.message, each.working and not each.ready))


@given(st.lists(verdicts, min_size=1, max_size=6))
def test_the_transition_time_moves_exactly_when_the_status_does(passed: list[Verdict]) -> None:
    before: tuple[Condition, ...] = ()
    for number, verdict in enumerate(passed):
        now = f"2031-05-01T10:00:{number:02}Z"
        after = conditions(before, verdict, number, now)
        for each in after:
            old = next((one for one in before if one.type == each.type and one.status == each.status), None)
            assert each.last_transition_time == (old.last_transition_time if old else now)
            assert each.observed_generation == number
        before = after


@given(verdicts)
def test_every_condition_set_can_be_read_by_kstatus(verdict: Verdict) -> None:
    found = {each.type: each.status for each in conditions((), verdict, 1, EARLY)}
    assert found["Ready"] == ("True" if verdict.ready else "False")
    # In progress, failed and done exclude each other; a condition that does not apply is left out.
    assert set(found) - {"Ready"} == set() if verdict.ready else {"Reconciling"} if verdict.working else {"Stalled"}
    if not verdict.ready:
        assert ("Reconciling" in found) is verdict.working
        assert ("Stalled" in found) is not verdict.working
