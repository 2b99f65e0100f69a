"""`airwarden roles render` of an environment as the API server has it."""

from __future__ import annotations

import re

from integration.commands.running import Person
from integration.world import World
from plane.binaries import REPOSITORY

PAGE = (REPOSITORY / "docs" / "commands.md").read_text()


def test_the_roles_of_a_live_environment_are_printed(world: World, boss: Person) -> None:
    [body] = [each for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "AirflowEnvironment" in each]
    [shown] = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    world.make_namespace("airflow")
    world.plane.kubectl("apply", "-f", "-", stdin=body)
    said = boss.runs("roles", "render", "airflow/main")
    assert (said.status, said.out, said.err) == (0, shown, "")
    absent = boss.runs("roles", "render", "airflow/other")
    assert (absent.status, absent.out) == (2, "")
    assert "there is no AirflowEnvironment other in namespace airflow" in absent.err
    world.plane.kubectl("delete", "afe", "main", "-n", "airflow", "--timeout=60s")
