"""`airwarden import`: what an Airflow holds today, as bindings and a script that puts the values into the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from airwarden.api.binding import SecretType
from airwarden.api.texts import MountName
from airwarden.commands.caller import FINE, FOUND, fail, process_environment
from airwarden.commands.importing import airflow_api, files
from airwarden.commands.importing.grouping import Group, Groups, Plan, Target, plan, read_groups
from airwarden.commands.importing.items import Item, printable
from airwarden.commands.importing.writing import SCRIPT, Engine, write
from airwarden.commands.showing import Output, OutputOption, say, show
from airwarden.domain.errors import AirwardenError, InvalidSettings
from airwarden.reconcile.wording import complaints

COLUMNS: Final = ("type", "id", "binding", "key", "from", "state")


def import_(  # noqa: PLR0913, PLR0917 - one parameter per flag
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Namespace of the bindings.")],
    backend: Annotated[str, typer.Option(help="AirflowSecretBackend of the store.")],
    connections: Annotated[
        list[Path] | None, typer.Option(help="What airflow connections export wrote: .json, .yaml or .env.")
    ] = None,
    variables: Annotated[list[Path] | None, typer.Option(help="What airflow variables export wrote.")] = None,
    env_file: Annotated[
        list[Path] | None, typer.Option(help="File with lines AIRFLOW_CONN_…=… and AIRFLOW_VAR_…=….")
    ] = None,
    environment: Annotated[
        bool, typer.Option("--env", help="Take AIRFLOW_CONN_… and AIRFLOW_VAR_… of this process.")
    ] = False,
    airflow_url: Annotated[str, typer.Option(help="Ask this Airflow's REST API; it hides passwords.")] = "",
    airflow_token_file: Annotated[
        Path | None, typer.Option(help="File with the token for it. Default: AIRFLOW_TOKEN.")
    ] = None,
    airflow_ca: Annotated[Path | None, typer.Option(help="Certificates that Airflow's is checked against.")] = None,
    binding: Annotated[str, typer.Option(help="Put everything into one binding of this name.")] = "",
    service_account: Annotated[str, typer.Option(help="Its account. Default: the binding's name.")] = "",
    map_file: Annotated[
        Path | None, typer.Option("--map", help="File that says which id goes into which binding.")
    ] = None,
    airflow_environment: Annotated[
        str, typer.Option("--airflow-environment", help="NAMESPACE/NAME of the AirflowEnvironment; with dags in --map.")
    ] = "",
    key_prefix: Annotated[str, typer.Option(help="Begin of all keys. Default: the namespace and a slash.")] = "",
    kv_mount: Annotated[str, typer.Option(help="Vault's mount, for the script.")] = "airflow",
    kv_version: Annotated[int, typer.Option(min=1, max=2, help="Its version.")] = 2,
    write_to: Annotated[Path | None, typer.Option("--write", help="Write bindings, values and script here.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Turn the connections and variables that an Airflow holds today into bindings, and a script with their values.

    Writes nothing unless --write names a new folder, and never to a store or a cluster: you run the script, with your
    own login, and apply the bindings. Values are never shown.

    Exit status: 0 everything is taken, 1 something is left out or must be filled in, 2 a source cannot be read.
    """
    try:
        items = _sources(connections or (), variables or (), env_file or ())
        if environment:
            items += files.variables(process_environment())
        if airflow_url:
            bearer = airflow_api.token(airflow_token_file, process_environment())
            items += airflow_api.read(airflow_url, bearer, airflow_ca)
        if not items:
            raise InvalidSettings(
                "nothing was found: give --connections, --variables, --env-file, --env or --airflow-url"
            )
        prefix = key_prefix or f"{namespace}/"
        groups = _groups(binding, service_account, map_file, airflow_environment)
        found = plan(items, groups, Target(namespace, backend, prefix, airflow_environment))
        engine = Engine(_mount(kv_mount), kv_version)
        if write_to is not None:
            write(found, engine, write_to)
    except AirwardenError as error:
        raise fail(error.message) from None
    _tell(found, output, write_to)
    if any(each.state != "ready" for each in found.placed) or found.unmatched:
        raise typer.Exit(FOUND)
    raise typer.Exit(FINE)


def _sources(connections: Sequence[Path], variables: Sequence[Path], env_files: Sequence[Path]) -> list[Item]:
    items = [each for file in connections for each in files.exported(SecretType.CONNECTION, file)]
    items += [each for file in variables for each in files.exported(SecretType.VARIABLE, file)]
    return items + [each for file in env_files for each in files.variables_file(file)]


def _groups(binding: str, account: str, map_file: Path | None, environment: str) -> Groups:
    if bool(binding) == (map_file is not None):
        raise InvalidSettings("give either --binding, for one binding with everything, or --map")
    if environment.count("/") != (1 if environment else 0):
        raise InvalidSettings("--airflow-environment must be NAMESPACE/NAME, such as airflow/main")
    if map_file is None:
        if environment:
            raise InvalidSettings("--airflow-environment needs --map: it says whose DAGs each binding is for")
        group = {"ids": ["*"], **({"service_account": account} if account else {})}
        try:
            return Groups(bindings={binding: Group.model_validate(group)})
        except ValidationError as error:
            raise InvalidSettings(complaints(error)) from None
    if account:
        raise InvalidSettings("--service-account goes with --binding: in the file of --map each binding has its own")
    found = read_groups(map_file)
    if not environment and any(each.dags for each in found.bindings.values()):
        raise InvalidSettings(f"{map_file} names dags: say of which Airflow with --airflow-environment")
    return found


def _mount(name: str) -> str:
    try:
        return TypeAdapter(MountName).validate_python(name)
    except ValidationError as error:
        raise InvalidSettings(f"--kv-mount {complaints(error).removeprefix(': ')}") from None


def _tell(found: Plan, output: Output, folder: Path | None) -> None:
    rows = [
        {
            "type": each.item.type.value,
            "id": printable(each.item.id),
            "binding": each.binding,
            "key": each.key if each.taken else "",
            "from": each.item.origin,
            "state": each.state,
        }
        for each in found.placed
    ]
    if output is Output.JSON:
        said = [{"why": each.item.wrong, "note": _note(each.item)} for each in found.placed]
        show((*COLUMNS, "why", "note"), [{**row, **more} for row, more in zip(rows, said, strict=True)], output)
    else:
        show(COLUMNS, rows, output)
        for each in found.placed:
            name = f"{each.item.type}/{printable(each.item.id)}"
            if each.item.wrong:
                typer.echo(f"{name} is left out: {each.item.wrong}")
            elif note := _note(each.item):
                typer.echo(f"{name}: {note}")
    for text in found.unmatched:
        say(f"airwarden: nothing is named as in the map's {text}")
    say(_summary(found, folder))


def _note(item: Item) -> str:
    hidden = item.to_be_filled
    words = (
        f"{', '.join(hidden)} hidden by {item.origin}: fill it in, or take airflow {item.type.lower()}s export instead"
    )
    return "; ".join(each for each in (words if hidden else "", item.note) if each)


def _summary(found: Plan, folder: Path | None) -> str:
    taken = len({each.key for each in found.placed if each.taken})
    said = f"{taken} secret(s) in {len(found.bindings)} binding(s). "
    if folder is None:
        return said + "Nothing was written: give --write with a new folder."
    return said + f"Review {folder}/bindings, run {folder / SCRIPT}, then kubectl apply -f {folder}/bindings"
