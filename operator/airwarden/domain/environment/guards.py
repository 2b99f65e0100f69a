"""Whether the policies that the identity of tasks rests on are there and hold for everything. Pure.

One of them that is missing is a way to a binding's account, so marks on pods prove something only beside all of them.
Read by `airwarden.providers.kubernetes.task_pods`, told of in `airwarden.domain.environment.isolation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

POLICIES: Final = (
    "bound-pods.airwarden.dev",
    "bound-pod-changes.airwarden.dev",
    "bound-pod-access.airwarden.dev",
    "bound-tokens.airwarden.dev",
    "config-maps.airwarden.dev",
    "binding-identity.airwarden.dev",
    "mapped-namespaces.airwarden.dev",
)
"""Of manifests/admission. Each is bound by an object of its own name."""
APPLY: Final = "kubectl apply -k manifests/admission"
_BY_NAME: Final = "kubernetes.io/metadata.name"

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Guards:
    """What was found of the policies."""

    gaps: tuple[str, ...] = ()
    """What of them is missing or does not hold for everything; empty when all is as it should be."""
    since: str = ""
    """When the last of them was made or changed, as the API server writes times: what is older was not judged."""


def judge(found: Mapping[str, tuple[Body | None, Body | None]]) -> Guards:
    """Return what each policy and its binding, both by the policy's name, come to. None is one that is not there."""
    objects = [each for name in POLICIES for each in found[name] if each is not None]
    return Guards(
        tuple(f"{name} {gap}" for name in POLICIES if (gap := _gap(name, *found[name]))),
        max((moment for each in objects for moment in _moments(each)), default=""),
    )


def _gap(name: str, policy: Body | None, binding: Body | None) -> str:
    """Return what is wrong with one policy, empty when nothing is."""
    if policy is None:
        return "is not there"
    if binding is None:
        return "is not bound"
    judged, bound = policy.get("spec") or {}, binding.get("spec") or {}
    narrowed = bound.get("matchResources") or {}
    everything = not (narrowed.get("resourceRules") or narrowed.get("namespaceSelector") or _leaves_out(narrowed))
    wrong = {
        "lets pass what it cannot judge (failurePolicy)": judged.get("failurePolicy", "Fail") != "Fail",
        "leaves out some objects (matchConstraints)": _leaves_out(judged.get("matchConstraints") or {}),
        "is not bound by the binding of its name": bound.get("policyName") != name,
        "does not deny (validationActions)": "Deny" not in (bound.get("validationActions") or ()),
        "is bound for a part only (matchResources)": not everything,
        "does not go by all bindings of a namespace (paramRef)": bool(judged.get("paramKind"))
        and not _takes_all(bound.get("paramRef") or {}),
    }
    return next((gap for gap, is_so in wrong.items() if is_so), "")


def _leaves_out(match: Body) -> bool:
    """Tell whether some objects are not matched. Namespaces may be left out by name: manifests/admission names some."""
    selector = match.get("namespaceSelector") or {}
    by_name = all(each.get("key") == _BY_NAME for each in selector.get("matchExpressions") or ())
    narrow = selector.get("matchLabels") or not by_name
    return bool(match.get("objectSelector") or match.get("excludeResourceRules") or narrow)


def _takes_all(reference: Body) -> bool:
    selects = "selector" in reference and not reference["selector"]
    return selects and not reference.get("name") and not reference.get("namespace")


def _moments(body: Body) -> tuple[str, ...]:
    metadata = body.get("metadata") or {}
    edits = (each.get("time") for each in metadata.get("managedFields") or () if each.get("subresource") != "status")
    return tuple(str(each) for each in (metadata.get("creationTimestamp"), *edits) if each)
