"""How urgently a binding must be looked at: removals first, what differs next, what seems to be as it should last.

Judged from memory alone, without a request, so that one edit of a backend can be held against thousands of
bindings at once. A judgement decides nothing but the order: the pass looks for itself. Called by
`airwarden.reconcile.engine`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from airwarden.api.binding import AccountMode, AirflowSecretBinding
from airwarden.api.reasons import Reason
from airwarden.domain import record as records
from airwarden.domain.desired import Surroundings, common_items, plan
from airwarden.domain.guardrails import Refused
from airwarden.domain.lifetime import Turn, expected_turn, overdue
from airwarden.domain.settled import settled
from airwarden.providers.kubernetes import accounts
from airwarden.reconcile import binding_maps
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.binding_maps import environment_of
from airwarden.reconcile.binding_rotations import BindingRotations
from airwarden.reconcile.cache import Cache, Entry
from airwarden.reconcile.queue import Urgency


@dataclass(frozen=True, slots=True)
class Judged:
    """What memory says of one binding."""

    urgency: Urgency
    turn: Turn | None = None
    """When what it wants changes by itself, as far as it can be read."""


class Judge:
    """Holds bindings against what is known of their surroundings."""

    def __init__(
        self,
        cluster: str,
        cache: Cache,
        backends: Backends,
        rotations: BindingRotations,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._backends = backends
        self._rotations = rotations
        self._clock = clock

    def judge(self, entry: Entry, *, first: bool) -> Judged:
        """Judge one binding; ``first`` when this process has not looked at it yet."""
        if entry.deleting:
            return Judged(Urgency.REMOVAL)
        if not entry.finalized:
            return Judged(Urgency.CHANGE)
        try:
            binding = AirflowSecretBinding.model_validate(entry.load())
        except ValidationError:
            return Judged(Urgency.CHANGE)
        now = self._clock()
        late = overdue(binding, now)
        urgency = Urgency.REMOVAL if late else self._difference(binding, entry, first=first)
        return Judged(urgency, expected_turn(binding, now))

    def _difference(self, binding: AirflowSecretBinding, entry: Entry, *, first: bool) -> Urgency:
        environment = environment_of(self._cache, binding)
        common = {each.backend_ref.name for each in common_items(binding, environment)}
        runtimes = {name: self._backends.runtime(name) for name in entry.backends | common}
        if any(each is None for each in runtimes.values()):
            return Urgency.DRIFT if first and entry.ready and self._all_known(entry) else Urgency.CHANGE
        namespace = self._cache.namespaces.get(entry.key[0])
        recorded = records.recorded(binding.status)
        around = Surroundings(
            self._cluster,
            {name: each.view() for name, each in runtimes.items() if isinstance(each, Runtime)},
            namespace.labels if namespace is not None else None,
            frozenset(each.backend for each in recorded),
            environment,
            now=self._clock(),
        )
        wanted = plan(binding, around)
        if binding_maps.withdraws(binding, wanted):
            return Urgency.REMOVAL
        granted = {
            (each.type, each.id)
            for each in (binding.status.secrets if binding.status else ())
            if each.state == "Granted" or each.reason == Reason.DRIFTED.word
        }
        if any(isinstance(each.verdict, Refused) and (each.type, each.id) in granted for each in wanted.decisions):
            return Urgency.REMOVAL
        digests = {
            resource.address: resource.digest
            for name, grant in wanted.grants.items()
            if isinstance(runtime := runtimes[name], Runtime)
            for resource in runtime.store.render(grant)
        }
        same = digests == {address: digest for address, digest in recorded.items() if address.backend}
        account = self._cache.accounts.get((entry.key[0], wanted.account))
        external = wanted.account_mode is AccountMode.EXTERNAL
        given = external and accounts.is_allowed(account, wanted.owner, wanted.account)
        if external and granted and not given:
            return Urgency.REMOVAL
        carried = given or (
            account is not None
            and not external
            and account.observed(wanted.owner).fields == accounts.desired(wanted.owner, wanted.account).fields
        )
        same = same and binding_maps.shows_what_is_so(binding, wanted, runtimes, recorded)
        same = same and settled(binding.status, wanted, entry.generation)
        if same and carried and self._rotations.shows_what_is_so(binding):
            return Urgency.DRIFT
        return Urgency.CHANGE

    def _all_known(self, entry: Entry) -> bool:
        return all(self._backends.known(name) is not None for name in entry.backends)
