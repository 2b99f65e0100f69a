"""Plays a demo to its end: what is said when all was as promised, when not, and when somebody interrupts it.

Called by `demo.__main__` and `demo.azure`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

from demo.terminal import DemoFailed, Terminal
from plane.binaries import REPOSITORY
from plane.errors import PlaneError


def played(play: Callable[[Terminal], None], *, again: str, then: str) -> int:
    """Play a demo; 0 when all was as promised, 1 when not, 130 when interrupted.

    ``again`` is what to do after a failure of the servers, ``then`` what to do after the demo.
    """
    terminal = Terminal(REPOSITORY)
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        play(terminal)
    except KeyboardInterrupt:
        terminal.say("\nInterrupted. All that was started is stopped.")
        return 130
    except DemoFailed as error:
        terminal.failure(error)
        return 1
    except PlaneError as error:
        terminal.failure(DemoFailed(str(error), again))
        return 1
    terminal.say(f"\nAll as promised, in {time.monotonic() - began:.0f} s. Nothing is left running.")
    terminal.say(then)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
