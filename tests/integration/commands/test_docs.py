"""Each example of docs/commands.md is run on the objects of the quickstart, and prints what stands there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from integration.commands.running import Person
from integration.world import World, eventually
from plane import quickstart
from plane.binaries import REPOSITORY
from plane.operator import CLUSTER

PAGE = (REPOSITORY / "docs" / "commands.md").read_text()
SHOWN_CLUSTER = "prod-eu"


def examples() -> list[tuple[str, str]]:
    """Return each command of the page with the output that stands below it."""
    found: list[tuple[str, str]] = []
    for block in PAGE.split("```console\n")[1:]:
        for part in block.split("```")[0].split("$ ")[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.fixture(scope="module")
def applied(world: World) -> Iterator[World]:
    """Apply the quickstart and wait until it is Ready."""
    world.make_namespace(quickstart.NAMESPACE)
    overlay = quickstart.write_overlay(world.plane.data_dir / "quickstart-of-docs", world.plane.vault_address).parent
    world.plane.kubectl("apply", "-k", str(overlay))

    def ready() -> bool:
        found = json.loads(world.plane.kubectl("get", "asb,asbk", "-n", quickstart.NAMESPACE, "-o", "json"))["items"]
        mine = [each for each in found if each["metadata"]["name"] in ("billing", "reporting", "vault")]
        conditions = [(each.get("status") or {}).get("conditions", ()) for each in mine]
        return len(mine) == 3 and all(
            any((one["type"], one["status"]) == ("Ready", "True") for one in each) for each in conditions
        )

    eventually("the quickstart is Ready", ready, 60)
    yield world
    world.plane.kubectl("delete", "asb", "--all", "-n", quickstart.NAMESPACE, "--timeout=60s")
    world.plane.kubectl("delete", "asbk", "vault", "--timeout=60s")


@pytest.mark.parametrize(("command", "output"), examples(), ids=[command for command, _ in examples()])
def test_an_example_prints_what_the_page_says(applied: World, boss: Person, command: str, output: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "airwarden"
    said = boss.runs(*(str(REPOSITORY / each) if each.startswith("examples/") else each for each in arguments))
    assert (
        said.out.replace(f".{CLUSTER}.", f".{SHOWN_CLUSTER}.")
        .replace(f"cluster {CLUSTER}.", f"cluster {SHOWN_CLUSTER}.")
        .replace(f"cluster = {CLUSTER}", f"cluster = {SHOWN_CLUSTER}")
        .strip()
        == output.strip()
    )


def test_the_page_has_examples_of_each_command() -> None:
    assert {command.split()[1] for command, _ in examples()} == {"plan", "access", "doctor"}
