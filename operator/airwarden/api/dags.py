"""Which DAGs of which Airflow a binding speaks for, and what an Airflow connection has besides its secret.

Used by the models of bindings and environments.
"""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from airwarden.api.fields import Model, Namespace, Unique, matches, rule, schema

DAG_IDS: Final = r"^([A-Za-z0-9_.-]+\*?|\*)$"
_BUNDLE: Final = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
_PARTS: Final = ("connType", "host", "port", "schema", "login", "extra", "loginField", "passwordField")
_SOME_PART: Final = "at least one part must be given: an empty connection says nothing"

BundleName = Annotated[
    str,
    StringConstraints(max_length=200),
    matches(
        _BUNDLE, "must be the name of a DAG bundle: letters, digits, and between them dots, dashes and underscores"
    ),
]
DagIDs = Annotated[
    str,
    StringConstraints(max_length=250),
    matches(
        DAG_IDS,
        "must be a DAG id, or the beginning of some with a * at the end, such as billing_*: letters, digits, "
        "underscores, dots and dashes",
    ),
]
EnvironmentName = Annotated[
    str,
    StringConstraints(max_length=63),
    matches(
        r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        "must be the name of an AirflowEnvironment: lower-case letters, digits and inner dashes",
    ),
]


class EnvironmentReference(Model):
    """Names an AirflowEnvironment."""

    name: EnvironmentName
    """Name of the AirflowEnvironment."""
    namespace: Namespace
    """Its namespace, which is Airflow's."""


class DagClaim(Model):
    """DAGs of one bundle."""

    bundle: BundleName
    """The DAG bundle, as [dag_processor] dag_bundle_config_list names it."""
    ids: Annotated[tuple[DagIDs, ...], Field(min_length=1, max_length=64), Unique()]
    """DAG ids: exact, or with a * at the end. Within one bundle all authors trust each other: they choose the ids."""


class ConnectionParts(Model):
    """Parts of an Airflow connection that are not secret and that the store does not hold. What it holds wins."""

    conn_type: Annotated[str | None, Field(max_length=128)] = None
    """Airflow's connection type, for example postgres."""
    host: Annotated[str | None, Field(max_length=512)] = None
    """Host, for example db.example."""
    port: Annotated[int | None, Field(ge=1, le=65535)] = None
    """Port."""
    schema_: Annotated[str | None, Field(alias="schema", max_length=512)] = None
    """What Airflow calls schema: of a database, its name."""
    login: Annotated[str | None, Field(max_length=512)] = None
    """User, where it is no secret."""
    extra: Annotated[str | None, Field(max_length=4096)] = None
    """Extra as Airflow has it, a JSON object in a text. Nothing secret: it stands in a ConfigMap."""
    login_field: Annotated[str | None, Field(max_length=128)] = None
    """Field of the store that becomes the login. Default: login, or username of an engine's credentials."""
    password_field: Annotated[str | None, Field(max_length=128)] = None
    """Field of the store that becomes the password. Default: password."""

    model_config = ConfigDict(
        json_schema_extra=schema(rule(" || ".join(f"has(self.{each})" for each in _PARTS), _SOME_PART))
    )

    @model_validator(mode="after")
    def _some_part(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(_SOME_PART)
        return self
