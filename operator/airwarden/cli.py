"""The command line: one module beside the commands for people, which are in `airwarden.commands`.

Errors that a user can mend are one line on standard error and exit status 1; wrong usage is 2, as typer does it.
"""

import asyncio
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError

from airwarden import __version__
from airwarden.api import crd, reference
from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.access import access
from airwarden.commands.adopt import adopt
from airwarden.commands.azure_setup import azure_setup
from airwarden.commands.doctor.command import doctor
from airwarden.commands.environment import environment, print_rights
from airwarden.commands.importing.command import import_
from airwarden.commands.plan import plan
from airwarden.commands.roles import render, roles
from airwarden.commands.rotate import rotate
from airwarden.commands.rotations import rotations
from airwarden.commands.secret_id import secret_id
from airwarden.commands.sweep import sweep
from airwarden.domain.errors import AirwardenError
from airwarden.operator_process import run as run_operator
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.rotation.setup import RotationOptions
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from airwarden.reconcile.wording import complaints
from airwarden.settings import LogFormat, LogLevel, Settings, manual
from airwarden.telemetry import set_up_logging


class Mode(Enum):
    """What the operator may do in Vault."""

    ROLES = "Roles"
    FENCED = "Fenced"


app = typer.Typer(
    help="Least-privilege secret access for Apache Airflow, declared in Kubernetes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


app.command("adopt")(adopt)
app.command("sweep")(sweep)
app.command()(plan)
app.command()(access)
app.command()(doctor)
app.command("import")(import_)
_environment = typer.Typer(no_args_is_help=True, callback=environment)
_environment.command("rights")(print_rights)
app.add_typer(_environment, name="environment")
_roles = typer.Typer(no_args_is_help=True, callback=roles)
_roles.command()(render)
app.add_typer(_roles, name="roles")
app.command()(rotate)
app.command()(rotations)


def main() -> None:
    """Run the command line."""
    app()


def _fail(message: str) -> typer.Exit:
    typer.echo(f"airwarden: {message}", err=True)
    return typer.Exit(1)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """Least-privilege secret access for Apache Airflow, declared in Kubernetes."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter per setting
    cluster: Annotated[str | None, typer.Option(help="Name of this cluster [AIRWARDEN_CLUSTER].")] = None,
    namespace: Annotated[str | None, typer.Option(help="The operator's namespace [AIRWARDEN_NAMESPACE].")] = None,
    rotation_namespace: Annotated[
        str | None, typer.Option(help="Where Jobs of rotations run [AIRWARDEN_ROTATION_NAMESPACE].")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig [AIRWARDEN_KUBECONFIG].")] = None,
    token_directory: Annotated[
        Path | None, typer.Option(help="Projected tokens, a file per audience [AIRWARDEN_TOKEN_DIRECTORY].")
    ] = None,
    kubernetes_timeout: Annotated[
        float | None, typer.Option(help="Seconds for one answer [AIRWARDEN_KUBERNETES_TIMEOUT].")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics [AIRWARDEN_METRICS_PORT].")] = None,
    listen_address: Annotated[str | None, typer.Option(help="Address of it [AIRWARDEN_LISTEN_ADDRESS].")] = None,
    stall_seconds: Annotated[
        float | None, typer.Option(help="Seconds without progress that fail /healthz [AIRWARDEN_STALL_SECONDS].")
    ] = None,
    sweep_interval: Annotated[
        float | None, typer.Option(help="Seconds between two sweeps [AIRWARDEN_SWEEP_INTERVAL].")
    ] = None,
    sweep_grace: Annotated[
        float | None, typer.Option(help="Seconds before a leftover is removed [AIRWARDEN_SWEEP_GRACE].")
    ] = None,
    environment_interval: Annotated[
        float | None, typer.Option(help="Seconds between two looks [AIRWARDEN_ENVIRONMENT_INTERVAL].")
    ] = None,
    see_task_pods: Annotated[
        bool | None, typer.Option(help="Look at task pods' metadata [AIRWARDEN_SEE_TASK_PODS].")
    ] = None,
    shutdown_seconds: Annotated[
        float | None, typer.Option(help="Seconds to finish in at the end [AIRWARDEN_SHUTDOWN_SECONDS].")
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="From which level [AIRWARDEN_LOG_LEVEL].")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="json or console [AIRWARDEN_LOG_FORMAT].")] = None,
) -> None:
    """Run the operator until it is told to stop. Each flag is also an environment variable."""
    flags = {name: value for name, value in locals().items() if value is not None}
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        raise _fail(f"the settings cannot be used: {complaints(error)}") from None
    set_up_logging(settings.log_level, settings.log_format)
    try:
        asyncio.run(run_operator(settings))
    except AirwardenError as error:
        raise _fail(error.message) from None


app.command("secret-id")(secret_id)
app.command("azure-setup")(azure_setup)


@app.command("settings")
def print_settings() -> None:
    """Print what each setting does, as Markdown."""
    typer.echo(manual(), nl=False)


@app.command()
def crds(
    directory: Annotated[Path | None, typer.Option(help="Write the files here; default: print them.")] = None,
    reference_directory: Annotated[
        Path | None, typer.Option("--reference", help="Write the reference pages here as well.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Write nothing; fail when files there are not as generated.")] = False,
) -> None:
    """Print or write the CustomResourceDefinitions, and the reference pages that come from the same models."""
    if directory is None and reference_directory is None:
        for text in crd.crd_files().values():
            sys.stdout.write(text)
        return
    for generated, where in ((crd, directory), (reference, reference_directory)):
        if where is None:
            continue
        if not check:
            generated.write(where)
        elif different := generated.differences(where):
            raise _fail(f"not as generated in {where}: {', '.join(different)}; run the same without --check")


@app.command("vault-setup")
def print_vault_setup(  # noqa: PLR0913, PLR0917 - one parameter per flag
    backend: Annotated[Path, typer.Argument(help="File with the AirflowSecretBackend.", exists=True, dir_okay=False)],
    cluster: Annotated[str, typer.Option(envvar="AIRWARDEN_CLUSTER", help="Name of this cluster.")],
    namespace: Annotated[str, typer.Option(help="The operator's namespace.")] = "airwarden",
    service_account: Annotated[str, typer.Option(help="The operator's service account.")] = "airwarden",
    workload_namespace: Annotated[
        list[str] | None, typer.Option(help="One more namespace to permit, for rules that select by label.")
    ] = None,
    enable_kv: Annotated[bool, typer.Option(help="Also enable the key-value engine.")] = False,
    mode: Annotated[
        Mode | None, typer.Option(case_sensitive=False, help="Mode to set up. Default: the backend's own.")
    ] = None,
    moving: Annotated[bool, typer.Option(help="Add the rights of the other mode, to remove what it left.")] = False,
    sweep: Annotated[bool, typer.Option(help="Mode Fenced: permit the list of aliases, for the sweep.")] = True,
    policy: Annotated[
        str, typer.Option(help="The operator's policy, where backends with different mounts share a Vault.")
    ] = "",
    foreign_role_scan: Annotated[
        bool, typer.Option(help="Also let the operator read roles of others, to report those with managed accounts.")
    ] = False,
    rotation_read: Annotated[
        bool, typer.Option(help="Also let rotations read secrets: part URIPassword needs it.")
    ] = False,
    password_policy: Annotated[
        list[str] | None, typer.Option(help="A password policy of Vault that rotations may use; repeat for more.")
    ] = None,
) -> None:
    """Print what a Vault administrator applies once: the operator's policy and role, and those for rotations."""
    try:
        found = next(
            each
            for each in yaml.safe_load_all(backend.read_text())
            if each and each.get("kind") == "AirflowSecretBackend"
        )
        model = AirflowSecretBackend.model_validate({key: found.get(key) for key in ("metadata", "spec")})
    except StopIteration:
        raise _fail(f"{backend} holds no AirflowSecretBackend") from None
    except yaml.YAMLError as error:
        raise _fail(f"{backend} is not YAML: {error}") from None
    except ValidationError as error:
        raise _fail(f"{backend}: {complaints(error)}") from None
    try:
        made = vault_setup(
            model,
            cluster=cluster,
            operator=OperatorAccount(namespace, service_account),
            namespaces=tuple(workload_namespace or ()),
            enable_kv=enable_kv,
            options=ModeOptions(mode.value if mode is not None else None, moving, sweep, policy),
            foreign_role_scan=foreign_role_scan,
            rotation=RotationOptions(rotation_read, tuple(password_policy or ())),
        )
    except (AirwardenError, ValueError) as error:
        raise _fail(str(error)) from None
    typer.echo(made.script)
