"""How a store's certificate is checked: the part that every type of backend has.

Used by `airwarden.api.backend` and `airwarden.api.azure`.
"""

from airwarden.api.fields import Model, ObjectName
from airwarden.api.texts import ConfigMapKeyName, ServerName


class ConfigMapKey(Model):
    """Names one key of a ConfigMap in the operator's namespace."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: ConfigMapKeyName = "ca.crt"
    """Key that holds PEM certificates."""


class CABundleReference(Model):
    """Where the certificates are that the store's certificate is checked against."""

    config_map: ConfigMapKey
    """A ConfigMap in the operator's namespace."""


class TLS(Model):
    """How the store's certificate is checked. It is always checked."""

    server_name: ServerName = ""
    """Name expected in the certificate, where it differs from the address."""
    ca_bundle_ref: CABundleReference | None = None
    """Certificates to trust. Default: those of the operator's image."""
