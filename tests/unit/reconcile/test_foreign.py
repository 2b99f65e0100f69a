"""Logins beside ours are looked for where it is granted, once an hour, and unknown is not fine."""

from __future__ import annotations

from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said
from airwarden.domain.errors import AirwardenError, Forbidden
from airwarden.domain.logins import ForeignLogin, ForeignLogins
from airwarden.providers.ports import FOREIGN_ROLE_SCAN, Health
from airwarden.reconcile.foreign import ForeignScan, judged
from unit.reconcile.fake_cluster import FakeApi, Journal
from unit.reconcile.fakes import FakeStore

ACCOUNTS = (("team", "billing"),)
LEGACY = ForeignLogin("auth/kubernetes/role/legacy", ("*",), ("*",), policies=("admin",))
GRANTED = Health("id", "1.21.1", (), ("Static", FOREIGN_ROLE_SCAN))
NOT_GRANTED = Health("id", "1.21.1", (), ("Static",))


def plain_store() -> FakeStore:
    return FakeStore("plain", Journal(), FakeApi(Journal()))


class Scanned(FakeStore):
    """A store that shows logins of others, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__("vault", Journal(), FakeApi(Journal()))

    looks = 0
    answer: ForeignLogins | AirwardenError = ForeignLogins((LEGACY,))

    async def foreign_logins(self) -> ForeignLogins:
        self.looks += 1
        if isinstance(self.answer, AirwardenError):
            raise self.answer
        return self.answer


async def test_without_the_right_nothing_is_asked_and_nothing_is_said() -> None:
    store, scan = Scanned(), ForeignScan()
    await scan.look(store, NOT_GRANTED, ACCOUNTS)
    assert (store.looks, scan.outcome) == (0, None)
    await scan.look(plain_store(), GRANTED, ACCOUNTS)
    assert scan.outcome is None


async def test_a_look_is_made_once_and_again_after_the_right_came_back() -> None:
    store, scan = Scanned(), ForeignScan()
    await scan.look(store, GRANTED, ACCOUNTS)
    await scan.look(store, GRANTED, ACCOUNTS)
    assert store.looks == 1
    assert scan.outcome is not None
    assert (scan.outcome.status, scan.outcome.reason) == ("True", Reason.FOREIGN_ROLES)
    await scan.look(store, NOT_GRANTED, ACCOUNTS)
    assert scan.outcome is None
    await scan.look(store, GRANTED, ACCOUNTS)
    assert store.looks == 2


async def test_a_look_that_failed_is_unknown_and_not_fine() -> None:
    store, scan = Scanned(), ForeignScan()
    store.answer = Forbidden("no list")
    await scan.look(store, GRANTED, ACCOUNTS)
    assert scan.outcome == Said("Unknown", Reason.UNKNOWN, "the roles beside ours could not be read: no list")


def test_roles_not_looked_at_leave_it_unknown_unless_one_was_found() -> None:
    harmless = ForeignLogin("auth/kubernetes/role/harmless", ("x",), ("y",))
    assert judged(ForeignLogins((harmless,)), ACCOUNTS).reason is Reason.NO_FOREIGN_ROLES
    assert judged(ForeignLogins((harmless,), unread=3), ACCOUNTS).status == "Unknown"
    said = judged(ForeignLogins((LEGACY,), unread=3), ACCOUNTS)
    assert said.status == "True"
    assert "legacy lets team/billing log in with policies admin; 3 more role(s) were not looked at" in said.message


def test_a_mount_full_of_foreign_roles_gives_a_short_message() -> None:
    many = tuple(ForeignLogin(f"auth/kubernetes/role/r{number:04}", ("*",), ("*",)) for number in range(900))
    message = judged(ForeignLogins(many), ACCOUNTS).message
    assert "and 895 more role(s)" in message
    assert len(message) < 2000
