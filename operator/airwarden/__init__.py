"""Airwarden: least-privilege secret access for Apache Airflow, declared in Kubernetes.

The layers point one way and import-linter holds them:
``handlers → reconcile → providers → domain → api``.
"""

__version__ = "0.1.0"
