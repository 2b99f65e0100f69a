"""What a user sees of the kinds through kubectl: apply, explain, get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from airwarden.api import crd
from integration.schema import objects
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.waiting import wait_for

SPACE = "schema-kubectl"


@pytest.fixture(scope="module")
def api(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The plane with the kinds applied as `kubectl apply` does it, twice by each way."""
    directory: Path = tmp_path_factory.mktemp("crds")
    crd.write(directory)
    for _ in range(2):
        plane.kubectl("apply", f"--filename={directory}")
        plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={directory}")
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{k.plural}.airwarden.dev" for k in crd.KINDS))
    wait_for("the kinds are explained", lambda: _explained(plane), 30)
    plane.create_namespace(SPACE)
    return plane


def _explained(plane: Plane) -> bool:
    try:
        plane.kubectl("get", "asb,asbk")
        plane.kubectl("explain", "asb.spec")
        plane.kubectl("explain", "asbk.spec")
    except PlaneError:
        return False
    return True


@pytest.fixture
def samples(api: Plane) -> Iterator[Plane]:
    """A binding and a backend, with the status that Airwarden gives them."""
    for body in (objects.backend("sample"), objects.binding("sample", SPACE)):
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
        api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(body))
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "KeyNotAllowed",
        "message": "secret reporting is not allowed.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    binding = {"conditions": [ready], "summary": {"secrets": "1/2", "backends": "sample"}}
    backend = {"conditions": [ready], "bindings": {"total": 7, "ready": 6}, "store": {"version": "1.21.0"}}
    _write_status(api, f"namespaces/{SPACE}/airflowsecretbindings/sample", binding)
    _write_status(api, "airflowsecretbackends/sample", backend)
    yield api
    api.kubectl("delete", "asb", "sample", "-n", SPACE)
    api.kubectl("delete", "asbk", "sample")


def _write_status(api: Plane, path: str, status: Mapping[str, object]) -> None:
    whole = f"/apis/{objects.API_VERSION}/{path}"
    stored = api.api.admin.request("GET", whole)
    api.api.admin.request("PUT", f"{whole}/status", stored | {"status": status})


def _table(text: str) -> tuple[list[str], list[str]]:
    """Return the header and the first row; columns are parted by three spaces, names may have one."""
    header, row = text.rstrip().splitlines()[:2]
    return [each.strip() for each in header.split("   ") if each.strip()], [
        each.strip() for each in row.split("   ") if each.strip()
    ]


def test_columns_of_bindings(samples: Plane) -> None:
    header, row = _table(samples.kubectl("get", "asb", "-n", SPACE))
    assert header == ["NAME", "READY", "REASON", "SERVICE ACCOUNT", "SECRETS", "NEXT ROTATION", "AGE"]
    assert row[:5] == ["sample", "False", "KeyNotAllowed", "billing", "1/2"]
    header, row = _table(samples.kubectl("get", "asb", "-n", SPACE, "-o", "wide"))
    assert header[-3:] == ["BACKENDS", "LAST ROTATION", "MESSAGE"]
    assert row[-2:] == ["sample", "secret reporting is not allowed."]


def test_columns_of_backends(samples: Plane) -> None:
    header, row = _table(samples.kubectl("get", "asbk", "sample"))
    assert header == ["NAME", "TYPE", "READY", "REASON", "BINDINGS", "AGE"]
    assert row[:5] == ["sample", "Vault", "False", "KeyNotAllowed", "7"]
    header, row = _table(samples.kubectl("get", "asbk", "sample", "-o", "wide"))
    assert header[-3:] == ["ADDRESS", "VERSION", "MESSAGE"]
    assert row[-3:] == ["https://vault.example:8200", "1.21.0", "secret reporting is not allowed."]


def test_the_category_lists_both_kinds(samples: Plane) -> None:
    listed = samples.kubectl("get", "airwarden", "-n", SPACE, "-o", "name").splitlines()
    assert "airflowsecretbinding.airwarden.dev/sample" in listed
    assert "airflowsecretbackend.airwarden.dev/sample" in listed


def test_a_binding_is_found_by_its_account(samples: Plane) -> None:
    selector = "--field-selector=spec.serviceAccount.name={}"
    assert "sample" in samples.kubectl("get", "asb", "-n", SPACE, "-o", "name", selector.format("billing"))
    assert not samples.kubectl("get", "asb", "-n", SPACE, "-o", "name", selector.format("other"))


def test_explain_reads_well(api: Plane) -> None:
    key = api.kubectl("explain", "asb.spec.secrets.key", "--recursive")
    assert "FIELD: key <string>" in key
    assert "Where the secret lies, in the store's own grammar." in key
    kind = api.kubectl("explain", "asb.spec.secrets.type")
    assert "ENUM:\n    Connection\n    Variable\n    Config" in kind
    rule = api.kubectl("explain", "asbk.spec.allow")
    assert "A secret needs one rule that admits it wholly." in " ".join(rule.split())
    tree = api.kubectl("explain", "asb", "--recursive")
    assert "secrets\t<[]Object> -required-" in tree
    assert "maxTTL\t<string>" in tree


def test_both_complaints_of_a_binding_are_shown_at_once(api: Plane) -> None:
    body = objects.changed(objects.binding("bad", SPACE), "spec.secrets.0.key", "/leading")
    body = objects.changed(body, "spec.serviceAccount.name", "default")
    with pytest.raises(PlaneError) as caught:
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
    said = str(caught.value)
    assert 'spec.secrets[0].key: Invalid value: "/leading": must be segments between single slashes' in said
    assert 'spec.serviceAccount.name: Invalid value: "default": the account default is shared by every pod' in said
