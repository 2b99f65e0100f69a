"""Finds free ports on the loopback address for the servers of the control plane.

Called by `control_plane.py` before it starts anything. The ports lie below the
range from which the system takes the ports of outgoing connections, so that a
stopped server can come back on its own port.
"""

from __future__ import annotations

import random
import socket

from plane.errors import PlaneError

LOWEST, HIGHEST = 20000, 32000
TRIES = 500


def free_ports(count: int) -> list[int]:
    """Return `count` different ports of 127.0.0.1 on which nothing listens."""
    choose = random.SystemRandom()
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        for _ in range(TRIES):
            if len(ports) == count:
                return ports
            port = choose.randint(LOWEST, HIGHEST)
            holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(holder)
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    finally:
        for holder in held:
            holder.close()
    raise PlaneError(f"found only {len(ports)} of {count} free ports between {LOWEST} and {HIGHEST}")
