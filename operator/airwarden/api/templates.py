"""Labels and names by which Jobs of rotations and their templates are known in the rotation namespace.

Used by `airwarden.providers.kubernetes.jobs`.
"""

from typing import Final

from airwarden.api import GROUP

TEMPLATE: Final = f"{GROUP}/rotation-template"
"""Label of a CronJob that may be used as a template: ``true``."""
RUN: Final = f"{GROUP}/rotation-run"
"""Label of a Job and its Secret: the run's id."""
ROTATION_NAMESPACE: Final = f"{GROUP}/rotation-namespace"
ROTATION: Final = f"{GROUP}/rotation"
"""Labels of a Job: the rotation that it is for."""
MADE_OF: Final = f"{GROUP}/made-of"
"""Annotation of a Job: the template."""
VOLUME: Final = "airwarden-rotation"
MOUNT_PATH: Final = f"/var/run/secrets/{GROUP}/rotation"
VARIABLES: Final = ("AIRWARDEN_NAMESPACE", "AIRWARDEN_ROTATION", "AIRWARDEN_KEY", "AIRWARDEN_RUN")
"""What each container is told by Airwarden, and by nobody else."""
