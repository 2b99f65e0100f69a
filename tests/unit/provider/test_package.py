"""The provider as a package: what an older Airflow says to it, and what its wheel says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
IMPORTED = "import airflow_airwarden.backend as backend; backend.AirwardenBackend(); print('taken')"
LOADED_BY_AIRFLOW = ("backend", "executor", "plugin")


def import_beside_airflow(folder: Path, version: str, code: str = IMPORTED) -> subprocess.CompletedProcess[str]:
    """Import what Airflow of a version loads; of Airflow there is no more than the backend needs."""
    (folder / "airflow" / "secrets").mkdir(parents=True)
    (folder / "airflow" / "__init__.py").write_text(f"__version__ = {version!r}\n")
    (folder / "airflow" / "secrets" / "__init__.py").write_text("class BaseSecretsBackend: pass\n")
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY / "provider")])}
    return subprocess.run([sys.executable, "-c", code], env=paths, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", LOADED_BY_AIRFLOW)
@pytest.mark.parametrize("version", ["2.11.0", "3.0.0", "3.2.2"])
def test_an_older_airflow_is_refused_at_import_with_the_way_out(tmp_path: Path, version: str, module: str) -> None:
    """Before anything else of Airflow is imported: of what executor and plugin need, older ones have not all."""
    done = import_beside_airflow(tmp_path, version, f"import airflow_airwarden.{module}")
    assert done.returncode != 0
    assert (
        f"RuntimeError: airflow-provider-airwarden needs Apache Airflow 3.3 or newer, and this is {version}"
        in done.stderr
    )
    assert "Upgrade Airflow" in done.stderr


@pytest.mark.parametrize("version", ["3.3.0", "3.3.0.dev0", "3.10.1", "4.0.0rc1"])
def test_a_newer_airflow_is_taken(tmp_path: Path, version: str) -> None:
    assert import_beside_airflow(tmp_path, version).stdout == "taken\n"


def test_the_wheel_names_its_entry_point_its_extra_and_its_license(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY / "provider", check=True, capture_output=True)
    [path] = tmp_path.glob("airflow_provider_airwarden-*.whl")
    page = (REPOSITORY / "docs" / "provider.md").read_text()
    assert page.count(path.name) == 2, "the page puts this very file into an image"
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert {name.partition("/")[0] for name in names} == {"airflow_airwarden", info}
    assert metadata.get_all("Requires-Dist") == [
        "apache-airflow>=3.3",
        "azure-identity<2,>=1.27; extra == 'azure'",
        "azure-keyvault-secrets<5,>=4.12; extra == 'azure'",
        "apache-airflow-providers-cncf-kubernetes<10.26,>=10.25; extra == 'executor'",
        "httpcore<2,>=1; extra == 'vault'",
        "httpx<1,>=0.27; extra == 'vault'",
    ]
    assert metadata.get_all("License-Expression") == ["Apache-2.0"]
    assert any(name.endswith("/LICENSE") for name in names)
    assert {"airflow_airwarden/py.typed", "airflow_airwarden/binding_map.schema.json"} <= set(names)
    assert "airwarden = airflow_airwarden.plugin:AirwardenPlugin" in entry_points
    assert "provider_info = airflow_airwarden.provider_info:get_provider_info" in entry_points
