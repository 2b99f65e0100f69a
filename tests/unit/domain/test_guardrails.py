"""The boundary: nothing is admitted that one rule does not admit wholly, whatever is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.backend import AllowRule, LabelSelector, Operation
from airwarden.api.binding import AccountMode, SecretItem, Session
from airwarden.api.fields import moment, seconds
from airwarden.api.reasons import Reason
from airwarden.domain.guardrails import (
    Admitted,
    AdmittedRotation,
    BackendView,
    Refused,
    Request,
    RotationRequest,
    judge,
    judge_rotation,
)
from unit.domain import making
from unit.domain.making import NOW, dynamic_item, item, request, rule, view


def reason(found: object) -> Reason:
    assert isinstance(found, Refused), found
    return found.reason


@given(making.items(), making.namespaces, making.labels, making.sessions(), st.booleans())
def test_a_backend_without_rules_admits_nothing(
    secret: SecretItem, namespace: str, labels: dict[str, str], session: dict[str, str], enforces: bool
) -> None:
    assert isinstance(judge(secret, request(namespace, labels, **session), view(enforces=enforces)), Refused)


def segments_begin(path: str, prefix: str, separator: str) -> bool:
    wanted = prefix.removesuffix(separator).split(separator)
    found = path.split(separator)
    return found[: len(wanted)] == wanted and len(found) > len(wanted)


def truly_admits(
    each: AllowRule,
    secret: SecretItem,
    namespace: str,
    labels: Mapping[str, str],
    session: Session,
    backend: BackendView,
) -> bool:
    """Say again, by segments and one word at a time, what one rule admits: the oracle of the property below."""
    selector = each.namespaces.selector
    chosen = selector is not None and selector.match_labels.items() <= labels.items()
    if namespace not in each.namespaces.names and not chosen:
        return False
    if each.max_lifetime is not None:
        return False  # the access asked for has no end
    if each.session.required and backend.sessions is None:
        return False
    asked = [seconds(text) for text in (session.ttl, session.max_ttl) if text]
    if any(one > seconds(each.session.max_ttl) for one in asked):
        return False
    if secret.key is not None:
        return any(
            segments_begin(secret.key, prefix.replace("{namespace}", namespace), "/") for prefix in each.key_prefixes
        )
    assert secret.dynamic is not None
    return any(
        engine.engine == secret.dynamic.engine
        and segments_begin(secret.dynamic.role, prefix.replace("{namespace}", namespace), ".")
        for engine in each.dynamic
        for prefix in engine.role_prefixes
    )


@given(making.items(), making.backends(), making.namespaces, making.labels, making.sessions())
def test_a_secret_is_admitted_exactly_when_one_single_rule_admits_all_of_it(
    secret: SecretItem, backend: BackendView, namespace: str, labels: dict[str, str], session: dict[str, str]
) -> None:
    asked = request(namespace, labels, **session)
    able = [
        each.name for each in backend.allow if truly_admits(each, secret, namespace, labels, asked.session, backend)
    ]
    found = judge(secret, asked, backend)
    if isinstance(found, Admitted):
        assert found.rule in able
        (named,) = [each for each in backend.allow if each.name == found.rule]
        assert found.max_ttl == seconds(named.session.max_ttl)
    else:
        assert able == []


@given(making.items(), making.backends(), making.namespaces, making.labels, st.data())
def test_taking_a_rule_away_never_admits_more(
    secret: SecretItem, backend: BackendView, namespace: str, labels: dict[str, str], data: st.DataObject
) -> None:
    kept = tuple(each for each in backend.allow if data.draw(st.booleans()))
    fewer = view(*kept, enforces=backend.sessions is not None)
    if isinstance(judge(secret, request(namespace, labels), fewer), Admitted):
        assert isinstance(judge(secret, request(namespace, labels), backend), Admitted)


@pytest.mark.parametrize(
    ("namespace", "key", "admitted"),
    [
        ("team", "team/db", True),
        ("team", "team-b/db", False),
        ("team-b", "team/db", False),
        ("tea", "team/db", False),
        ("team", "team", False),
        ("team", "x/team/db", False),
    ],
)
def test_a_namespace_whose_name_begins_another_s_reaches_only_its_own_tree(
    namespace: str, key: str, admitted: bool
) -> None:
    own = rule(names=("team", "team-b", "tea"))
    assert isinstance(judge(item(key), request(namespace), view(own)), Admitted) is admitted


@pytest.mark.parametrize(
    ("namespace", "role", "engine", "admitted"),
    [
        ("team", "team.ro", "database", True),
        ("team", "team-b.ro", "database", False),
        ("team-b", "team.ro", "database", False),
        ("team", "team", "database", False),
        ("team", "team.ro", "ssh", False),
    ],
)
def test_a_dynamic_role_must_begin_with_the_namespace_and_a_dot_in_the_engine_of_the_rule(
    namespace: str, role: str, engine: str, admitted: bool
) -> None:
    own = rule(
        names=("team", "team-b"), keyPrefixes=[], dynamic=[{"engine": "database", "rolePrefixes": ["{namespace}."]}]
    )
    assert isinstance(judge(dynamic_item(role, engine), request(namespace), view(own)), Admitted) is admitted


def test_a_rule_for_keys_admits_no_dynamic_role_and_the_other_way_round() -> None:
    dynamic = rule(keyPrefixes=[], dynamic=[{"engine": "database", "rolePrefixes": ["{namespace}."]}])
    assert reason(judge(dynamic_item("team.ro"), request(), view(rule()))) is Reason.KEY_NOT_ALLOWED
    assert reason(judge(item("team/db"), request(), view(dynamic))) is Reason.KEY_NOT_ALLOWED


def test_the_placeholder_means_the_namespace_only_as_the_first_segment() -> None:
    # The API server refuses such a rule; here it is as if it were older than its schema.
    odd = rule().model_copy(update={"key_prefixes": ("shared/{namespace}/",)})
    assert reason(judge(item("shared/team/db"), request(), view(odd))) is Reason.KEY_NOT_ALLOWED


def test_a_namespace_named_like_the_placeholder_s_braces_cannot_exist_and_braces_in_a_key_are_refused() -> None:
    assert reason(judge(item("team/db"), request("{namespace}"), view(rule(names=("team",))))) is Reason.KEY_NOT_ALLOWED
    braces = item().model_copy(update={"key": "{namespace}/db"})
    assert reason(judge(braces, request(), view(rule()))) is Reason.KEY_INVALID


def test_an_empty_selector_means_no_namespace() -> None:
    # Elsewhere in Kubernetes it means all. The API server refuses it; here it got past.
    empty = LabelSelector.model_construct(match_labels={})
    everyone = rule().model_copy(
        update={"namespaces": rule().namespaces.model_copy(update={"names": (), "selector": empty})}
    )
    assert reason(judge(item(), request(labels={"tenant": "a"}), view(everyone))) is Reason.KEY_NOT_ALLOWED


@pytest.mark.parametrize(
    ("labels", "admitted"),
    [({"tenant": "a", "env": "prod"}, True), ({"tenant": "a"}, False), ({"tenant": "b", "env": "prod"}, False)],
)
def test_all_labels_of_a_selector_must_be_there(labels: dict[str, str], admitted: bool) -> None:
    selecting = rule(namespaces={"selector": {"matchLabels": {"tenant": "a", "env": "prod"}}})
    assert isinstance(judge(item(), request(labels=labels), view(selecting)), Admitted) is admitted


def test_while_the_labels_are_unknown_a_selector_is_not_judged_but_a_name_is() -> None:
    selecting = rule("by-label", namespaces={"selector": {"matchLabels": {"tenant": "a"}}})
    unknown = Request("team", None, AccountMode.MANAGED, Session(), now=NOW)
    assert judge(item(), unknown, view(selecting)) is None
    assert judge(item(), unknown, view(selecting, rule())) == Admitted("own", 3600)
    assert isinstance(judge(item("other/db"), unknown, view(rule())), Refused)


def test_a_rule_without_the_operation_or_the_account_mode_admits_nothing() -> None:
    for field, why in (
        ("operations", Reason.KEY_NOT_ALLOWED),
        ("service_accounts", Reason.ACCOUNT_MODE_NOT_ALLOWED),
    ):
        lacking = rule().model_copy(update={field: ()})
        assert reason(judge(item(), request(), view(lacking))) is why


def test_the_account_s_mode_is_refused_by_the_rule_s_name_and_what_it_permits() -> None:
    asked = replace(request(), account_mode=AccountMode.EXTERNAL)
    found = judge(item(), asked, view(rule(), rule("shared", keyPrefixes=["shared/"], serviceAccounts=["External"])))
    assert isinstance(found, Refused)
    assert found.reason is Reason.ACCOUNT_MODE_NOT_ALLOWED
    assert "mode External here: rule own permits Managed" in found.message
    assert judge(item("shared/db"), asked, view(rule("shared", keyPrefixes=["shared/"]))) != Admitted("shared", 3600)
    both = rule("both", serviceAccounts=["Managed", "External"])
    assert judge(item(), asked, view(rule(), both)) == Admitted("both", 3600)


@pytest.mark.parametrize(
    ("session", "admitted"),
    [
        ({}, True),
        ({"maxTTL": "30m"}, True),
        ({"maxTTL": "30m1s"}, False),
        ({"ttl": "31m"}, False),
        ({"ttl": "30m"}, True),
    ],
)
def test_a_session_above_the_rule_s_is_refused_and_never_shortened(session: dict[str, str], admitted: bool) -> None:
    asked = Request("team", {}, AccountMode.MANAGED, Session.model_validate(session), now=NOW)
    found = judge(item(), asked, view(rule(session={"maxTTL": "30m"})))
    if admitted:
        assert found == Admitted("own", 1800)
    else:
        assert reason(found) is Reason.SESSION_NOT_ALLOWED


def test_two_rules_do_not_add_up_to_one_that_admits() -> None:
    short = rule("short", session={"maxTTL": "5m"})
    elsewhere = rule("elsewhere", keyPrefixes=["shared/"], session={"maxTTL": "2h"})
    found = judge(item("team/db"), request(maxTTL="1h"), view(short, elsewhere))
    assert reason(found) is Reason.SESSION_NOT_ALLOWED


def test_a_store_that_cannot_end_a_session_is_refused_where_the_rule_requires_it() -> None:
    assert reason(judge(item(), request(), view(rule(), enforces=False))) is Reason.SESSION_NOT_ALLOWED
    lenient = rule(session={"maxTTL": "1h", "required": False})
    assert isinstance(judge(item(), request(), view(lenient, enforces=False)), Admitted)


def test_a_refusal_names_the_rule_and_what_it_would_allow() -> None:
    found = judge(item("other/db"), request(), view(rule(keyPrefixes=["{namespace}/", "shared/"])))
    assert isinstance(found, Refused)
    assert "key other/db is not allowed to namespace team" in found.message
    assert "rule own allows keys below team/, shared/" in found.message
    nobody = judge(item(), request("stranger"), view(rule()))
    assert isinstance(nobody, Refused)
    assert "no allow rule of backend vault speaks of namespace stranger" in nobody.message


@pytest.mark.parametrize(
    "key",
    [
        "team/*",
        "team/+",
        "team/../other/db",
        "team/./db",
        "..",
        "team//db",
        "/team/db",
        "team/db/",
        "data/team/db",
        "metadata/team/db",
        "team/%2e%2e/db",
        "team/db?version=1",
        "team/db#x",
        "team\\db",
        'team/"db',
        "team/'db",
        "team/db\n",
        "team/{{identity.entity.id}}",
        "team/\x00",
        "team/dé",
        "team/db\u202e",
        "team/" + "a" * 512,
        "",
    ],
)
def test_a_hostile_key_is_refused_whatever_the_rules_say(key: str) -> None:
    hostile = SecretItem.model_construct(
        type=item().type, id="db", backend_ref=item().backend_ref, key=key, dynamic=None
    )
    everything = rule().model_copy(update={"key_prefixes": ("", "team/", "data/", "metadata/", "/")})
    assert reason(judge(hostile, request(), view(everything))) is Reason.KEY_INVALID


def ending(after: timedelta | None) -> Request:
    """Return a request whose access ends so long after now."""
    return replace(request(), not_after=None if after is None else NOW + after)


DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def test_a_rule_with_a_lifetime_admits_an_end_within_it_and_nothing_else() -> None:
    limited = view(rule(maxLifetime="24h"))
    for admitted in (SECOND, DAY):
        assert judge(item(), ending(admitted), limited) == Admitted("own", 3600)
    for refused in (None, DAY + SECOND, 400 * DAY):
        assert reason(judge(item(), ending(refused), limited)) is Reason.LIFETIME_NOT_ALLOWED


def test_a_rule_without_a_lifetime_admits_any_end_and_none() -> None:
    for after in (None, SECOND, 400 * DAY):
        assert judge(item(), ending(after), view(rule())) == Admitted("own", 3600)


def test_one_rule_must_admit_the_lifetime_with_all_the_rest() -> None:
    """The rule for the key wants an end, and the one without an end is for another key."""
    rules = (
        rule("short", maxLifetime="1h"),
        rule("free", keyPrefixes=["shared/"]),
        rule("brief", session={"maxTTL": "1s"}),
    )
    asked = replace(ending(None), session=Session.model_validate({"maxTTL": "30m"}))
    assert reason(judge(item(), asked, view(*rules))) is Reason.LIFETIME_NOT_ALLOWED


def test_a_lifetime_refusal_names_the_rule_and_an_end_that_it_admits_without_changing_at_every_look() -> None:
    limited = view(rule(maxLifetime="2160h"))
    found = judge(item(), ending(100 * DAY), limited)
    assert isinstance(found, Refused)
    for part in ("rule own", "backend vault", "2160h", "2031-08-09T10:00:00Z"):
        assert part in found.message
    named = moment(found.message.split("access.notAfter ")[-1].split(" ")[0])
    assert timedelta(days=86) < named - NOW <= timedelta(days=90)
    assert judge(item(), replace(request(), not_after=named), limited) == Admitted("own", 3600)
    later = replace(ending(100 * DAY), now=NOW + SECOND)
    assert judge(item(), later, limited) == found


def test_an_end_that_is_too_late_is_admitted_at_the_moment_it_is_near_enough_and_not_before() -> None:
    limited = view(rule(maxLifetime="24h"))
    found = judge(item(), ending(3 * DAY), limited)
    assert isinstance(found, Refused)
    assert found.until == NOW + 2 * DAY
    asked = ending(3 * DAY)
    assert isinstance(judge(item(), replace(asked, now=found.until - SECOND), limited), Refused)
    assert judge(item(), replace(asked, now=found.until), limited) == Admitted("own", 3600)


def test_a_refusal_that_time_does_not_end_has_no_such_moment() -> None:
    found = judge(item(), ending(None), view(rule(maxLifetime="24h")))
    assert isinstance(found, Refused)
    assert found.until is None


def test_an_earlier_rule_that_will_admit_is_known_in_advance() -> None:
    rules = view(rule("first", maxLifetime="24h", session={"maxTTL": "4h"}), rule("second"))
    assert judge(item(), ending(3 * DAY), rules) == Admitted("second", 3600, NOW + 2 * DAY)
    assert judge(item(), replace(ending(3 * DAY), now=NOW + 2 * DAY), rules) == Admitted("first", 4 * 3600)


@given(making.items(), making.backends(), st.integers(1, 10**7), st.integers(0, 10**7))
def test_what_is_admitted_stays_admitted_as_time_goes_on(
    wanted: SecretItem, backend: BackendView, after: int, passed: int
) -> None:
    """So that access never flaps: only its end, or somebody's change, takes it away."""
    asked = ending(timedelta(seconds=after))
    if isinstance(judge(wanted, asked, backend), Admitted):
        assert isinstance(judge(wanted, replace(asked, now=NOW + timedelta(seconds=passed)), backend), Admitted)


def wants_orphan() -> Request:
    return replace(request(), orphan=True)


def test_orphan_needs_a_rule_that_permits_it_and_admits_all_else() -> None:
    assert judge(item(), wants_orphan(), view(rule(orphan=True))) == Admitted("own", 3600)
    refused = judge(item(), wants_orphan(), view(rule()))
    assert reason(refused) is Reason.ORPHAN_NOT_ALLOWED
    elsewhere = rule("elsewhere", keyPrefixes=["other/"], orphan=True)
    assert reason(judge(item(), wants_orphan(), view(rule(), elsewhere))) is Reason.ORPHAN_NOT_ALLOWED
    short = rule("short", session={"maxTTL": "1s"}, orphan=True)
    asked = replace(request(ttl="15m"), orphan=True)
    assert reason(judge(item(), asked, view(rule(), short))) is Reason.ORPHAN_NOT_ALLOWED
    assert reason(judge(item("other/db"), wants_orphan(), view(rule(orphan=True)))) is Reason.KEY_NOT_ALLOWED


def test_orphan_is_refused_where_the_store_cannot_let_go() -> None:
    keeping = replace(view(rule(orphan=True)), releases=False)
    refused = judge(item(), wants_orphan(), keeping)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ORPHAN_NOT_ALLOWED
    assert "cannot leave access behind: set deletionPolicy to Delete" in refused.message
    assert judge(item(), request(), keeping) == Admitted("own", 3600)


def test_the_refusal_of_orphan_names_each_rule_and_what_it_allows() -> None:
    refused = judge(item(), wants_orphan(), view(rule(), rule("second")))
    assert isinstance(refused, Refused)
    assert "rule own allows the secret with deletionPolicy Delete" in refused.message
    assert "rule second allows" in refused.message


@given(making.items(), making.namespaces, making.labels, making.sessions(), making.backends())
def test_who_asks_for_orphan_gets_nothing_that_he_would_not_get_without(
    secret: SecretItem, namespace: str, labels: dict[str, str], session: dict[str, str], backend: BackendView
) -> None:
    plain = request(namespace, labels, **session)
    permits = replace(backend, allow=tuple(each.model_copy(update={"orphan": True}) for each in backend.allow))
    assert not isinstance(judge(secret, replace(plain, orphan=True), backend), Admitted)
    found = judge(secret, replace(plain, orphan=True), permits)
    if any(each.max_lifetime for each in backend.allow):
        # Where access has to end, nobody may leave it behind.
        assert not isinstance(found, Admitted) or found == judge(secret, plain, backend)
    else:
        assert found == judge(secret, plain, backend)


GENERATE = Operation.ROTATE_GENERATE


def rotation(key: str, *rules: AllowRule, namespace: str = "team", labels: Mapping[str, str] | None = None) -> object:
    return judge_rotation(key, GENERATE, RotationRequest(namespace, labels or {}), view(*rules))


def truly_rotates(each: AllowRule, key: str, namespace: str, labels: Mapping[str, str]) -> bool:
    """Say again what one rule lets be rotated: the oracle of the property below."""
    selector = each.namespaces.selector
    chosen = selector is not None and selector.match_labels.items() <= labels.items()
    prefixes = [prefix.replace("{namespace}", namespace) for prefix in each.key_prefixes]
    return (
        GENERATE in each.operations
        and (namespace in each.namespaces.names or chosen)
        and any(segments_begin(key, prefix, "/") for prefix in prefixes)
    )


@given(making.backends(), making.keys, making.namespaces, making.labels, st.data())
def test_a_rotation_is_admitted_exactly_when_one_rule_has_the_operation_and_a_prefix_of_the_key(
    backend: BackendView, key: str, namespace: str, labels: dict[str, str], data: st.DataObject
) -> None:
    chosen = st.sampled_from(((Operation.READ,), (GENERATE,), (Operation.READ, GENERATE)))
    rules = tuple(each.model_copy(update={"operations": data.draw(chosen)}) for each in backend.allow)
    able = [each.name for each in rules if truly_rotates(each, key, namespace, labels)]
    found = judge_rotation(key, GENERATE, RotationRequest(namespace, labels), replace(backend, allow=rules))
    assert found == AdmittedRotation(able[0]) if able else isinstance(found, Refused)


def test_who_may_read_a_key_may_not_rotate_it_and_the_other_way_round() -> None:
    reading, rotating = rule(), rule(operations=["RotateGenerate"])
    assert reason(rotation("team/db", reading)) is Reason.ROTATION_NOT_ALLOWED
    assert rotation("team/db", rotating) == AdmittedRotation("own")
    assert reason(judge(item(), request(), view(rotating))) is Reason.KEY_NOT_ALLOWED


def test_a_refused_rotation_names_the_rules_and_what_they_would_allow() -> None:
    found = rotation("shared/db", rule("reads"), rule("rotates", operations=["RotateGenerate"]))
    assert isinstance(found, Refused)
    assert found.message == (
        "RotateGenerate of key shared/db is not allowed to namespace team by backend vault: "
        "rule reads permits Read only; rule rotates permits it for keys below team/"
    )
    for given_rules, said in (((), "no allow rule at all"), ((rule(names=("other",)),), "speaks of namespace team")):
        silent = rotation("team/db", *given_rules)
        assert isinstance(silent, Refused)
        assert said in silent.message


def test_a_rotation_waits_for_the_labels_of_a_namespace_that_was_not_seen() -> None:
    selecting = rule(namespaces={"selector": {"matchLabels": {"tenant": "a"}}}, operations=["RotateGenerate"])
    unseen = RotationRequest("team", None)
    assert judge_rotation("team/db", GENERATE, unseen, view(selecting)) is None
    named = rule("named", operations=["RotateGenerate"])
    assert judge_rotation("team/db", GENERATE, unseen, view(selecting, named)) == AdmittedRotation("named")
    assert reason(rotation("data/team/db", named)) is Reason.KEY_INVALID


def by_job(*rules: AllowRule, templates: tuple[str, ...] = ("change",)) -> object:
    return judge_rotation("team/db", Operation.ROTATE_JOB, RotationRequest("team", {}, templates), view(*rules))


def test_a_job_needs_the_operation_and_each_template_in_one_rule() -> None:
    named = rule("named", operations=["RotateJob"], jobTemplates=["change", "try"])
    assert by_job(named) == AdmittedRotation("named")
    assert by_job(named, templates=("change", "try")) == AdmittedRotation("named")
    assert reason(by_job(named, templates=("change", "other"))) is Reason.ROTATION_NOT_ALLOWED
    assert reason(by_job(rule(operations=["RotateJob"]))) is Reason.ROTATION_NOT_ALLOWED
    assert reason(by_job(rule(operations=["RotateGenerate"], jobTemplates=["change"]))) is Reason.ROTATION_NOT_ALLOWED
    split = (rule("one", operations=["RotateJob"], jobTemplates=["change"]), rule("two", jobTemplates=["try"]))
    assert reason(by_job(*split, templates=("change", "try"))) is Reason.ROTATION_NOT_ALLOWED


def test_a_refused_job_says_which_templates_a_rule_permits() -> None:
    found = by_job(
        rule("some", operations=["RotateJob"], jobTemplates=["a", "b"]), rule("none", operations=["RotateJob"])
    )
    assert isinstance(found, Refused)
    assert "rule some permits it for keys below team/ with template a, b" in found.message
    assert "rule none permits it for keys below team/ with no template at all" in found.message
