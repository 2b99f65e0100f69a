"""How tasks read a Vault, for the map of their binding. Pure; called by both of Vault's stores."""

from airwarden.api.reasons import Reason
from airwarden.domain.task_access import TaskAccess, TokenMount, ca_file, token_file, token_path
from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.role_forms import JWTForm, KubernetesForm, RoleForm


def task_access(connection: Connection, form: RoleForm, auth_mount: str, role: str, kv: tuple[str, int]) -> TaskAccess:
    """Return the entry of a store in which tasks log in under a role; ``kv`` is the engine's mount and version."""
    name = connection.backend
    if not isinstance(form, KubernetesForm | JWTForm):
        why = f"tasks cannot log in to backend {name}: its workloadLogin is AppRole, and no pod is given a secret-id"
        return TaskAccess({}, impossible=(Reason.NO_LOGIN_FOR_TASKS, why))
    tls = {"caFile": ca_file(name)} if connection.ca_pem else {}
    if connection.server_name:
        tls["serverName"] = connection.server_name
    entry: dict[str, object] = {
        "type": "Vault",
        "addresses": list(connection.task_addresses or (connection.address,)),
        "namespace": connection.namespace,
        "kv": {"mount": kv[0], "version": kv[1]},
        "login": {
            "method": "JWT" if isinstance(form, JWTForm) else "Kubernetes",
            "mount": auth_mount,
            "role": role,
            "tokenFile": token_file(name),
        },
    }
    if tls:
        entry["tls"] = tls
    return TaskAccess(entry, connection.ca_pem or "", TokenMount(form.audience, token_path(name)))
