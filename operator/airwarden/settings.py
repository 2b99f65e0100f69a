"""All settings of the operator: the only reader of the environment, and its own manual.

Built once by `airwarden.cli`, handed on by value. Each field is an environment variable with the prefix
``AIRWARDEN_`` and a flag of ``airwarden run``; `docs/reference/settings.md` is generated from here.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """From which level on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """Settings of one operator process."""

    model_config = SettingsConfigDict(
        env_prefix="AIRWARDEN_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    cluster: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")]
    """Name of this Kubernetes cluster, part of every name in the stores. Required; two clusters that share
    a store must not share it. Lower-case letters, digits and dashes, at most 32, no dot. Never change it:
    what was made under the old name would no longer be known as ours."""
    namespace: str = "airwarden"
    """Namespace that the operator runs in. CA bundles of backends are read from its ConfigMaps."""
    kubeconfig: Path | None = None
    """Kubeconfig to use, with its current context. Default: the pod's own service account."""
    token_directory: Path = Path("/var/run/secrets/airwarden")
    """Directory of projected service-account tokens, one file per audience, named after it."""
    kubernetes_timeout: Annotated[float, Field(gt=0, le=300)] = 30.0
    """Seconds to wait for one answer of the Kubernetes API."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of /metrics, /healthz and /readyz; 0 picks a free one, which is logged."""
    listen_address: str = "0.0.0.0"  # noqa: S104 - a pod is reached through its address
    """Address that the port above is bound to."""
    stall_seconds: Annotated[float, Field(ge=10)] = 300.0
    """Seconds without any finished pass, while bindings wait, after which /healthz fails."""
    shutdown_seconds: Annotated[float, Field(ge=0, le=600)] = 10.0
    """Seconds that running passes get to finish when the operator is stopped."""
    log_level: LogLevel = LogLevel.INFO
    """From which level on lines are logged. No level logs secrets."""
    log_format: LogFormat = LogFormat.JSON
    """json, one object per line, or console, for people."""
