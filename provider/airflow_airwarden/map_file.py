"""Reads the map of a binding from its file, and says precisely what is wrong with one that it does not take.

Called by `sessions.py`. A map that is not wholly understood is not used at all: what an older provider would
skip may be what the operator meant to forbid.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from airflow_airwarden.binding_map import (
    VERSION,
    AppRoleLogin,
    BindingMap,
    Dynamic,
    DynamicKind,
    EnvironmentStore,
    FileStore,
    Key,
    KeyVaultStore,
    Login,
    Place,
    Secret,
    SecretType,
    Store,
    UnboundIDs,
    VaultStore,
)
from airflow_airwarden.errors import LookupRefused, Reason

LARGEST = 1 << 20
"""Bytes; a ConfigMap holds no more."""
T = TypeVar("T", str, int, list[object], dict[str, object])
_ID = re.compile(r"[A-Za-z0-9_.-]{1,250}")
_SEGMENT = r"[A-Za-z0-9._~@:=,-]+"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_ADDRESS = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")
_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEY_VAULT_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_WORD = re.compile(r"[A-Za-z]{1,64}")
_CONNECTION_TEXTS = frozenset({"conn_type", "host", "schema", "login", "description", "extra"})
_CONNECTION_FIELDS = _CONNECTION_TEXTS | {"password", "port"}


class MapFile:
    """One file, read again when it is another: a ConfigMap's volume changes under a running task."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._known: tuple[tuple[int, int, int], BindingMap] | None = None

    def current(self) -> BindingMap:
        """Return the map as it is now; LookupRefused when there is none that can be used.

        Threads come at once, and none goes by what another one has only begun to read.
        """
        try:
            with Path(self.path).open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_mtime_ns, status.st_size)
                known = self._known
                if known is None or known[0] != seen:
                    self._known = None
                    self._known = known = (seen, parse_map(file.read(LARGEST + 1), self.path))
        except OSError as error:
            self._known = None
            raise LookupRefused(
                Reason.MAP_MISSING,
                f"the binding's map {self.path} cannot be read ({error.strerror})",
                "Run the task in a pod that Airwarden's executor made, or mount the map and set map_path",
            ) from None
        return known[1]


def parse_map(content: bytes, path: str) -> BindingMap:
    """Return the map that the file's content describes; LookupRefused names place and fault."""
    try:
        body = json.loads(content[: LARGEST + 1]) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        what = f"larger than {LARGEST} bytes" if len(content) > LARGEST else "no whole JSON object"
        raise _invalid(f"the binding's map {path} is {what}: {len(content)} bytes were read")
    if body.get("version") != VERSION:
        raise LookupRefused(
            Reason.MAP_VERSION_UNKNOWN,
            f"the binding's map {path} does not have the version {VERSION}, which this provider reads",
            "Use the provider that belongs to the operator's version",
        )
    return _map(_Part(body, ""))


def _invalid(wrong: str) -> LookupRefused:
    return LookupRefused(
        Reason.MAP_INVALID,
        wrong,
        "The operator renders it: see the binding's status",
    )


class _Part:
    """One object of the map, taken apart key by key; what nobody took is an error."""

    def __init__(self, body: Mapping[str, object], where: str) -> None:
        self._rest = dict(body)
        self._where = where

    def wrong(self, name: str, what: str) -> NoReturn:
        raise _invalid(f"the binding's map is wrong at {self._where}{name}: {what}")

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        value = self._rest.pop(name, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.wrong(name, "it is missing" if value is None else f"it is no {kind.__name__}")
        return value

    def text(self, name: str, pattern: re.Pattern[str], default: str | None = None) -> str:
        value = self.take(name, str, default)
        if value != default and (not pattern.fullmatch(value) or {".", ".."} & set(value.split("/"))):
            self.wrong(name, "it has characters or segments that are not allowed there")
        return value

    def choice(self, name: str, kinds: Callable[[str], T], default: str | None = None) -> T:
        try:
            return kinds(self.take(name, str, default))
        except ValueError:
            self.wrong(name, "it is none of the known ones")

    def file(self, name: str, default: str | None = None) -> str:
        value = self.take(name, str, default)
        if value != default and not value.startswith("/"):
            self.wrong(name, "it is no absolute path")
        return value

    def part(self, name: str) -> _Part:
        return _Part(self.take(name, dict, {}), f"{self._where}{name}.")

    def texts(self, name: str, keys: Callable[[str], bool]) -> tuple[tuple[str, str], ...]:
        values = self.take(name, dict, {})
        for key, value in values.items():
            if not keys(key) or not isinstance(value, str):
                self.wrong(f"{name}.{key}", "it is not known there, or no text")
        return tuple(sorted((key, str(value)) for key, value in values.items()))

    def has(self, name: str) -> bool:
        return name in self._rest

    def end(self) -> None:
        if self._rest:
            self.wrong(min(self._rest), "this version of the provider does not know it")


def _map(part: _Part) -> BindingMap:
    part.take("version", int)
    stores: dict[str, Store] = {}
    for name, body in part.take("stores", dict, {}).items():
        if not isinstance(body, dict):
            part.wrong(f"stores.{name}", "it is no object")
        stores[name] = _store(name, _Part(body, f"stores.{name}."))
    secrets: dict[tuple[str, str], Secret] = {}
    for index, body in enumerate(part.take("secrets", list)):
        if not isinstance(body, dict):
            part.wrong(f"secrets[{index}]", "it is no object")
        found = _secret(_Part(body, f"secrets[{index}]."), stores)
        if (found.type, found.id) in secrets:
            part.wrong(f"secrets[{index}]", "its type and id stand there twice")
        secrets[found.type, found.id] = found
    refused = _refused(part, secrets)
    cache_ttl = part.take("cacheTTLSeconds", int, 60)
    if not 0 <= cache_ttl <= 3600:
        part.wrong("cacheTTLSeconds", "it is not between 0 and 3600")
    found_map = BindingMap(
        binding=part.text("binding", _NAMED),
        environment=part.text("environment", _NAMED, ""),
        unbound_ids=UnboundIDs(part.choice("unboundIDs", UnboundIDs, UnboundIDs.FALL_THROUGH)),
        cache_ttl=float(cache_ttl),
        stores=stores,
        secrets=secrets,
        refused=refused,
    )
    part.end()
    return found_map


def _refused(part: _Part, secrets: Mapping[tuple[str, str], Secret]) -> dict[tuple[str, str], str]:
    refused: dict[tuple[str, str], str] = {}
    for index, body in enumerate(part.take("refused", list, [])):
        if not isinstance(body, dict):
            part.wrong(f"refused[{index}]", "it is no object")
        each = _Part(body, f"refused[{index}].")
        found = (str(SecretType(each.choice("type", SecretType))), each.text("id", _ID))
        if found in secrets or found in refused:
            part.wrong(f"refused[{index}]", "its type and id stand there twice")
        refused[found] = each.text("reason", _WORD)
        each.end()
    return refused


def _store(name: str, part: _Part) -> Store:
    kind = part.take("type", str)
    store: Store
    if kind == "Vault":
        store = _vault(name, part)
    elif kind == "AzureKeyVault":
        store = _key_vault(name, part)
    elif kind == "File":
        store = FileStore(name, part.file("path"))
    elif kind == "Environment":
        store = EnvironmentStore(name, part.text("prefix", re.compile(r"[A-Z][A-Z0-9_]*_")))
    else:
        part.wrong("type", "this version of the provider has no reader for it")
    part.end()
    return store


def _vault(name: str, part: _Part) -> VaultStore:
    addresses = part.take("addresses", list)
    if not addresses or not all(isinstance(each, str) and _ADDRESS.fullmatch(each) for each in addresses):
        part.wrong("addresses", "each must be http:// or https://, a host and perhaps a port, and one is needed")
    tls, kv, login = part.part("tls"), part.part("kv"), part.part("login")
    version = kv.take("version", int, 2)
    if version not in {1, 2}:
        kv.wrong("version", "it is neither 1 nor 2")
    store = VaultStore(
        name,
        tuple(str(each) for each in addresses),
        _login(login),
        namespace=part.text("namespace", _PATH, ""),
        ca_file=tls.file("caFile", ""),
        server_name=tls.text("serverName", re.compile(r"[A-Za-z0-9.-]+"), ""),
        kv_mount=kv.text("mount", _PATH, "airflow"),
        kv_version=version,
    )
    for each in (tls, kv, login):
        each.end()
    return store


def _key_vault(name: str, part: _Part) -> KeyVaultStore:
    tls, login = part.part("tls"), part.part("login")
    if login.take("method", str, "WorkloadIdentity") != "WorkloadIdentity":
        login.wrong("method", "it is not WorkloadIdentity")
    store = KeyVaultStore(
        name,
        vault_url=part.text("vaultURL", _HTTPS),
        authority=part.text("authority", _HTTPS),
        tenant=part.text("tenantID", _GUID),
        client=login.text("clientID", _GUID),
        token_file=login.file("tokenFile"),
        ca_file=tls.file("caFile", ""),
    )
    for each in (tls, login):
        each.end()
    return store


def _login(part: _Part) -> Login | AppRoleLogin:
    method = part.take("method", str, "Kubernetes")
    if method not in {"Kubernetes", "JWT", "AppRole"}:
        part.wrong("method", "it is none of Kubernetes, JWT and AppRole")
    mount = part.text("mount", _PATH, method.lower())
    if method == "AppRole":
        return AppRoleLogin(mount, part.file("roleIDFile"), part.file("secretIDFile"))
    return Login(mount, part.text("role", _PATH), part.file("tokenFile"))


def _secret(part: _Part, stores: Mapping[str, Store]) -> Secret:
    kind = SecretType(part.choice("type", SecretType))
    store = part.take("store", str)
    if store not in stores:
        part.wrong("store", "no store of the map has this name")
    if part.has("key") == part.has("dynamic"):
        part.wrong("key", "exactly one of key and dynamic is needed")
    place = _dynamic(part.part("dynamic")) if part.has("dynamic") else Key(part.text("key", _PATH))
    if isinstance(place, Dynamic) and not isinstance(stores[store], VaultStore):
        part.wrong("dynamic", "its store makes no credentials")
    if isinstance(stores[store], KeyVaultStore) and not _KEY_VAULT_NAME.fullmatch(str(place)):
        part.wrong("key", "a key vault has no such names: 1 to 127 letters, digits and dashes")
    return _checked(part, kind, store, place)


def _checked(part: _Part, kind: SecretType, store: str, place: Place) -> Secret:
    base = part.take("connection", dict, {})
    for name, value in base.items():
        if name == "port" and isinstance(value, int) and not isinstance(value, bool):
            continue
        if name not in _CONNECTION_TEXTS or not isinstance(value, str):
            part.wrong(f"connection.{name}", "it is not known there, or of another type")
    fields = part.texts("connectionFields", _CONNECTION_FIELDS.__contains__)
    if (base or fields) and kind != SecretType.CONNECTION:
        part.wrong("connection", "only a Connection has it")
    found = Secret(
        type=kind,
        id=part.text("id", _ID),
        store=store,
        place=place,
        secret_field=part.take("field", str, ""),
        connection=tuple(sorted((name, value) for name, value in base.items() if isinstance(value, (str, int)))),
        connection_fields=fields,
    )
    part.end()
    return found


def _dynamic(part: _Part) -> Dynamic:
    kind = DynamicKind(part.choice("kind", DynamicKind, DynamicKind.DYNAMIC))
    updates = kind == DynamicKind.UPDATE
    found = Dynamic(
        part.text("engine", _PATH),
        part.text("role", re.compile(_SEGMENT)),
        kind,
        part.text("call", re.compile(_SEGMENT)) if updates else "",
        part.texts("parameters", lambda _: True) if updates else (),
    )
    part.end()
    return found
