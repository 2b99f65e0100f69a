"""Statuses of a newer release: after a rollback their words must not stop the operator."""

from airwarden.api.conditions import SecretState, Status, TargetState


def test_an_unknown_state_is_read_as_failed_and_so_written_anew() -> None:
    status = Status.model_validate(
        {
            "targets": [{"backend": "vault", "kind": "VaultPolicy", "name": "x", "state": "Adopted"}],
            "secrets": [{"type": "Connection", "id": "db", "state": "Leased"}],
            "somethingNew": {"of": "later"},
        }
    )
    assert status.targets[0].state is TargetState.FAILED
    assert status.secrets[0].state is SecretState.FAILED
