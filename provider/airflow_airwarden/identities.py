"""Whose pod a task's is: asked twice for each task, when it is queued and when its pod is really made. Pure.

Called by `executor.py` with the DAG id and the bundle that the scheduler itself knows, which the author cannot choose
for another's. Whatever is not certain gives the environment's powerless account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_airwarden.dag_map import Claim, MapUnusable
from airflow_airwarden.map_view import MapView


class BindingGone(Exception):
    """The binding for which a task was queued no longer has its DAG; the text says so."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The DAG is this binding's."""

    claim: Claim
    digest: str


@dataclass(frozen=True, slots=True)
class Unbound:
    """No binding has the DAG, as far as is known."""

    why: str
    certain: bool
    """Whether the map says so. Where it cannot be told, the task's lookups are refused as well."""
    digest: str = ""
    withheld: bool = False
    """The map says that the DAG is some binding's, and that no binding has it now. Lookups are refused here too."""


Identity = Bound | Unbound


@dataclass(frozen=True, slots=True)
class Identities:
    """The maps of the environment's bundles."""

    views: Mapping[str, MapView]
    namespaces: frozenset[str]
    """Where the executor watches pods; empty: everywhere."""

    def of(self, bundle: str, dag_id: str) -> Identity:
        """Return whose pod a task's of this DAG is, now."""
        view = self.views.get(bundle)
        if view is None:
            # Nothing tells a bundle that nobody may claim from one that was added while this scheduler runs.
            why = f"this scheduler was told of no bundle {bundle!r} when it started"
            return Unbound(why, certain=False)
        digest = ""
        try:
            dag_map = view.current()
            digest = dag_map.digest
            claim = dag_map.find(dag_id)
        except MapUnusable as unusable:
            return Unbound(str(unusable), certain=False, digest=digest)
        if claim is None and (reason := dag_map.why_withheld(dag_id)):
            why = f"a binding names the DAG {dag_id!r} of bundle {bundle!r}, and its claim is not in force: {reason}"
            return Unbound(why, certain=False, digest=digest, withheld=True)
        if claim is None:
            return Unbound(f"no binding names the DAG {dag_id!r} of bundle {bundle!r}", certain=True, digest=digest)
        if self.namespaces and claim.namespace not in self.namespaces:
            why = f"binding {claim.binding} is in a namespace where this executor watches no pods"
            return Unbound(why, certain=False, digest=digest)
        return Bound(claim, digest)


def still(queued_for: str, identity: Identity) -> Identity:
    """Return the identity; BindingGone when the task was queued for a binding that no longer has its DAG.

    ``queued_for`` is that binding, or empty. A map that cannot be used has not taken anything away.
    """
    if queued_for:
        if isinstance(identity, Unbound) and (identity.certain or identity.withheld):
            raise BindingGone(
                f"the task was queued for binding {queued_for}, which has its DAG no longer: {identity.why}"
            )
        if isinstance(identity, Bound) and identity.claim.binding != queued_for:
            raise BindingGone(
                f"the task was queued for binding {queued_for}, and its DAG is {identity.claim.binding}'s by now"
            )
    return identity
