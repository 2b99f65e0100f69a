"""What a pass asks of a store for its rotation, whichever target that has: a look, a write, a change of the schedule.

Called by `airwarden.reconcile.rotations`.
"""

from airwarden.api.rotation import RotationSpec
from airwarden.domain.rotation import roles
from airwarden.domain.rotation.facts import Facts, RoleFacts
from airwarden.domain.rotation.steps import Adjust, Situation
from airwarden.providers.ports import Rotator


async def looked_at(rotator: Rotator, spec: RotationSpec) -> Facts:
    """Return what the store says of the rotation's target. Raises AirwardenError."""
    if spec.database_role is not None:
        return await rotator.roles.look(spec.database_role)
    return await rotator.look(spec.key or "")


async def rotate_role(rotator: Rotator | None, found: Situation) -> None:
    """Have the store rotate the role; a declared one that is not there is made, which does so.

    Raises AirwardenError.
    """
    spec, facts = found.rotation.spec, found.facts
    role = spec.database_role
    if rotator is None or role is None or not isinstance(facts, RoleFacts):
        raise TypeError("a run of a role is only decided upon after a look at it")
    settings = roles.wanted(spec)
    if settings is not None and not facts.present:
        await rotator.roles.declare(role, settings, None)
    else:
        await rotator.roles.rotate(role)


async def adjust_role(rotator: Rotator | None, spec: RotationSpec, step: Adjust) -> None:
    """Have the store rotate a declared role as it is declared. Raises AirwardenError."""
    if rotator is None or spec.database_role is None:
        raise TypeError("a role is only adjusted after a look at it")
    await rotator.roles.declare(spec.database_role, step.settings, step.found)
