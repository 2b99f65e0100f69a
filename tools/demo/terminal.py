"""What the demo prints and runs: headings, commands as a user would type them, and their real output.

Used by every act. Plain text without a terminal, bold headings with one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

COMMAND_DEADLINE = 90.0


class DemoFailed(Exception):
    """Something was not as the demo promises."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.next_step = next_step


class Terminal:
    """Prints, and runs commands in one folder with one environment."""

    def __init__(self, folder: Path) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._folder = folder
        self._environment: dict[str, str] = {}

    def use(self, environment: Mapping[str, str]) -> None:
        """Give commands these variables too."""
        self._environment |= environment

    def heading(self, text: str) -> None:
        """Begin an act."""
        self._console.print(f"\n== {text}", style="bold")

    def say(self, text: str = "") -> None:
        """Print a line of explanation."""
        self._console.print(text)

    def show(self, text: str) -> None:
        """Print a line of output as it is."""
        self._console.print(text)

    def failure(self, error: DemoFailed) -> None:
        """Print what went wrong and what to do."""
        self._console.print(f"\nFAILED: {error}", style="bold red")
        self._console.print(f"What to do: {error.next_step}")

    def run(self, command: str, *, status: int = 0, next_step: str = "") -> str:
        """Show a command, run it, show its output and return it; any other exit status fails the demo."""
        self._console.print(f"\n$ {command}", style="bold")
        done = self._run(command)
        text = (done.stdout + done.stderr).rstrip("\n")
        if text:
            self.show(text)
        if done.returncode != status:
            raise DemoFailed(
                f"`{command}` ended with status {done.returncode}, not {status}",
                next_step or "read its output above and the operator's log, then run make demo again",
            )
        return done.stdout

    def ask(self, command: str) -> str:
        """Run a command without showing it, for what the demo itself has to know."""
        done = self._run(command)
        if done.returncode != 0:
            raise DemoFailed(
                f"`{command}` ended with status {done.returncode}: {done.stderr.strip()}", "run make demo again"
            )
        return done.stdout

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=self._folder,
            env={**os.environ, **self._environment},
            text=True,
            timeout=COMMAND_DEADLINE,
        )
