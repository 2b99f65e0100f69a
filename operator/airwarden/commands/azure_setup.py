"""`airwarden azure-setup`: prints what an Azure administrator grants the operator for the backends in a file.

Asks neither Azure nor Kubernetes.
"""

from pathlib import Path
from typing import Annotated

import typer

from airwarden.commands.planning_files import read_files
from airwarden.domain.errors import AirwardenError


def azure_setup(
    file: Annotated[Path, typer.Argument(help="File with AirflowSecretBackends of type AzureKeyVault; - is stdin.")],
    cluster: Annotated[str, typer.Option(envvar="AIRWARDEN_CLUSTER", help="Name of this cluster.")],
) -> None:
    """Print the roles that the operator needs in Azure for a backend, and the commands for az that grant them."""
    # Azure's clients take a second to load, which other commands need not spend.
    from airwarden.providers.azure.opening import place_of, settings  # noqa: PLC0415
    from airwarden.providers.azure.setup import script  # noqa: PLC0415

    try:
        backends = [each for each in read_files((file,), "").backends if each.spec.azure_key_vault is not None]
    except AirwardenError as error:
        typer.echo(f"airwarden: {error.message}", err=True)
        raise typer.Exit(1) from None
    if not backends:
        typer.echo(f"airwarden: {file} holds no AirflowSecretBackend of type AzureKeyVault", err=True)
        raise typer.Exit(1)
    for each in backends:
        typer.echo(script(place_of(each, settings(each), cluster)), nl=False)
