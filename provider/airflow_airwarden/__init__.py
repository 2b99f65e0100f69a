"""The Airflow side of Airwarden: a secrets backend that knows where each secret of the task's own binding lies.

Airflow imports `backend.py` and `plugin.py`, which check its version; nothing else here needs Airflow, and
nothing here ever imports the operator. The package stands outside `airflow.providers`, which Airflow keeps for
its own community's providers.
"""

__version__ = "0.1.0"
