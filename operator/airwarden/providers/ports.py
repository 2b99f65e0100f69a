"""What a store must be able to do, so that the reconciler needs to know nothing else of it.

Implemented by each folder beside this module and by the fakes of the tests; called by
`airwarden.reconcile` only. Every method may raise an `airwarden.domain.errors.AirwardenError`
and nothing else that is expected.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args, runtime_checkable

from airwarden.api.database_role import DatabaseRole
from airwarden.api.reasons import Reason
from airwarden.api.rotation import Generate, Part
from airwarden.domain.fence import Fence
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected
from airwarden.domain.keys import KeyGrammar
from airwarden.domain.logins import ForeignLogins
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Grant, Observed, Operation, Readable, Resource
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings, RunMark, SecretFacts
from airwarden.domain.rotation.handover import Handover, Staged, Subject
from airwarden.domain.sessions import SessionRange
from airwarden.domain.task_access import TaskAccess

FOREIGN_ROLE_SCAN: Final = "ForeignRoleScan"
"""The capability of a store whose admin lets the operator read logins beside ours."""
SWEEP_FORMER: Final = "SweepFormer"
"""The capability of a store whose admin lets the operator list and remove what another mode of it left."""


NoteType = Literal["AccessBeside", "NetworkRestricted", "QuotaNear", "SharedFailed"]
NOTED: Final[frozenset[str]] = frozenset(get_args(NoteType))
"""Types of the conditions that notes make. While a store cannot be asked, what was noted last stands."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a check found and that keeps nobody from using the store."""

    condition: NoteType
    """Type of the condition, which is True while this is so."""
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Health:
    """What a check of the store found."""

    store_id: str
    version: str
    missing_permissions: tuple[str, ...]
    capabilities: tuple[str, ...]
    clock_ahead: float | None = None
    """Seconds by which the store's clock is ahead of the operator's; None when the store does not tell the time."""
    caveat: str = ""
    """What the backend's settings leave unprotected, for its status; empty when there is nothing to say."""
    remedy: str = "apply airwarden vault-setup again"
    """What gives the login the rights that it lacks."""
    notes: tuple[Note, ...] = ()
    """What is to be known of the store although it can be used: conditions of the backend while they apply."""


@dataclass(frozen=True, slots=True)
class Written:
    """The store's acknowledgement of one operation."""

    id: str = ""
    warnings: tuple[str, ...] = ()
    left: str = ""
    """What the store keeps after a removal, though it gives nothing any more; shown in an Event."""


class Claims(Protocol):
    """What the bindings of one backend declare at this moment, as far as the operator knows them."""

    def declaring(self, ending: str) -> tuple[Owner, ...]:
        """Return the bindings that have something on record whose address's name ends so, and that may keep it."""

    def on_record(self, namespace: str) -> AbstractSet[str]:
        """Return what a namespace's bindings have on record and were once given, by `SharesObjects.shared_name`.

        Asked before each new write: it is kept up with the records, not gathered from them.
        """

    def groups(self) -> frozenset[str]:
        """Return the groups of people that the backend lists, as the store knows them."""


class Store(Protocol):
    """One secret store, as one backend describes it."""

    settings: object
    """What it was opened with: compared to tell whether the same backend would be opened otherwise now."""
    grammar: KeyGrammar
    """Which keys the store has."""
    drift_interval: float
    """Seconds between two checks of one binding where the backend does not say."""
    sessions: SessionRange | None
    """How long the store itself lets a login last; None where it ends none in time."""
    alone: frozenset[str]
    """Kinds of which each object stands by itself: one that cannot be written keeps no other from being written."""
    releases: bool
    """Whether Action.RELEASE leaves access that is nobody's any more: where not, deletionPolicy Orphan is refused."""
    takes_people: bool
    """Whether groups of people can be let in."""
    effect_lag: float
    """Seconds that the store may take to act on what it has acknowledged; 0 where the next request is judged by it."""
    fence: Fence | None
    """What one binding can hold; None where it can hold what the rules allow."""

    def expect(self, expected: Expected) -> None:
        """Say which store is meant and which cluster asks, before the first request.

        From then on StoreChanged is raised instead of logging in to another store, and ClusterIDConflict instead of
        any request under a cluster's name that is another's.
        """

    async def identify(self) -> None:
        """Raise StoreChanged or ClusterIDConflict unless the store is the one meant and the cluster's name is ours."""

    def render(self, grant: Grant) -> tuple[Resource, ...]:
        """Return the resources that give exactly the grant, in the order of creation. Pure."""

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
        """Return every address that this owner could have here, in the order of removal. Pure.

        ``others`` holds what is desired or recorded: in a store with an object for each secret the owner alone does
        not tell them. A recorded one counts only if the owner could have it.
        """

    def former(self, owner: Owner) -> tuple[Address, ...]:
        """Return every address that the owner could have from another mode of this store, in the order of removal.

        They are looked at and removed only where a status records them. Pure.
        """

    def readable(self, observed: Mapping[Address, Observed]) -> frozenset[Readable]:
        """Return what the observed objects let the binding read. Pure."""

    def task_access(self, owner: Owner) -> TaskAccess:
        """Return how tasks of the owner read here: the store's part of their map, and what their pod needs. Pure."""

    def narrowed(self, grant: Grant, observed: Mapping[Address, Observed]) -> Grant | None:
        """Return the part of the grant that the observed objects give already; None when they give none of it.

        Never more than the grant, never a longer session than observed. What is not ours, what cannot be read
        back, and what a grant cannot express count as giving nothing. Pure.
        """

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        """Return what the store has at each address.

        ``known`` says that a status records them: they are read one by one. Otherwise a shared listing,
        at most five seconds old, may answer for those that are absent.
        """

    async def apply(self, operation: Operation) -> Written:
        """Do one operation and return the store's acknowledgement.

        Where that proves nothing, or reads lag behind it, the store reads back, and what it has just written stands
        in for what a later read does not show yet. What an operation before made, such as a principal, is referred to
        by name in the fields of the next: the store knows what stands behind it.
        """

    def annotations(self, owner: Owner) -> Mapping[str, str]:
        """Return what the owner's account must carry for this store's own clients, as far as it is known by now."""

    async def holdings(self) -> frozenset[Holding]:
        """Return what every owner of our cluster, of any backend, has here in the present mode: from lists read anew.

        Raises when any of the lists cannot be read, Forbidden where the login may not list: the answer is never empty
        for want of a list. Each owner comes with what `addresses` needs of it.
        """

    async def former_holdings(self) -> frozenset[Holding]:
        """Return the same of what another mode of this store left, each with its ``former`` addresses.

        The operator asks only while the capabilities have SweepFormer. Raises as `holdings` does, and
        ClusterIDConflict where what the other mode marked as one cluster's is another's.
        """

    async def check(self) -> Health:
        """Log in if need be, and ask the store for its health and our rights."""

    async def close(self) -> None:
        """Revoke the login and close all connections. Never raises for a store that is down."""


class RoleRotator(Protocol):
    """Has a store rotate the roles of its database engines. No password goes through it in either direction."""

    async def look(self, role: DatabaseRole) -> RoleFacts:
        """Return where the role stands; of what the store tells nothing about, only that it is taken to be there."""

    async def rotate(self, role: DatabaseRole) -> None:
        """Have a static role or a connection's user get a new password, or end all leases of a dynamic role.

        Raises DatabaseRoleAbsent where there is none, DatabaseRefused where the database did not follow: what the
        store serves is then the old password. After any other error it may be done or not: `look` tells of a static
        role, and the others may be done again.
        """

    async def declare(self, role: DatabaseRole, settings: RoleSettings, found: RoleSettings | None) -> None:
        """Make a static role, which gives its user a new password at once; or give one that was ``found`` settings.

        Raises as `rotate` does, and Rejected for what the store does not take.
        """

    async def remove(self, role: DatabaseRole) -> None:
        """Remove a static role; nothing happens where there is none. Its user keeps the last password."""


class Candidates(Protocol):
    """Where values wait that a Job brings a target to, before the store has them. Reads values, since a Job needs them.

    Values leave it in a `Handover` alone.
    """

    async def hand_over(self, subject: Subject) -> Handover:
        """Return what a Job gets, with a candidate that is staged by then: the one that was there, or a new one.

        Raises VersionGone when the base version is gone, NotRotatable for what no second try mends.
        """

    async def stored(self, subject: Subject, version: int) -> Handover:
        """Return the same for a Job that only tries the value of a version; the base's is empty where it is gone."""

    async def promote(self, subject: Subject) -> int:
        """Write the candidate in place of the base version; return its version, also when an earlier try wrote it.

        Raises VersionMoved, and writes nothing, when somebody else wrote, VersionGone when the store does not keep the
        base any more; CandidateGone when none is staged.
        """

    async def restore(self, subject: Subject, version: int) -> int:
        """Write the base version's value in place of ``version``; otherwise as `promote`."""

    async def clear(self, owner: str) -> None:
        """Remove what is staged for a rotation, if anything is."""

    async def staged(self, cluster: str) -> tuple[Staged, ...]:
        """Return every candidate of a cluster's rotations."""


class Rotator(Protocol):
    """The rotating side of one secret store: a login of its own, with which values are written and policies are not.

    No value leaves it: not in an answer, an exception, a repr or a log.
    """

    settings: object
    """What it was opened with: compared to tell whether the same backend would be opened otherwise now."""

    @property
    def candidates(self) -> Candidates:
        """The same login's way to the values that wait for Jobs."""

    @property
    def roles(self) -> RoleRotator:
        """The same login's way to the store's database engines."""

    async def look(self, key: str) -> SecretFacts:
        """Return where the secret stands. Reads no value. Raises NoVersions for a store that keeps one version only."""

    async def write(self, key: str, field: str, part: Part, generate: Generate, base: int) -> int:
        """Make a new value, write it in place of version ``base``, and return the version that it has.

        Raises VersionMoved, and writes nothing, when the secret is not at that version any more or was deleted;
        NotRotatable for what no second try mends. After any other error the value may be there or not: `look` tells.
        """

    async def mark(self, key: str, mark: RunMark, keep_versions: int | None) -> None:
        """Note in the secret's metadata what rotated it, and how many versions are kept unless None.

        What others noted there stays. Raises VersionMoved when there is no such secret any more.
        """

    async def close(self) -> None:
        """Revoke the login and close all connections. Never raises for a store that is down."""


@runtime_checkable
class KeepsShared(Protocol):
    """A store in which something stands that all bindings share, made with the first and removed with the last."""

    async def keep_shared(self, *, used: bool) -> None:
        """Make it so, without a write where nothing differs. Raises as `Store.apply` does."""


@runtime_checkable
class SharesObjects(Protocol):
    """A store in which one object may be what several bindings declare: the last of them removes it."""

    def share(self, claims: Claims) -> None:
        """Say who knows what bindings declare. Without that, an object goes with the binding whose mark it carries."""

    def shared_name(self, address: Address) -> str:
        """Return what several bindings may have at addresses of their own, the same for each; empty for what is one's.

        Pure.
        """


@runtime_checkable
class FindsByMark(Protocol):
    """A store in which what stands by itself says whose it is: it is found where the rest cannot be looked at."""

    async def marked(self, owner: Owner, addresses: Iterable[Address]) -> Mapping[Address, Observed]:
        """Return what marks alone tell of the addresses, all of kinds that stand by themselves; others are left out.

        One that is left out is unknown. Raises as `Store.observe` does.
        """

    async def carrying(self, owner: Owner, *, known: bool) -> tuple[Address, ...]:
        """Return each address at which something carries the owner's own mark, whatever a record says.

        From the list by which `Store.observe` would tell with the same ``known``. Raises as that does.
        """

    async def marked_holdings(self) -> frozenset[Holding]:
        """Return what `Store.holdings` does, of that alone."""


@runtime_checkable
class ScansLogins(Protocol):
    """A store that can show logins beside ours. Asked only while its capabilities have ForeignRoleScan."""

    async def foreign_logins(self) -> ForeignLogins:
        """Return the logins that are not ours on the mount where tasks log in, as many as one look may read."""
