"""Where the control plane's binaries are looked for, with fake programs and without any build."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from plane.binaries import BINARIES, TOOLS, Binary, cache_folder, find_binaries, module_key, pinned_version
from plane.building import build_binaries
from plane.errors import PlaneError

GOOD = {
    "etcd": "etcd Version: 3.6.9\nGit SHA: abc",
    "kubectl": "Client Version: v1.36.0\nKustomize Version: v5.8.1",
    "kube-apiserver": "Kubernetes v1.36.3",
    "kube-controller-manager": "Kubernetes v1.36.12",
    "vault": "Vault v1.21.4 ('abc'), built 2026-01-01",
}


def program(folder: Path, name: str, says: str) -> Path:
    """Write a program that prints its version, whatever it is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    path.chmod(0o755)
    return path


class Search:
    """One search with all it says and all it would build."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.said: list[str] = []
        self.built: dict[str, Path] = {}
        self.found = find_binaries(env, say=self.said.append, build=self._build)

    def _build(self, missing: list[tuple[Binary, Path]], tools: Path, env: Mapping[str, str]) -> None:
        self.built = {binary.name: target for binary, target in missing}


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache"), **more}


def test_matching_programs_on_path_are_taken(tmp_path: Path) -> None:
    for name, says in GOOD.items():
        program(tmp_path / "bin", name, says)
    search = Search(environment(tmp_path, PATH=f"{tmp_path}/bin:/usr/bin:/bin"))
    assert search.found.vault == tmp_path / "bin" / "vault"
    assert search.found.kube_apiserver == tmp_path / "bin" / "kube-apiserver"
    assert (search.built, search.said) == ({}, [])


@pytest.mark.parametrize("says", ["Vault v1.20.9, built x", "Vault v2.1.21, built x", "no version at all", "v1.210.0"])
def test_another_version_on_path_is_ignored_with_a_line(tmp_path: Path, says: str) -> None:
    given = program(tmp_path / "bin", "vault", says)
    search = Search(environment(tmp_path, PATH=f"{tmp_path}/bin:/usr/bin:/bin"))
    assert "vault" in search.built
    assert any(f"ignoring {given}" in line and "needed 1.21.x" in line for line in search.said)


def test_a_program_that_cannot_run_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "etcd"
    broken.write_bytes(b"\x00not a program")
    broken.chmod(0o755)
    search = Search(environment(tmp_path, PATH=str(tmp_path / "bin")))
    assert "etcd" in search.built
    assert any("version unknown" in line for line in search.said)


def test_the_given_folder_wins_over_path_and_is_not_asked_for_versions(tmp_path: Path) -> None:
    program(tmp_path / "bin", "etcd", GOOD["etcd"])
    mine = program(tmp_path / "mine", "etcd", "my own build")
    search = Search(environment(tmp_path, PATH=f"{tmp_path}/bin:/bin", AIRWARDEN_BIN=str(tmp_path / "mine")))
    assert search.found.etcd == mine
    assert any("holds no executable vault" in line for line in search.said)


def test_the_cache_is_used_without_go_and_only_what_is_missing_is_built(tmp_path: Path) -> None:
    env = environment(tmp_path)
    cached = program(cache_folder(env) / module_key(TOOLS, "kubernetes"), "kubectl", "anything")
    search = Search(env)
    assert search.found.kubectl == cached
    assert sorted(search.built) == ["etcd", "kube-apiserver", "kube-controller-manager", "vault"]
    assert search.built["vault"] == search.found.vault


def test_a_file_in_the_cache_that_is_no_program_is_built_again(tmp_path: Path) -> None:
    env = environment(tmp_path)
    program(cache_folder(env) / module_key(TOOLS, "kubernetes"), "kubectl", "anything").chmod(0o644)
    assert "kubectl" in Search(env).built


def test_the_cache_key_changes_with_the_pinned_sources(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    module = tmp_path / "vault" / "go.mod"
    module.write_text("go 1.26.0\nrequire github.com/hashicorp/vault v1.21.1\n")
    before = module_key(tmp_path, "vault")
    assert before == module_key(tmp_path, "vault")
    module.write_text("go 1.26.0\nrequire github.com/hashicorp/vault v1.21.2\n")
    assert before != module_key(tmp_path, "vault")


def test_the_cache_folder_without_home() -> None:
    assert cache_folder({"HOME": "/home/u"}) == Path("/home/u/.cache/airwarden/bin")
    assert cache_folder({"HOME": "/home/u", "XDG_CACHE_HOME": "/c"}) == Path("/c/airwarden/bin")
    assert cache_folder({"HOME": "/home/u", "XDG_CACHE_HOME": "relative"}) == Path("/home/u/.cache/airwarden/bin")
    assert cache_folder({"HOME": ""}).is_absolute()


def test_pinned_versions_come_from_the_modules() -> None:
    assert {pinned_version(TOOLS, binary).rsplit(".", 1)[0] for binary in BINARIES} == {"1.36", "3.6", "1.21"}


def missing_vault(tmp_path: Path) -> list[tuple[Binary, Path]]:
    return [(BINARIES[-1], tmp_path / "cache" / "airwarden" / "bin" / "vault-key" / "vault")]


def test_no_go_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlaneError, match=r"Go is not on PATH. Install Go 1\.26 or newer.*AIRWARDEN_BIN"):
        build_binaries(missing_vault(tmp_path), TOOLS, {"PATH": str(tmp_path), "HOME": str(tmp_path)})


def test_an_old_go_says_what_to_do(tmp_path: Path) -> None:
    program(tmp_path / "bin", "go", "go1.25.4")
    with pytest.raises(PlaneError, match=r"too old.*go1\.25\.4.*Install Go 1\.26"):
        build_binaries(missing_vault(tmp_path), TOOLS, {"PATH": f"{tmp_path}/bin:/bin", "HOME": str(tmp_path)})


FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.26.1; exit 0; fi
[ "$GOFLAGS" = "-mod=readonly -buildvcs=false" ] && [ "$CGO_ENABLED" = 0 ] || exit 9
{ test -n "$HOME" || { test -n "$GOCACHE" && test -n "$GOPATH"; }; } || exit 8
while [ "$1" != -o ]; do shift; done
%s
"""


def fake_go(folder: Path, action: str) -> str:
    folder.mkdir()
    (folder / "go").write_text(FAKE_GO % action)
    (folder / "go").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_a_build_lands_whole_and_executable(tmp_path: Path, home: str) -> None:
    missing = missing_vault(tmp_path)
    path = fake_go(tmp_path / "bin", 'echo built > "$2"')
    build_binaries(missing, TOOLS, {"PATH": path, "HOME": home})
    target = missing[0][1]
    assert target.read_text() == "built\n"
    assert target.stat().st_mode & 0o777 == 0o755
    assert [item.name for item in target.parent.iterdir()] == ["vault"]


def test_a_failed_build_leaves_no_binary_and_shows_the_end_of_the_output(tmp_path: Path) -> None:
    missing = missing_vault(tmp_path)
    path = fake_go(tmp_path / "bin", 'echo half > "$2"; echo "dial tcp: no route" >&2; exit 1')
    with pytest.raises(PlaneError, match=r"(?s)building vault failed.*dial tcp: no route.*check the network"):
        build_binaries(missing, TOOLS, {"PATH": path, "HOME": str(tmp_path)})
    assert [item.name for item in missing[0][1].parent.iterdir()] == ["vault.log"]
