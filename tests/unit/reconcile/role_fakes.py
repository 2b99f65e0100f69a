"""Roles of a database engine in memory, as a store has them: used by `unit.reconcile.rotation_fakes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from airwarden.api.database_role import DatabaseKind, DatabaseRole
from airwarden.domain.errors import DatabaseRoleAbsent
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings
from unit.reconcile.fake_cluster import Journal


class FakeRoles:
    """Static roles by name. Each rotation, whoever asks for it, is one more in ``rotated``."""

    def __init__(self, journal: Journal, clock: Callable[[], datetime]) -> None:
        self.found: dict[str, RoleFacts] = {}
        self.rotated: list[str] = []
        self.settings: list[RoleSettings] = []
        """What was declared, in order."""
        self.errors: dict[str, Exception] = {}
        """By step: look, rotate, declare, remove."""
        self._journal = journal
        self._clock = clock

    def put(self, name: str, settings: RoleSettings) -> None:
        """Make a role, or change it, as an admin does."""
        known = self.found.get(name)
        if known is None:
            self.found[name] = RoleFacts(present=True, settings=settings)
            self.turn(name)
        else:
            self.found[name] = replace(known, settings=settings)

    def turn(self, name: str) -> None:
        """Rotate a role, as the store does by itself too."""
        self.rotated.append(name)
        revision = f"r{len(self.rotated)}"
        self.found[name] = replace(self.found[name], revision=revision, made=self._clock())

    async def look(self, role: DatabaseRole) -> RoleFacts:
        if role.kind is not DatabaseKind.STATIC:
            return RoleFacts(present=True)
        self._begin("look", role)
        found = self.found.get(role.name, RoleFacts(present=False))
        self._journal.end()
        return found

    async def rotate(self, role: DatabaseRole) -> None:
        self._begin("rotate", role)
        if role.kind is not DatabaseKind.STATIC:
            self.rotated.append(role.name)
        elif role.name in self.found:
            self.turn(role.name)
        else:
            raise DatabaseRoleAbsent("no such role")
        self._journal.end()

    async def declare(self, role: DatabaseRole, settings: RoleSettings, found: RoleSettings | None) -> None:
        self._begin("declare" if found is None else "adjust", role)
        self.settings.append(settings)
        self.put(role.name, settings)
        self._journal.end()

    async def remove(self, role: DatabaseRole) -> None:
        self._begin("remove", role)
        self.found.pop(role.name, None)
        self._journal.end()

    def _begin(self, step: str, role: DatabaseRole) -> None:
        self._journal.begin(f"{step} {role.name}")
        if step in self.errors:
            raise self.errors[step]
