"""What several kinds name each other by. Used by their models."""

from typing import Final

from airwarden.api.fields import BackendName, Model

MAX_NAME: Final = 63
"""Characters of a binding's, a backend's or a rotation's name: it becomes a label, and part of names in the stores."""


class BackendReference(Model):
    """Names an AirflowSecretBackend."""

    name: BackendName
    """Name of the cluster-scoped AirflowSecretBackend."""
