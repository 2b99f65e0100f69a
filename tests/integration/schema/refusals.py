"""The table of objects that must be refused, and of changes to existing ones.

One table for both guards: `test_admission.py` holds the API server to it, `tests/unit/api/test_models.py`
the models, since an object may be older than its schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from integration.schema.objects import LOGINS, Json, Kind, Remove, backend, changed, rotation_login, rule, secret, valid


@dataclass(frozen=True)
class Refusal:
    """A valid object with one value changed, and words that the refusal must have."""

    name: str
    kind: Kind
    path: str
    """Where the value goes: names and positions with dots between them."""
    value: Any
    said: str
    said_by_model: str = ""
    """What the model says, where the API server has words of its own for it."""

    def body(self) -> Json:
        return changed(valid(self.kind), self.path, self.value)


_KEY = "spec.secrets.0.key"
_PREFIX = "spec.allow.0.keyPrefixes"
_NOT_AFTER = "spec.access.notAfter"
_ROLE_PREFIX = "spec.allow.0.dynamic.0.rolePrefixes"
_WRONG_KEY = "must be segments between single slashes"
_WRONG_PREFIX = "must end with a slash"
_DOTS = "must not have . or .. as a segment"
_ONE_PLACE = "exactly one of key and dynamic must be given"
_DURATION = "must be a duration longer than zero"
_MOMENT = "must be a date and time in UTC that exists"
_AUDIENCE = "must not be an audience of the API server"


_VAULT = backend()["spec"]["vault"]


def _fenced(slots: Json) -> Json:
    """Return the settings of a fenced Vault with these slots."""
    return {**valid("backend")["spec"]["vault"], "mode": "Fenced", "fenced": {"role": "tasks", "slots": slots}}


_KEYS = [
    Refusal(f"key {what}", "binding", _KEY, key, said)
    for what, key, said in (
        ("empty", "", _WRONG_KEY),
        ("with a star", "team-a/*", _WRONG_KEY),
        ("with a plus", "team-a/+/warehouse", _WRONG_KEY),
        ("with .. in it", "team-a/../team-b/warehouse", _DOTS),
        ("with .. first", "../team-b/warehouse", _DOTS),
        ("with .. last", "team-a/..", _DOTS),
        ("that is ..", "..", _DOTS),
        ("with . in it", "team-a/./warehouse", _DOTS),
        ("with an empty segment", "team-a//warehouse", _WRONG_KEY),
        ("with a leading slash", "/team-a/warehouse", _WRONG_KEY),
        ("with a trailing slash", "team-a/warehouse/", _WRONG_KEY),
        ("with a percent", "team-a/%2e%2e/warehouse", _WRONG_KEY),
        ("with a question mark", "team-a/warehouse?version=1", _WRONG_KEY),
        ("with a hash", "team-a/warehouse#1", _WRONG_KEY),
        ("with a backslash", "team-a\\warehouse", _WRONG_KEY),
        ("with a double quote", 'team-a/"warehouse', _WRONG_KEY),
        ("with a single quote", "team-a/'warehouse", _WRONG_KEY),
        ("with a newline", "team-a/ware\nhouse", _WRONG_KEY),
        ("with a last newline", "team-a/warehouse\n", _WRONG_KEY),
        ("with .. before a last newline", "team-a/..\n", _WRONG_KEY),
        ("with a carriage return", "team-a/warehouse\r", _WRONG_KEY),
        ("with a template", "team-a/{{identity.entity.id}}", _WRONG_KEY),
        ("with a placeholder", "{namespace}/warehouse", _WRONG_KEY),
        ("with a control character", "team-a/ware\x07house", _WRONG_KEY),
        ("with a delete character", "team-a/warehouse\x7f", _WRONG_KEY),
        ("with a blank", "team-a/ware house", _WRONG_KEY),
        ("with a letter beyond ASCII", "team-a/wärehouse", _WRONG_KEY),
        ("with a wide solidus", "team-a\uff0fwarehouse", _WRONG_KEY),
        ("with a right-to-left mark", "team-a/\u202ewarehouse", _WRONG_KEY),
    )
]

_KEY_PREFIXES = [
    Refusal(f"key prefix {what}", "backend", _PREFIX, [prefix], said)
    for what, prefix, said in (
        ("without a trailing slash", "shared", _WRONG_PREFIX),
        ("empty", "", _WRONG_PREFIX),
        ("that is a slash", "/", _WRONG_PREFIX),
        ("with a leading slash", "/shared/", _WRONG_PREFIX),
        ("with an empty segment", "shared//common/", _WRONG_PREFIX),
        ("with a star", "shared/*/", _WRONG_PREFIX),
        ("with .. in it", "shared/../team-b/", _DOTS),
        ("with . first", "./shared/", _DOTS),
        ("with {namespace} in a later segment", "shared/{namespace}/", _WRONG_PREFIX),
        ("with {namespace} and more in a segment", "{namespace}-shared/", _WRONG_PREFIX),
        ("with more before {namespace}", "x{namespace}/", _WRONG_PREFIX),
        ("with {namespace} without a slash", "{namespace}", _WRONG_PREFIX),
        ("with an unknown placeholder", "{serviceAccount}/", _WRONG_PREFIX),
        ("with a template", "{{namespace}}/", _WRONG_PREFIX),
    )
]

_ROLE_PREFIXES = [
    Refusal(f"role prefix {what}", "backend", _ROLE_PREFIX, [prefix], "must be {namespace}. or a literal prefix")
    for what, prefix in (
        ("without a trailing dot", "{namespace}"),
        ("with a dash after {namespace}", "{namespace}-"),
        ("with {namespace} as a part of a segment", "a{namespace}."),
        ("that is a dot", "."),
        ("with a slash", "shared/"),
        ("with a star", "*."),
    )
]

_MOMENTS = [
    Refusal(f"notAfter {what}", "binding", _NOT_AFTER, value, _MOMENT)
    for what, value in (
        ("empty", ""),
        ("that is a date", "2027-01-31"),
        ("in another zone", "2027-01-31T00:00:00+01:00"),
        ("without a zone", "2027-01-31T00:00:00"),
        ("in small letters", "2027-01-31t00:00:00z"),
        ("with a space", "2027-01-31 00:00:00Z"),
        ("with a fraction", "2027-01-31T00:00:00.5Z"),
        ("on 31 April", "2027-04-31T00:00:00Z"),
        ("on 30 February", "2028-02-30T00:00:00Z"),
        ("on 29 February of no leap year", "2027-02-29T00:00:00Z"),
        ("on 29 February of 2100", "2100-02-29T00:00:00Z"),
        ("in month 13", "2027-13-01T00:00:00Z"),
        ("at 24:00", "2027-01-31T24:00:00Z"),
        ("at a leap second", "2027-12-31T23:59:60Z"),
        ("of long ago", "0001-01-01T00:00:00Z"),
        ("of year 9999", "9999-12-31T23:59:59Z"),
        ("with a newline", "2027-01-31T00:00:00Z\n"),
    )
]
_DURATION_FIELDS: tuple[tuple[Kind, str], ...] = (
    ("binding", "spec.access.session.ttl"),
    ("binding", "spec.access.session.maxTTL"),
    ("backend", "spec.allow.0.session.maxTTL"),
    ("backend", "spec.allow.0.maxLifetime"),
    ("backend", "spec.drift.interval"),
    ("backend", "spec.requests.timeout"),
)
_DURATIONS = [
    Refusal(f"{path.rpartition('.')[2]} {value or 'empty'}", kind, path, value, _DURATION)
    for kind, path in _DURATION_FIELDS
    for value in ("", "0s", "0h0m", "-15m", "15", "1.5h", "15m ", "10ms", "1s1h", "15m\n", "soon")
]

_AUDIENCES = [
    Refusal(f"audience {value}", "backend", "spec.vault.workloadLogin.kubernetes.audience", value, _AUDIENCE)
    for value in (
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc.cluster.local",
        "kubernetes.default.svc",
        "api",
    )
]

_SECRET_FIELDS = [
    Refusal("a secret with key and dynamic", "binding", "spec.secrets.1.key", "team-a/reporting", _ONE_PLACE),
    Refusal("a secret with neither key nor dynamic", "binding", _KEY, Remove(), _ONE_PLACE),
    Refusal("the same type and id twice", "binding", "spec.secrets", [secret(), secret(key="b")], "Duplicate value"),
    *(
        Refusal(f"id {id_!r}", "binding", "spec.secrets.0.id", id_, "must be an id that Airflow accepts")
        for id_ in ("", "ware house", "ware/house", "warehouse*", "wärehouse", "warehouse\n", "{{ id }}")
    ),
    Refusal("no secrets", "binding", "spec.secrets", [], "at least 1 item"),
    Refusal("65 secrets", "binding", "spec.secrets", [secret(f"s{each}") for each in range(65)], "at most 64 items"),
    Refusal("a key that is too long", "binding", _KEY, "k" * 513, "may not be more than 512", "at most 512"),
    Refusal(
        "a type of secret that is unknown",
        "binding",
        "spec.secrets.0.type",
        "Password",
        'supported values: "Connection", "Variable", "Config"',
        "'Connection', 'Variable' or 'Config'",
    ),
    Refusal("a role with a slash", "binding", "spec.secrets.1.dynamic.role", "../root", "must be a role name"),
    Refusal("a role with a template", "binding", "spec.secrets.1.dynamic.role", "{{name}}", "must be a role name"),
    Refusal("an engine with ..", "binding", "spec.secrets.1.dynamic.engine", "../sys", "must be the path of a mount"),
    Refusal("an engine with a slash", "binding", "spec.secrets.1.dynamic.engine", "db/", "must be the path of a mount"),
    Refusal(
        "a backend's wrong name",
        "binding",
        "spec.secrets.0.backendRef.name",
        "Vault_1",
        "must be the name of an AirflowSecretBackend",
    ),
]

_LETTING_GO = [
    Refusal(
        "an unknown deletion policy",
        "binding",
        "spec.deletionPolicy",
        "Keep",
        'supported values: "Delete", "Orphan"',
        "'Delete' or 'Orphan'",
    ),
    Refusal(
        "an unknown drift policy",
        "backend",
        "spec.drift.policy",
        "Ignore",
        'supported values: "Correct", "Report"',
        "'Correct' or 'Report'",
    ),
    Refusal(
        "an unknown way to adopt",
        "backend",
        "spec.adopt",
        "Always",
        'supported values: "Never", "IfIdentical"',
        "'Never' or 'IfIdentical'",
    ),
    Refusal(
        "orphan as a text", "backend", "spec.allow.0.orphan", "perhaps", "must be of type boolean", "valid boolean"
    ),
]

_ROTATING = [
    Refusal(name, "binding", "spec.rotation", value, said, said_by_model)
    for name, value, said, said_by_model in (
        ("words for a schedule", {"schedule": "every day"}, "must be five cron fields", ""),
        ("six fields in a schedule", {"schedule": "0 0 0 * * *"}, "must be five cron fields", ""),
        ("no time zone", {"timeZone": "+02:00"}, "must be a time zone of the IANA database", ""),
        ("a window without an end", {"window": {"opens": "@daily"}}, "Required value", "Field required"),
        ("no duration as jitter", {"jitter": "soon"}, _DURATION, ""),
        ("one version kept", {"keepVersions": 1}, "should be greater than or equal to 2", "greater than or equal to 2"),
        ("another part of a connection", {"connections": "Host"}, "Unsupported value", "Input should be"),
        ("a strategy that does not work here", {"strategy": "Native"}, "Unsupported value", "Input should be"),
        ("a key, which each secret has", {"key": "a/b"}, "unknown field", "Extra inputs are not permitted"),
    )
]
_BINDING_FIELDS = [
    Refusal("the account default", "binding", "spec.serviceAccount.name", "default", "shared by every pod"),
    Refusal("an account's wrong name", "binding", "spec.serviceAccount.name", "a:b", "must be an object name"),
    Refusal("a name of 64", "binding", "metadata.name", "b" * 64, "metadata.name must have at most 63 characters"),
    Refusal("a name of 253", "binding", "metadata.name", "b" * 253, "metadata.name must have at most 63 characters"),
    Refusal("ttl above maxTTL", "binding", "spec.access.session.ttl", "2h", "ttl must not be longer than maxTTL"),
    Refusal(
        "ttl a second above maxTTL", "binding", "spec.access.session.ttl", "90m1s", "ttl must not be longer than maxTTL"
    ),
    Refusal("an unknown field", "binding", "spec.secret", [], "unknown field", "Extra inputs are not permitted"),
    Refusal(
        "an unknown field deep down",
        "binding",
        "spec.access.session.max",
        "1h",
        "unknown field",
        "Extra inputs are not",
    ),
]

_FENCED_ONLY = "vault.fenced must be given with mode Fenced, and only then"
_LOGIN, _WORKLOAD = "spec.vault.login", "spec.vault.workloadLogin"
_APP_ROLE = {"roleID": "operator", "secretIDFile": "secret-id"}
_LOGINS = [
    *(
        Refusal(f"a login {what}", "backend", _LOGIN, login, said)
        for what, login, said in (
            ("by AppRole without its settings", {"method": "AppRole"}, "appRole must be given for method AppRole"),
            ("by JWT without its settings", {"method": "JWT"}, "jwt must be given for method JWT"),
            ("by token file without a file", {"method": "TokenFile"}, "tokenFile must be given for method TokenFile"),
            ("without settings at all", {}, "kubernetes must be given for method Kubernetes"),
            (
                "with the settings of two methods",
                {"method": "TokenFile", "tokenFile": {"name": "token"}, "appRole": _APP_ROLE},
                "appRole must be given for method AppRole, and for no other",
            ),
            (
                "with the settings of another method",
                {"method": "JWT", "kubernetes": {"role": "airwarden"}},
                "kubernetes must be given for method Kubernetes, and for no other",
            ),
        )
    ),
    *(
        Refusal(
            f"a token file {name!r}",
            "backend",
            _LOGIN,
            {"method": "TokenFile", "tokenFile": {"name": name}},
            "must be the name of a file in the operator's token directory",
        )
        for name in ("", "..", ".", "../token", "/etc/passwd", "a/b", "..data", ".hidden", "a\nb", "a b")
    ),
    Refusal(
        "a secret-id file elsewhere",
        "backend",
        _LOGIN,
        {"method": "AppRole", "appRole": {"roleID": "operator", "secretIDFile": "../../root/secret-id"}},
        "must be the name of a file in the operator's token directory",
    ),
    Refusal(
        "a role id with a slash",
        "backend",
        _LOGIN,
        {"method": "AppRole", "appRole": {"roleID": "../x", "secretIDFile": "secret-id"}},
        "must be a role id",
    ),
    Refusal(
        "a secret-id in the spec",
        "backend",
        _LOGIN,
        {"method": "AppRole", "appRole": {**_APP_ROLE, "secretID": "s"}},
        "unknown field",
        "Extra inputs are not permitted",
    ),
    Refusal(
        "a JWT login with the API server's audience for tasks",
        "backend",
        _WORKLOAD,
        {"method": "JWT", "jwt": {"audience": "https://kubernetes.default.svc"}},
        _AUDIENCE,
    ),
    Refusal(
        "tasks by AppRole without its settings",
        "backend",
        _WORKLOAD,
        {"method": "AppRole"},
        "appRole must be given for method AppRole",
    ),
    Refusal(
        "tasks by two methods",
        "backend",
        _WORKLOAD,
        {"method": "JWT", "jwt": {"audience": "vault"}, "kubernetes": {"audience": "vault"}},
        "kubernetes must be given for method Kubernetes, and for no other",
    ),
    Refusal(
        "mode Fenced with tasks by JWT",
        "backend",
        "spec.vault",
        {
            **backend()["spec"]["vault"],
            "mode": "Fenced",
            "fenced": {"role": "airwarden-tasks"},
            "workloadLogin": {"method": "JWT", "jwt": {"audience": "vault"}},
        },
        "mode Fenced needs workloadLogin.method Kubernetes",
    ),
    Refusal(
        "no use of a secret-id",
        "backend",
        _WORKLOAD,
        {"method": "AppRole", "appRole": {"secretIDUses": 0}},
        "greater than or equal to 1",
    ),
    Refusal(
        "a secret-id for ever",
        "backend",
        _WORKLOAD,
        {"method": "AppRole", "appRole": {"secretIDTTL": "0s"}},
        _DURATION,
    ),
    Refusal(
        "the operator's AppRole where it writes those of tasks",
        "backend",
        "spec.vault",
        {
            **backend()["spec"]["vault"],
            "login": {"method": "AppRole", "appRole": {**_APP_ROLE, "mount": "tasks"}},
            "workloadLogin": {"method": "AppRole", "appRole": {"mount": "tasks"}},
        },
        "login.appRole.mount must differ from workloadLogin.appRole.mount",
    ),
    Refusal(
        "the operator's AppRole where it writes those of tasks, by default",
        "backend",
        "spec.vault",
        {
            **backend()["spec"]["vault"],
            "login": {"method": "AppRole", "appRole": _APP_ROLE},
            "workloadLogin": {"method": "AppRole", "appRole": {}},
        },
        "login.appRole.mount must differ from workloadLogin.appRole.mount",
    ),
]

_BACKEND_FIELDS = [
    Refusal("mode Fenced without its settings", "backend", "spec.vault.mode", "Fenced", _FENCED_ONLY),
    Refusal("mode Roles with those of Fenced", "backend", "spec.vault.fenced", {"role": "tasks"}, _FENCED_ONLY),
    Refusal("an unknown mode", "backend", "spec.vault.mode", "Open", "supported values", "'Roles' or 'Fenced'"),
    *(
        Refusal(f"slots {slots}", "backend", "spec.vault", _fenced(slots), said, model)
        for slots, said, model in (
            ({"own": 40, "shared": 20, "dynamic": 3}, "must not be more than 62 slots together", ""),
            ({"own": 55}, "must not be more than 62 slots together", ""),
            ({"own": 0}, "greater than or equal to 1", ""),
            ({"shared": -1}, "greater than or equal to 0", ""),
            ({"own": 63}, "less than or equal to 62", ""),
        )
    ),
    Refusal("a backend's name of 64", "backend", "metadata.name", "b" * 64, "metadata.name must have at most 63"),
    Refusal("a backend's name with a dot", "backend", "metadata.name", "vault.eu", "characters and no dot"),
    Refusal("no settings for the type", "backend", "spec.vault", Remove(), "vault must be given for type Vault"),
    Refusal("an empty selector", "backend", "spec.allow.0.namespaces.selector", {}, "an empty selector is refused"),
    Refusal(
        "a selector without labels",
        "backend",
        "spec.allow.0.namespaces.selector",
        {"matchLabels": {}},
        "an empty selector is refused",
    ),
    Refusal(
        "a label without a name",
        "backend",
        "spec.allow.0.namespaces.selector",
        {"matchLabels": {"": "x"}},
        "each name must have 1 to 316 characters",
        "at least 1 character",
    ),
    Refusal(
        "a label's wrong value",
        "backend",
        "spec.allow.0.namespaces.selector",
        {"matchLabels": {"team": "a b"}},
        "must be a label value",
    ),
    Refusal("no namespaces", "backend", "spec.allow.0.namespaces", {}, "a rule for no namespace admits nothing"),
    Refusal(
        "an empty list of namespaces", "backend", "spec.allow.0.namespaces", {"names": []}, "a rule for no namespace"
    ),
    Refusal("a star for namespaces", "backend", "spec.allow.0.namespaces.names", ["*"], "must be the name of a names"),
    Refusal("two rules of one name", "backend", "spec.allow", [rule(), rule()], "Duplicate value"),
    Refusal("a prefix twice", "backend", _PREFIX, ["shared/", "shared/"], "Duplicate value"),
    Refusal("an engine twice", "backend", "spec.allow.0.dynamic", rule()["dynamic"] * 2, "Duplicate value"),
    Refusal("33 rules", "backend", "spec.allow", [rule(f"r{each}") for each in range(33)], "at most 32 items"),
    Refusal("a rule with a wrong name", "backend", "spec.allow.0.name", "Own tree", "must be lower-case letters"),
    *(
        Refusal(
            f"one {login['method']} login for policies and values", "backend", "spec", spec, "must be another login"
        )
        for login, spec in (
            (each, {**backend()["spec"], "vault": {**_VAULT, "login": each}, "rotation": {"login": each}})
            for each in (*LOGINS, rotation_login("airwarden"))
        )
    ),
    Refusal(
        "values written with an AppRole that the writer of policies may rewrite",
        "backend",
        "spec",
        {
            **backend()["spec"],
            "vault": {**_VAULT, "workloadLogin": {"method": "AppRole", "appRole": {"mount": "ops"}}},
            "rotation": {"login": LOGINS[0]},
        },
        "rotation.login.appRole.mount must differ",
    ),
    Refusal("a rotation without a login", "backend", "spec.rotation", {}, "login: Required", "login\n  Field required"),
    Refusal("no operations", "backend", "spec.allow.0.operations", [], "at least 1 item"),
    Refusal(
        "an operation that does not work yet",
        "backend",
        "spec.allow.0.operations",
        ["RotateNothing"],
        'supported values: "Read"',
        "Input should be 'Read'",
    ),
    Refusal("a type that does not work yet", "backend", "spec.type", "Conjur", 'supported values: "Vault"', "'Vault'"),
    Refusal("an audience with a blank", "backend", "spec.vault.workloadLogin.kubernetes.audience", "a b", "must begin"),
    Refusal(
        "no audience",
        "backend",
        "spec.vault.workloadLogin.kubernetes.audience",
        Remove(),
        "audience: Required value",
        "audience\n  Field required",
    ),
    *(
        refusal
        for value in (
            "vault.example:8200",
            "ftp://vault.example",
            "https://user:word@vault.example",
            "https://vault.example/v1",
            "https://vault.example?x=1",
            "https://vault.example\n",
        )
        for refusal in (
            Refusal(f"address {value}", "backend", "spec.vault.address", value, "must be http:// or https://"),
            Refusal(
                f"an address of tasks {value}",
                "backend",
                "spec.vault.workloadAddresses",
                ["https://vault.example:8200", value],
                "must be a URL without path",
            ),
        )
    ),
    Refusal(
        "a Vault namespace with ..", "backend", "spec.vault.namespace", "team/../root", "path of a Vault namespace"
    ),
    Refusal("a mount with ..", "backend", "spec.vault.kv.mount", "airflow/../sys", "must be the path of a mount"),
    *_LOGINS,
    Refusal(
        "a file name with a slash",
        "backend",
        "spec.vault.login.kubernetes.audience",
        "../token",
        "since it names the token's file",
    ),
    Refusal(
        "too many requests at once",
        "backend",
        "spec.requests.maxConcurrent",
        65,
        "less than or equal to 64",
    ),
]

REFUSALS: tuple[Refusal, ...] = (
    *_KEYS,
    *_SECRET_FIELDS,
    *_BINDING_FIELDS,
    *_ROTATING,
    *_LETTING_GO,
    *_DURATIONS,
    *_MOMENTS,
    *_KEY_PREFIXES,
    *_ROLE_PREFIXES,
    *_AUDIENCES,
    *_BACKEND_FIELDS,
)

IMMUTABLE: tuple[Refusal, ...] = (
    Refusal(
        "the account", "binding", "spec.serviceAccount.name", "other", "serviceAccount.name is immutable; make a new"
    ),
    Refusal("the engine's mount", "backend", "spec.vault.kv.mount", "other", "vault.kv.mount is immutable"),
    Refusal(
        "the login's mount",
        "backend",
        "spec.vault.workloadLogin.kubernetes.mount",
        "other",
        "mount of workloadLogin is immutable",
    ),
    Refusal(
        "the login's mount by leaving it to its default",
        "backend",
        "spec.vault.workloadLogin.kubernetes.mount",
        Remove(),
        "mount of workloadLogin is immutable",
    ),
    Refusal(
        "the tasks' login method",
        "backend",
        "spec.vault.workloadLogin",
        {"method": "JWT", "jwt": {"mount": "tasks", "audience": "vault"}},
        "vault.workloadLogin.method is immutable; make a new backend instead, and move the bindings to it",
    ),
    Refusal("the Vault namespace", "backend", "spec.vault.namespace", "other", "vault.namespace is immutable"),
    Refusal(
        "the Vault namespace by emptying it", "backend", "spec.vault.namespace", "", "vault.namespace is immutable"
    ),
    Refusal(
        "the Vault namespace by removing it",
        "backend",
        "spec.vault.namespace",
        Remove(),
        "vault.namespace is immutable",
    ),
)
"""Changes of an existing object, which only the API server can see."""
