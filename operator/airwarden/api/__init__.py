"""The kinds that users write, as typed models: the one source of the CRD files.

Called by every other layer; imports none of them.
"""

GROUP = "airwarden.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
BINDINGS = "airflowsecretbindings"
BACKENDS = "airflowsecretbackends"
ROTATIONS = "airflowsecretrotations"
ENVIRONMENTS = "airflowenvironments"
FINALIZER = f"{GROUP}/revoke-access"
"""Held by each object whose access must be taken away before it may go."""
