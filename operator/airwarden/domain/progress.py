"""What came of a plan, store by store: the values that the report is made of.

Filled by `airwarden.reconcile.bindings` while it works, read by `airwarden.domain.report`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError
from airwarden.domain.resources import Address, Changes, Grant, Operation, Readable

CLUSTER = ""
"""The backend name that stands for the Kubernetes cluster itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure as users see it."""

    reason: Reason
    message: str
    retryable: bool = True
    retry_after: float | None = None

    @classmethod
    def of(cls, error: AirwardenError, *, doing: str) -> "Fault":
        """Make a fault of an error; ``doing`` says what was tried."""
        return cls(error.reason, f"{doing}: {error.message}", error.retryable, error.retry_after)


@dataclass(frozen=True, slots=True)
class Done:
    """One acknowledged operation."""

    operation: Operation
    id: str = ""
    left: str = ""
    """What the store keeps after a removal."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What came of one store's part. Without ``changes`` the store could not even be observed."""

    backend: str
    changes: Changes | None = None
    digests: Mapping[Address, str] = field(default_factory=dict)
    """Digest of what should be at each desired address."""
    done: tuple[Done, ...] = ()
    failed: Mapping[Address, Fault] = field(default_factory=dict)
    fault: Fault | None = None
    """The first failure, if any: it ended this store's part, but for what stands by itself."""
    alone: frozenset[Address] = frozenset()
    """What stands by itself in the store: when its write fails the others are still done."""
    opens: Mapping[Address, Readable] = field(default_factory=dict)
    """The one secret that each of those opens, where it opens one."""
    withheld: bool = False
    """Nothing was looked at or changed, since it is not known what is allowed."""
    unverified: bool = False
    """The store could not be asked, but acknowledged before all that is wanted, and nothing else is recorded."""
    still_drifted: Mapping[Address, str] = field(default_factory=dict)
    """What was last known to be changed from outside, in a store that could not be asked now."""
    orphaned: bool = False
    """The binding goes, and access that its guardrail lets stay was left here."""

    partly: bool = False
    """Only what stands by itself could be looked at: of that goes what is not wanted, and the rest is as it was."""
    kept: Grant | None = None
    """What a suspended binding goes on having here; None when it has nothing, or is not suspended."""

    @property
    def seen(self) -> bool:
        """True when the whole of the store's part was looked at."""
        return self.changes is not None and not self.partly

    @property
    def complete(self) -> bool:
        """True when everything planned for the store is so, and was acknowledged or read."""
        if self.fault is not None or self.withheld or self.unverified:
            return False
        return self.changes is not None and not self.changes.conflicts


def needs_record(progress: Progress, recorded: frozenset[Address]) -> frozenset[Address]:
    """Return the addresses about to be made that no status records yet."""
    if progress.changes is None:
        return frozenset()
    return frozenset(
        operation.address
        for operation in progress.changes.operations
        if operation.resource is not None and operation.address not in recorded
    )
