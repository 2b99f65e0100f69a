"""`airwarden environment rights`: what an environment's accounts need in Kubernetes, for review.

It is printed and nothing else: the operator writes no RBAC objects. Listed by `airwarden.cli`.
"""

from functools import partial
from typing import Annotated

import typer
import yaml

from airwarden.api.environment import AirflowEnvironment
from airwarden.commands.caller import Context, Kubeconfig, OperatorNamespace, Ways
from airwarden.commands.which_environment import Files, Named, tell_of
from airwarden.domain.environment.rights import rights
from airwarden.domain.errors import InvalidSettings

AccountOption = Annotated[str, typer.Option("--operator-account", help="The operator's service account.")]


def environment() -> None:
    """What an Airflow needs around it."""


def print_rights(
    environment: Named = None,
    filename: Files = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
    operator_account: AccountOption = "airwarden",
) -> None:
    """Print the Roles and RoleBindings that an environment needs, for kubectl apply -f -. Nothing is written anywhere.

    The scheduler may read its DAG maps by name, and make task pods in the worker namespaces; the API server may read
    their logs; the operator may see their metadata. Exit status: 0 printed, 2 there is nothing to print.
    """
    operator = (operator_namespace, operator_account)
    tell_of(environment, filename, Ways("", kubeconfig, context), partial(tell, operator=operator))


def tell(environment: AirflowEnvironment, operator: tuple[str, str]) -> None:
    """Print what an environment needs. Raises InvalidSettings where that is nothing."""
    found = list(rights(environment, operator))
    if not found:
        executor = environment.spec.executor.value
        raise InvalidSettings(f"with executor {executor} no pods are made for tasks, so nothing is needed for them")
    typer.echo(yaml.safe_dump_all(found, sort_keys=False), nl=False)
