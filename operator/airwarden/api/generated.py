"""Writes generated files, and tells which of them are not as generated.

Used by `airwarden.api.crd` and `airwarden.api.reference`.
"""

from collections.abc import Mapping
from pathlib import Path


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write each text into the file of its name."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def differences(directory: Path, files: Mapping[str, str], header: str) -> list[str]:
    """Return the names of files that are missing or differ, and of those with the header that are generated no more."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*")) if path.is_file()}
    stale = [name for name, text in found.items() if name not in files and text.startswith(header)]
    return [name for name, text in files.items() if found.get(name) != text] + stale
