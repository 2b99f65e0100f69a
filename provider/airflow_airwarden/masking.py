"""Tells Airflow's secrets masker what must not appear in a log.

Called by `backend.py`. In a task the mask also goes to the supervisor, which writes the log. While Airflow is still
importing its configuration there is no masker yet; options that come from here are masked by Airflow itself, which
masks all sensitive options once it has started.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_TASKS, _SERVERS = "airflow.sdk.log", "airflow._shared.secrets_masker"


def mask(texts: Sequence[str]) -> None:
    """Have these texts masked from now on; texts under 5 characters Airflow does not mask."""
    for module in [sys.modules[name] for name in (_TASKS, _SERVERS) if name in sys.modules]:
        for text in texts:
            module.mask_secret(text)


async def amask(texts: Sequence[str]) -> None:
    """Do the same from an event loop, which the other way would block."""
    if _TASKS in sys.modules:
        for text in texts:
            await sys.modules[_TASKS].amask_secret(text)
