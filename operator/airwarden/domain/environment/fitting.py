"""What of a rendering fits into ConfigMaps, and what is said of what does not. Pure, in steps.

Called by `airwarden.reconcile.environments`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from airwarden.api.reasons import Reason
from airwarden.domain.config_map import LARGEST, WantedMap
from airwarden.domain.environment.dag_map import DagMap, closed, exceeds, fills_up, is_too_large, narrowed, steadied
from airwarden.domain.environment.rendering import Rendering, content_of
from airwarden.domain.progress import Fault
from airwarden.domain.slices import Steps


@dataclass(slots=True)
class Fitting:
    """What can be written, by what a status calls it."""

    wanted: dict[str, WantedMap]
    large: dict[str, Fault] = field(default_factory=dict)
    """Of what did not fit as it should be."""
    full: set[str] = field(default_factory=set)
    """What soon fits no longer."""


def fit(rendering: Rendering, in_force: Mapping[str, str]) -> Steps[Fitting]:
    """Return what can be written: of a map that is too large, what the one in force has in common with it.

    ``in_force`` holds the text of each map that is there and ours, by the name of its ConfigMap.
    """
    found = Fitting(dict(rendering.components.wanted))
    for each in rendering.dag_maps:
        yield
        content, before = content_of(each), in_force.get(each.name, "")
        steady = steadied(each, before)
        if (whole := (yield from _written(steady))) is not None:
            found.wanted[content] = whole
            if fills_up(whole):
                found.full.add(content)
            continue
        found.large[content] = _too_large(each)
        yield
        whole = yield from _written(closed(steady))
        if whole is None:
            yield
            # Claims that are not in force never take the room of those that are.
            whole = yield from closed(narrowed(steady, before)).wanted()
        found.wanted[content] = whole
    return found


def _written(dag_map: DagMap) -> Steps[WantedMap | None]:
    """Return the ConfigMap of a map; None where none holds it, of which the text is not even made."""
    if exceeds(dag_map):
        return None
    wanted = yield from dag_map.wanted()
    return None if is_too_large(wanted) else wanted


def _too_large(dag_map: DagMap) -> Fault:
    return Fault(
        Reason.MAP_TOO_LARGE,
        f"the map of bundle {dag_map.bundle} would have more than {LARGEST} bytes, which is what fits: what does not "
        "fit is not added, and DAGs that the map does not name are refused all lookups; claim DAGs by prefixes, or "
        "split the bundle",
        retryable=False,
    )
