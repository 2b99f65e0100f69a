"""`airwarden roles render`: who gets which role in Airflow, as configuration of its FAB auth manager, for review.

It is printed and nothing else: the operator never writes code that Airflow executes. Listed by `airwarden.cli`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Final

import typer

from airwarden.api.environment import AirflowEnvironment
from airwarden.commands.caller import Context, Kubeconfig, Ways
from airwarden.commands.showing import say
from airwarden.commands.which_environment import Files, Named, tell_of
from airwarden.domain.errors import InvalidSettings

AIRFLOWS_OWN: Final = ("Public", "Viewer", "User", "Op", "Admin")
"""The roles that the FAB auth manager makes itself."""


class Form(StrEnum):
    """How the mapping is printed."""

    PYTHON = "python"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Grant:
    """Members of one group get one role."""

    role: str
    provider: str
    group: str


def roles() -> None:
    """Who gets which role in Airflow."""


def render(
    environment: Named = None,
    filename: Files = None,
    provider: Annotated[str, typer.Option(help="Only the groups of this identity provider.")] = "",
    output: Annotated[
        Form, typer.Option("-o", "--output", help="python, for webserver_config.py, or json.")
    ] = Form.PYTHON,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Print spec.roleMappings as AUTH_ROLES_MAPPING of Airflow's FAB auth manager. Nothing is written anywhere.

    Review it, and put it into webserver_config.py yourself. Exit status: 0 printed, 2 there is nothing to print.
    """
    tell_of(environment, filename, Ways("", kubeconfig, context), partial(tell, provider=provider, output=output))


def tell(environment: AirflowEnvironment, provider: str, output: Form) -> None:
    """Print the mapping, and what is doubtful about it on standard error. Raises InvalidSettings if it is empty."""
    grants = tuple(each for each in grants_of(environment) if provider in {"", each.provider})
    if not grants:
        what = f"of provider {provider}" if provider else "at all"
        raise InvalidSettings(f"spec.roleMappings has no group {what}: an empty mapping would take every role away")
    for each in warnings(grants):
        say(f"airwarden: {each}")
    whose = f"{environment.metadata.namespace or 'default'}/{environment.metadata.name}"
    typer.echo(python(grants, whose) if output is Form.PYTHON else as_json(grants), nl=False)


def grants_of(environment: AirflowEnvironment) -> tuple[Grant, ...]:
    """Return what is declared, one group and role each."""
    mappings = environment.spec.role_mappings
    return tuple(Grant(each.airflow_role, group.provider, group.value) for each in mappings for group in each.groups)


def mapping(grants: Iterable[Grant]) -> dict[str, list[str]]:
    """Return the roles of each group, as FAB wants them: it knows no providers."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for each in grants:
        found[each.group].add(each.role)
    return {group: sorted(found[group]) for group in sorted(found)}


def warnings(grants: Iterable[Grant]) -> list[str]:
    """Return what a reviewer should look at."""
    listed = tuple(grants)
    unknown = sorted({each.role for each in listed} - set(AIRFLOWS_OWN))
    said = [
        f"role {role} is none of Airflow's own ({', '.join(AIRFLOWS_OWN)}): where nobody made it, it gives nothing"
        for role in unknown
    ]
    providers = sorted({each.provider for each in listed})
    if len(providers) > 1:
        said.append(
            f"Airflow does not tell {' and '.join(providers)} apart: whoever names the groups of one of them gives the "
            "roles of the others' groups of that name; print each with --provider, for an Airflow of its own"
        )
    return said


def python(grants: Iterable[Grant], whose: str) -> str:
    """Return a fragment of webserver_config.py that holds literals and nothing else, whatever the groups are called."""
    lines = [
        f"# spec.roleMappings of AirflowEnvironment {whose!a}, printed by airwarden roles render: review it.",
        "AUTH_ROLES_MAPPING = {",
        *(f"    {group!a}: {_list(found)}," for group, found in mapping(grants).items()),
        "}",
        "# Without this, whoever leaves a group keeps its role.",
        "AUTH_ROLES_SYNC_AT_LOGIN = True",
    ]
    return "\n".join(lines) + "\n"


def _list(found: Iterable[str]) -> str:
    return f"[{', '.join(ascii(each) for each in found)}]"


def as_json(grants: Iterable[Grant]) -> str:
    """Return the same for programs."""
    found: Mapping[str, list[str]] = mapping(grants)
    return json.dumps(found, indent=2) + "\n"
