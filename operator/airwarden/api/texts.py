"""The texts that users write, each an allow-list with a message that says what is allowed.

Used by the models of both kinds.
"""

from typing import Annotated

from pydantic import StringConstraints

from airwarden.api.fields import (
    AIRFLOW_ID,
    DNS_LABEL,
    DOT_SEGMENT,
    KEY,
    KEY_PREFIX,
    MOMENT,
    MOUNT,
    ROLE,
    ROLE_PREFIX,
    excludes,
    matches,
    none_of,
)

API_SERVER_AUDIENCES = (
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local",
    "kubernetes.default.svc",
    "api",
)
"""What the usual clusters call themselves. A token for one of them would serve against the cluster."""
_NO_DOTS = "must not have . or .. as a segment"
PENDING = "airwarden-pending"
"""First segment of the keys below which candidates of rotations wait: no binding, rotation or rule may name one."""
_PENDING_TREE = f"^{PENDING}(/|$)"
_NOT_PENDING = f"must not lie below {PENDING}/: values wait there that are not in use yet"

MountName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(MOUNT, "must be the path of a mount: letters, digits, . _ - and inner single slashes, no leading dot"),
]
RoleName = Annotated[
    str,
    StringConstraints(max_length=256),
    matches(ROLE, "must be a role name: letters, digits, . _ -, no dot or dash first or last"),
]
AirflowID = Annotated[
    str,
    StringConstraints(max_length=250),
    matches(AIRFLOW_ID, "must be an id that Airflow accepts: letters, digits, underscores, dots and dashes"),
]
Key = Annotated[
    str,
    StringConstraints(max_length=512),
    matches(
        KEY,
        "must be segments between single slashes, without a leading or trailing slash, such as "
        "airflow-prod/connections/warehouse; a segment may hold letters, digits and . _ ~ @ : = , - and nothing else",
    ),
    excludes(DOT_SEGMENT, _NO_DOTS),
    excludes(_PENDING_TREE, _NOT_PENDING),
]
KeyPrefix = Annotated[
    str,
    StringConstraints(max_length=256),
    matches(
        KEY_PREFIX,
        "must end with a slash and have no other empty segment, such as {namespace}/ or shared/connections/ "
        "(in a key vault with a dash, such as airflow-); "
        "{namespace} may stand only as the whole first segment, "
        "and a segment may hold letters, digits and . _ ~ @ : = , - and nothing else",
    ),
    excludes(DOT_SEGMENT, _NO_DOTS),
    excludes(_PENDING_TREE, _NOT_PENDING),
]
FieldName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    matches(r"^[A-Za-z0-9_.-]+$", "must be the name of a field: letters, digits, underscores, dots and dashes"),
]
RolePrefix = Annotated[
    str,
    StringConstraints(max_length=256),
    matches(
        ROLE_PREFIX,
        "must be {namespace}. or a literal prefix, or both as in airwarden.prod.{namespace}., in letters, digits, "
        "dots, dashes and underscores, and end with a dot: "
        "without it the namespace team would also reach the roles of team-b",
    ),
]
Moment = Annotated[
    str,
    StringConstraints(max_length=40),  # room for one with a zone, so that it is refused in words that help
    matches(
        MOMENT,
        "must be a date and time in UTC that exists, in whole seconds and the years 2000 to 2999, "
        "such as 2027-01-31T00:00:00Z",
    ),
]
RuleName = Annotated[
    str,
    StringConstraints(max_length=63),
    matches(DNS_LABEL, "must be lower-case letters, digits and inner dashes, such as own-tree"),
]
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=316)]
LabelValue = Annotated[
    str,
    StringConstraints(max_length=63),
    matches(
        r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        "must be a label value: letters and digits, between them also dashes, underscores and dots",
    ),
]
Audience = Annotated[
    str,
    StringConstraints(max_length=253),
    matches(
        r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        "must begin with a letter or digit, and besides these hold only dots, underscores, colons, slashes and dashes",
    ),
    none_of(
        API_SERVER_AUDIENCES,
        "must not be an audience of the API server: Vault could then use the token against the cluster; "
        "choose one of its own, such as vault",
    ),
]
OwnAudience = Annotated[
    str,
    StringConstraints(max_length=253),
    matches(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "must begin with a letter or digit, then also . _ -, since it names the token's file",
    ),
]
FileName = Annotated[
    str,
    StringConstraints(max_length=253),
    matches(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "must be the name of a file in the operator's token directory: a letter or digit, then also . _ -",
    ),
]
RoleID = Annotated[
    str,
    StringConstraints(max_length=256),
    matches(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "must be a role id: a letter or digit, then also dots, underscores and dashes",
    ),
]
_ADDRESS = r"^https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$"
Address = Annotated[
    str,
    StringConstraints(max_length=512),
    matches(
        _ADDRESS,
        "must be http:// or https://, a host and perhaps a port, without user, path or query, "
        "such as https://vault.example:8200",
    ),
]
TaskAddress = Annotated[
    str, StringConstraints(max_length=512), matches(_ADDRESS, "must be a URL without path, as address is")
]
"""As Address, in fewer words: the definition of the backend must stay small."""
VaultNamespace = Annotated[
    str,
    StringConstraints(max_length=256),
    matches(
        f"^({MOUNT.strip('^$')})?$",
        "must be the path of a Vault namespace without a leading or trailing slash, such as team/airflow",
    ),
]
ServerName = Annotated[
    str,
    StringConstraints(max_length=253),
    matches(r"^[A-Za-z0-9.-]*$", "must be a host name, such as vault.example"),
]
ConfigMapKeyName = Annotated[
    str,
    StringConstraints(max_length=253),
    matches(r"^[-._a-zA-Z0-9]+$", "must be a key of a ConfigMap: letters, digits, dashes, underscores and dots"),
]
