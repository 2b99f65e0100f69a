"""The tests' PostgreSQL is a real one: it checks passwords, and a paused one answers nobody."""

from __future__ import annotations

import psycopg
import pytest

from plane.postgres_server import PostgresServer


def test_a_user_logs_in_with_the_newest_password_only(postgres: PostgresServer) -> None:
    first = postgres.make_user("local_user")
    assert postgres.accepts("local_user", first)

    postgres.set_password("local_user", "another")

    assert postgres.accepts("local_user", "another")
    assert not postgres.accepts("local_user", first)
    assert {"admin", "local_user"} <= postgres.users()


def test_a_user_that_may_make_users_makes_them(postgres: PostgresServer) -> None:
    password = postgres.make_user("local_maker", may_make_users=True)

    with postgres.connect("local_maker", password) as connection:
        connection.execute("CREATE ROLE local_made WITH LOGIN PASSWORD 'made'")

    assert postgres.accepts("local_made", "made")


def test_an_end_of_the_server_is_no_wrong_password() -> None:
    with PostgresServer() as own:
        password = own.make_user("local_late")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        own.accepts("local_late", password)
