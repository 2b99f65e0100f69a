"""`airwarden environment rights`: what an environment's accounts need in Kubernetes, for review.

It is printed and nothing else: the operator writes no RBAC objects. Listed by `airwarden.cli`.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import yaml

from airwarden.api.environment import AirflowEnvironment
from airwarden.commands.caller import FINE, Caller, Context, Kubeconfig, OperatorNamespace, Ways, fail, run
from airwarden.commands.roles import declared
from airwarden.domain.environment.rights import rights
from airwarden.domain.errors import AirwardenError, InvalidSettings

AccountOption = Annotated[str, typer.Option("--operator-account", help="The operator's service account.")]


def environment() -> None:
    """What an Airflow needs around it."""


def print_rights(
    environment: Annotated[str | None, typer.Argument(metavar="[NAMESPACE/ENVIRONMENT]", help="A live one.")] = None,
    filename: Annotated[
        list[Path] | None, typer.Option("-f", "--filename", help="File with one; - for standard input.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
    operator_account: AccountOption = "airwarden",
) -> None:
    """Print the Roles and RoleBindings that an environment needs, for kubectl apply -f -. Nothing is written anywhere.

    The scheduler may read its DAG maps by name, and make task pods in the worker namespaces; the API server may read
    their logs; the operator may see their metadata. Exit status: 0 printed, 2 there is nothing to print.
    """
    if bool(environment) == bool(filename):
        raise fail("give either -f FILE or NAMESPACE/ENVIRONMENT")
    operator = (operator_namespace, operator_account)
    if environment is None:
        try:
            tell(declared(filename or ()), operator)
        except AirwardenError as error:
            raise fail(error.message) from None
        return
    namespace, _, name = environment.partition("/")
    if not namespace or not name or "/" in name:
        raise fail(f"{environment!r} is no environment: write NAMESPACE/ENVIRONMENT")
    run(Ways("", kubeconfig, context), partial(_live, key=(namespace, name), operator=operator))


async def _live(caller: Caller, *, key: tuple[str, str], operator: tuple[str, str]) -> int:
    tell(await caller.environment(*key), operator)
    return FINE


def tell(environment: AirflowEnvironment, operator: tuple[str, str]) -> None:
    """Print what an environment needs. Raises InvalidSettings where that is nothing."""
    found = list(rights(environment, operator))
    if not found:
        executor = environment.spec.executor.value
        raise InvalidSettings(f"with executor {executor} no pods are made for tasks, so nothing is needed for them")
    typer.echo(yaml.safe_dump_all(found, sort_keys=False), nl=False)
