"""What `airwarden vault-setup` prints, run as a Vault admin runs it, and what its scripts need of the world.

Used by the contract and integration tests of the ways to log in.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.kubernetes_server import ISSUER
from plane.small_server import Small, serving


def run_script(plane: Plane, script: str, **variables: str) -> str:
    """Run a script with the vault command and, unless told otherwise, the root token; return what it says."""
    environment = {
        "PATH": f"{plane.binaries.vault.parent}:{os.environ['PATH']}",
        "HOME": str(plane.data_dir),
        "VAULT_ADDR": plane.vault_address,
        "VAULT_TOKEN": plane.vault_token,
        "KUBERNETES_HOST": plane.api_url,
        "KUBERNETES_CA_FILE": str(plane.ca_path),
        "SERVICE_ACCOUNT_ISSUER": ISSUER,
        **variables,
    }
    done = subprocess.run(["sh"], input=script, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlaneError(f"the script ended with status {done.returncode}: {done.stderr}")
    return done.stdout


@contextmanager
def serving_keys(plane: Plane) -> Iterator[str]:
    """Serve the cluster's public keys to anybody, as a cluster with anonymous discovery does; yield the address."""
    keys = json.dumps(plane.api.admin.request("GET", "/openid/v1/jwks")).encode()

    class Handler(Small):
        def respond(self) -> None:
            self.answer(200, keys, {"Content-Type": "application/jwk-set+json"})

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/openid/v1/jwks"
