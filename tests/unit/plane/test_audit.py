"""Audit lines become records: one per request, half-written lines wait, marks hide what was before."""

from __future__ import annotations

import json
from pathlib import Path

from plane.audit import ApiAudit, VaultAudit


def line(**event: object) -> str:
    return json.dumps(event) + "\n"


def test_vault_counts_answers_and_keeps_who_asked(tmp_path: Path) -> None:
    log = tmp_path / "vault.log"
    request = {"id": "1", "operation": "read", "path": "airflow/data/x"}
    auth = {"display_name": "kubernetes-a-b", "metadata": {"role": "r"}, "policies": ["p"]}
    log.write_text(
        line(type="request", request=request) + line(type="response", request=request, auth=auth, error="no")
    )
    audit = VaultAudit(log)
    (entry,) = audit.entries()
    assert (entry.operation, entry.path, entry.display_name, entry.error) == (
        "read",
        "airflow/data/x",
        "kubernetes-a-b",
        "no",
    )
    assert (entry.metadata, entry.policies) == ({"role": "r"}, ("p",))
    assert audit.entries(audit.mark()) == []


def test_a_watch_counts_once_and_a_half_line_not_yet(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    watch = {"auditID": "w", "verb": "watch", "user": {"username": "u"}, "objectRef": {"resource": "pods"}}
    log.write_text(line(stage="ResponseStarted", **watch) + '{"auditID": "half')
    audit = ApiAudit(log)
    assert [entry.verb for entry in audit.entries()] == ["watch"]
    log.write_text(
        line(stage="ResponseStarted", **watch) + line(stage="ResponseComplete", responseStatus={"code": 200}, **watch)
    )
    assert [(entry.user, entry.resource, entry.code) for entry in audit.entries()] == [("u", "pods", 200)]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert VaultAudit(tmp_path / "none").mark() == 0
    assert ApiAudit(tmp_path / "none").entries() == []
