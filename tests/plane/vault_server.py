"""The Vault half of a plane: one real server with file storage, initialised, unsealed and audited.

Made by `control_plane.py`; tests reach it as `plane.vault`. It is no dev-mode
server, so that sealing, stopping and starting keep the data. It listens without
TLS on one port and with TLS on another, both on the loopback address. What a
Vault admin sets up on it is in `vault_admin.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plane.audit import VaultAudit
from plane.binaries import Binaries
from plane.certificates import Authority
from plane.json_client import Json, JsonClient
from plane.process import ServerProcess

TLS_NAMES = ("127.0.0.1", "localhost", "vault.test")


class VaultServer:
    """One Vault server with its unseal key and root token. A second one of a plane has another name."""

    def __init__(self, binaries: Binaries, data_dir: Path, ports: Sequence[int], name: str = "vault") -> None:
        plain, tls = ports
        self.address = f"http://127.0.0.1:{plain}"
        self.tls_address = f"https://127.0.0.1:{tls}"
        authority = Authority(data_dir / "pki" / name, "airwarden-plane-vault")
        self.ca_path = authority.path
        self.audit = VaultAudit(data_dir / f"{name}-audit.log")
        self._anonymous = JsonClient(self.address)
        self._unseal_key = ""
        self._root_token = ""
        config = data_dir / f"{name}.json"
        config.write_text(json.dumps(_config(data_dir / name, plain, tls, self.address, authority)))
        self.process = ServerProcess(name, [str(binaries.vault), "server", f"-config={config}"], data_dir)

    @property
    def token(self) -> str:
        """The root token."""
        return self._root_token

    def launch(self) -> None:
        """Start the process; `initialise` must follow once."""
        self.process.start()

    def initialise(self, deadline: float) -> None:
        """Initialise and unseal a new server, and switch its audit log on."""
        self.process.wait_ready(lambda: self._anonymous.status("GET", "/v1/sys/health") != 0, deadline)
        answer = self._anonymous.request("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._unseal_key, self._root_token = answer["keys_base64"][0], answer["root_token"]
        self.unseal(deadline)
        options = {"file_path": str(self.audit.path), "log_raw": "false"}
        self.request("PUT", "sys/audit/file", {"type": "file", "options": options})

    def seal(self) -> None:
        """Seal the server: every request is answered with 503 until `unseal`."""
        self.request("PUT", "sys/seal")

    def unseal(self, deadline: float = 15.0) -> None:
        """Unseal the server and wait until it is active."""
        self._anonymous.request("PUT", "/v1/sys/unseal", {"key": self._unseal_key})
        self.process.wait_ready(self.healthy, deadline)

    def stop(self) -> None:
        """Stop the server; its port refuses connections."""
        self.process.stop()

    def kill(self) -> None:
        """End the server as a crash would."""
        self.process.kill()

    def start(self, deadline: float = 15.0, *, unseal: bool = True) -> None:
        """Start a stopped server on its old ports with its old data; a started Vault is sealed."""
        self.process.start()
        self.process.wait_ready(lambda: self._anonymous.status("GET", "/v1/sys/health") != 0, deadline)
        if unseal:
            self.unseal(deadline)

    def pause(self) -> None:
        """Make the server hang: connections open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """End a pause."""
        self.process.resume()

    def healthy(self) -> bool:
        """Tell whether the server is unsealed and active."""
        return self._anonymous.status("GET", "/v1/sys/health") == 200

    def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, accept: Sequence[int] = ()
    ) -> Json:
        """Send a request to `/v1/<path>`, with the root token unless another (or "") is given."""
        value = self._root_token if token is None else token
        headers = {"X-Vault-Token": value} if value else {}
        return self._anonymous.request(method, f"/v1/{path}", body, accept=accept, headers=headers)


def _config(storage: Path, plain: int, tls: int, address: str, authority: Authority) -> Json:
    pair = authority.server("vault", TLS_NAMES)
    storage.mkdir(mode=0o700)
    return {
        "storage": {"file": {"path": str(storage)}},
        "listener": [
            {"tcp": {"address": f"127.0.0.1:{plain}", "tls_disable": True}},
            {
                "tcp": {
                    "address": f"127.0.0.1:{tls}",
                    "tls_cert_file": str(pair.certificate),
                    "tls_key_file": str(pair.key),
                }
            },
        ],
        "api_addr": address,
        "disable_mlock": True,
        "disable_clustering": True,  # else each listener opens the port above its own as well
        "ui": False,
    }
