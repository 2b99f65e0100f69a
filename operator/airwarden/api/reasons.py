"""Every reason that a condition, target, secret or Event may carry, with its cause and next step.

The one source of the page of reasons (`airwarden crds --reasons`), and the only place where a reason
is spelled. Used by `airwarden.domain.errors`, by the report and by the Events.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means, why it comes, and what to do."""

    word: str
    cause: str
    next_step: str


class Reason(Enum):
    """A reason, one word for `kubectl get`, and its explanation for the docs."""

    READY = Explanation(
        "Ready",
        "Every target was acknowledged by its store, or read and found equal, at this generation.",
        "Nothing to do.",
    )
    PENDING = Explanation(
        "Pending",
        "The change is recorded and is being written.",
        "Wait some seconds. If it stays, look at the operator's log and at the backend's conditions.",
    )
    PROPAGATING = Explanation(
        "Propagating",
        "The grant is written and was read back, and the store may take some minutes to act on it.",
        "Wait until the time in the message. A task that is refused before tries again, or is started again later.",
    )
    EFFECTIVE = Explanation(
        "Effective",
        "The store has had the time that it may take to act on what was written last.",
        "Nothing to do.",
    )
    VAULT_NOT_FOUND = Explanation(
        "VaultNotFound",
        "There is no key vault of that name in the subscription and resource group that the backend names.",
        "Correct azureKeyVault.vault, or make the vault. The message says where one of that name was seen.",
    )
    VAULT_SOFT_DELETED = Explanation(
        "VaultSoftDeleted",
        "The key vault was deleted and can still be recovered. Its role assignments went with it, the operator's own "
        "too.",
        "Recover it with az keyvault recover, and run again what airwarden azure-setup prints: Airwarden then makes "
        "the assignments anew. Or use another vault.",
    )
    VAULT_NOT_IN_RBAC_MODE = Explanation(
        "VaultNotInRBACMode",
        "The key vault decides by access policies, so a role assignment would give nothing. None is made.",
        "Give everybody who uses the vault the roles that they need, then run az keyvault update "
        "--enable-rbac-authorization true.",
    )
    NETWORK_RESTRICTED = Explanation(
        "NetworkRestricted",
        "The key vault's firewall lets in only some networks. Airwarden itself does not need the way in; tasks do.",
        "See that the pods' network is let in: a private endpoint, or a rule of the vault's firewall.",
    )
    QUOTA_NEAR = Explanation(
        "QuotaNear",
        "At least four fifths of what Azure permits are in use: role assignments of the subscription (4,000), or "
        "federated credentials of one identity (20).",
        "Plan for more: another subscription, scope Vault, fewer bindings on one identity.",
    )
    QUOTA_REACHED = Explanation(
        "QuotaReached",
        "Azure permits no more federated credentials of the identity, or hardly any more role assignments in the "
        "subscription: Airwarden takes none of the last twentieth.",
        "Remove what nobody uses, or use another subscription or identity. Nothing that is there was changed.",
    )
    CEILING_REACHED = Explanation(
        "CeilingReached",
        "The bindings of the namespace have as many role assignments as azureKeyVault.assignmentsPerNamespace permits: "
        "one for each secret of a binding, and one more for each group of its people, whoever made it.",
        "Remove secrets, groups or bindings that nobody uses, or have the platform team raise it. What is there stays.",
    )
    ACCESS_BESIDE = Explanation(
        "AccessBeside",
        "There is a way into the key vault beside what Airwarden gives: a credential that it did not make on an "
        "identity that it made, or a role assignment to such an identity, or under its mark, that nobody asked for.",
        "Find out in Azure's activity log who made it, and remove it. Airwarden tells of it and leaves it.",
    )
    IDENTITY_NOT_GIVEN = Explanation(
        "IdentityNotGiven",
        "The backend neither names an identity for the binding's account, nor has a region to make one in.",
        "Have the platform team add the account to azureKeyVault.identities.existing, or set identities.location.",
    )
    IDENTITY_NOT_FOUND = Explanation(
        "IdentityNotFound",
        "The identity that the backend names for the binding's account is not there.",
        "Make it, or correct azureKeyVault.identities.existing.",
    )
    PRINCIPAL_NOT_FOUND = Explanation(
        "PrincipalNotFound",
        "Entra does not know the principal: its id is wrong, or it is so new that not every part of Entra has it.",
        "Wait some minutes. If it stays, compare the id with what Entra shows as object id; an application's client "
        "id is another one.",
    )
    PRINCIPAL_INVALID = Explanation(
        "PrincipalInvalid",
        "The id is that of something else: an app registration, or a person where a group is meant.",
        "Give the id that the message names.",
    )
    KEY_NOT_ENFORCED = Explanation(
        "KeyNotEnforced",
        "The backend assigns its role for the whole vault (scope Vault): the binding can read every secret in it.",
        "Nothing to do where that is meant. Else set azureKeyVault.scope to Secret, or use a vault per namespace.",
    )
    DIAGNOSTICS_FAILED = Explanation(
        "DiagnosticsFailed",
        "The vault's diagnostic setting could not be made, corrected or removed.",
        "The message says why. Bindings do not wait for it.",
    )
    GROUP_NOT_ALLOWED = Explanation(
        "GroupNotAllowed",
        "The binding lets in a group that the backend does not list, or a Vault's lists without vaultGroupID. What "
        "tasks read is not touched by it.",
        "Have the platform team add the group to groups of the backend, or leave it out of people.",
    )
    PEOPLE_NOT_SUPPORTED = Explanation(
        "PeopleNotSupported",
        "The binding lets people in, and a backend of it cannot do that: a Vault in mode Fenced; or it has nothing "
        "there that people may read, only credentials that are made for each reader.",
        "Leave people out, or make a binding of its own for the secrets that people read.",
    )
    DRIFT_CORRECTED = Explanation(
        "DriftCorrected",
        "Something in the store or the cluster had been changed or removed by hand and was set right.",
        "Find out who changed it: the store's audit log names the login. Change the binding instead.",
    )
    DRIFTED = Explanation(
        "Drifted",
        "Something in the store was changed or removed by hand, and the backend only reports such changes.",
        "Find out who changed it. Set it right by hand, or change drift.policy of the backend to Correct.",
    )
    INVALID_SPEC = Explanation(
        "InvalidSpec",
        "The object does not hold to its schema. It was made before the schema, or past the admission check.",
        "Apply it again: the API server then names the field.",
    )
    KEY_NOT_ALLOWED = Explanation(
        "KeyNotAllowed",
        "No allow rule of the backend admits the secret for this namespace.",
        "Ask for a key that the message names as allowed, or have the platform team widen the rule.",
    )
    KEY_INVALID = Explanation(
        "KeyInvalid",
        "The key is not one in the grammar of the backend's store.",
        "Write the key as the message says. For Vault: the path below the mount, without data/. For a key vault: the "
        "secret's name in lower case.",
    )
    SESSION_NOT_ALLOWED = Explanation(
        "SessionNotAllowed",
        "The session asked for is longer than any rule permits that would admit the secret.",
        "Shorten access.session to what the message names. It is never shortened silently.",
    )
    KEY_OUTSIDE_FENCE = Explanation(
        "KeyOutsideFence",
        "A rule allows the secret, but the backend is in mode Fenced and none of its slots can hold it.",
        "Move the secret below the namespace's own tree or below shared/, or use a backend in mode Roles.",
    )
    SLOTS_EXHAUSTED = Explanation(
        "SlotsExhausted",
        "The binding has more secrets than the fenced backend has slots. Those declared first are granted.",
        "Split the binding, or have the platform team raise vault.fenced.slots and apply vault-setup again.",
    )
    SLOTS_LOW = Explanation(
        "SlotsLow",
        "At least four of five slots of one kind are in use by the binding.",
        "Plan for more: split the binding, or have the platform team raise vault.fenced.slots.",
    )
    SLOTS_TAKEN = Explanation(
        "SlotsTaken",
        "An account has one set of slots in a Vault, and another fenced backend of the binding uses them.",
        "Use one fenced backend per binding and Vault.",
    )
    SESSION_TTL_NOT_ENFORCED = Explanation(
        "SessionTTLNotEnforced",
        "The store, not the binding, decides how long a login lasts: the one role of a Vault in mode Fenced, or Entra.",
        "Nothing to do. Where sessions must be held, set session.required in the rule, or use a Vault in mode Roles.",
    )
    LEFT_BEHIND = Explanation(
        "LeftBehind",
        "The access is gone, but the store keeps an empty object that the operator may not delete.",
        "Nothing to do; the message names it for a Vault admin who wants it gone.",
    )
    LIFETIME_NOT_ALLOWED = Explanation(
        "LifetimeNotAllowed",
        "The rule that would admit the secret wants the access to end (maxLifetime); there is no end, or a later one.",
        "Set access.notAfter to what the message names or earlier. A later one is admitted once it is near enough.",
    )
    EXPIRED = Explanation(
        "Expired",
        "The time in access.notAfter has come: nothing is granted any more. The account stays: pods hang on it.",
        "Move access.notAfter if the access is still needed, or delete the binding.",
    )
    SUSPENDED = Explanation(
        "Suspended",
        "A suspended binding gets nothing more and keeps what is still declared and allowed; a rotation begins no run.",
        "Set suspend to false. What was taken away from a binding is then given again if it is declared and allowed.",
    )
    CLOCK_SKEW = Explanation(
        "ClockSkew",
        "The clocks of the operator and of the store differ by more than 30 s. Access ends by the operator's clock.",
        "Synchronise both clocks. Nothing is held back meanwhile.",
    )
    ORPHAN_NOT_ALLOWED = Explanation(
        "OrphanNotAllowed",
        "The binding asks for deletionPolicy Orphan, and no rule that would admit the secret permits that, or the "
        "store cannot leave access behind: a key vault, and Vault in mode Fenced.",
        "Set deletionPolicy to Delete, or have the platform team set orphan on the rule that the message names.",
    )
    BACKEND_NOT_FOUND = Explanation(
        "BackendNotFound",
        "There is no AirflowSecretBackend of that name.",
        "Correct backendRef.name, or apply the backend: the binding heals when it appears.",
    )
    BACKEND_INVALID = Explanation(
        "BackendInvalid",
        "The AirflowSecretBackend does not hold to its schema, or is being deleted.",
        "kubectl describe asbk NAME says which field; correct it and apply it again.",
    )
    BACKEND_MISCONFIGURED = Explanation(
        "BackendMisconfigured",
        "The backend names something that is not there: a CA bundle, a token file; or a file holds no such thing.",
        "Make what the message names, or correct the backend.",
    )
    BACKEND_UNREACHABLE = Explanation(
        "BackendUnreachable",
        "The store gave no answer: refused, DNS, TLS, time-out.",
        "Check the address, the network policy and the certificate. Retried by itself.",
    )
    BACKEND_SEALED = Explanation(
        "BackendSealed",
        "The store answers but is sealed, not initialised, or a standby without an active node.",
        "Unseal it. Retried by itself.",
    )
    BACKEND_THROTTLED = Explanation(
        "BackendThrottled",
        "The store asked the operator to slow down (429).",
        "Lower requests.perSecond of the backend, or raise the store's quota.",
    )
    BACKEND_ERROR = Explanation(
        "BackendError",
        "The store answered with a fault of its own, or with an answer that cannot be understood.",
        "Look at the store's log. Retried by itself.",
    )
    BACKEND_UNAUTHORIZED = Explanation(
        "BackendUnauthorized",
        "The store refused the operator's login.",
        "Check the role, the audience and the account in what airwarden vault-setup prints. For a key vault the "
        "message has Entra's code: check login.clientID, the federated credential for the operator's account, and "
        "the file.",
    )
    BACKEND_FORBIDDEN = Explanation(
        "BackendForbidden",
        "The operator's login holds, but its rights do not cover a path that it needs.",
        "Apply what airwarden vault-setup prints, for a key vault azure-setup; the backend's missingPermissions names "
        "what is missing.",
    )
    BACKEND_REJECTED = Explanation(
        "BackendRejected",
        "The store understood what was sent and refused it.",
        "The message has the store's words. If they make no sense to you, it is a bug worth reporting.",
    )
    MOUNT_MISSING = Explanation(
        "MountMissing",
        "A mount that the backend names is not there.",
        "Enable it as airwarden vault-setup prints, or make a backend with the right mount.",
    )
    NOT_OWNED = Explanation(
        "NotOwned",
        "An object under the binding's name, or in a key vault one that gives the same, was made by somebody else. It "
        "was not touched.",
        "Look at it, and remove or rename it; or name the binding differently; or take it over with airwarden adopt. "
        "In a key vault nothing is taken over: remove what the message names, and Airwarden makes its own.",
    )
    SERVICE_ACCOUNT_TAKEN = Explanation(
        "ServiceAccountTaken",
        "The account belongs to another binding. An account belongs to one binding only.",
        "Put the secrets into that binding, or name another account.",
    )
    STORE_CHANGED = Explanation(
        "StoreChanged",
        "Another store than before answers for the backend: its id differs. Nothing is written to it or removed.",
        "Set the address right, or annotate the backend with airwarden.dev/accept-store=ID, as the message says.",
    )
    ENVIRONMENT_NOT_FOUND = Explanation(
        "EnvironmentNotFound",
        "The binding names an AirflowEnvironment that does not exist, so none of its DAGs run under its account.",
        "Correct environmentRef by making a new binding, or apply the environment.",
    )
    ENVIRONMENT_INVALID = Explanation(
        "EnvironmentInvalid",
        "The AirflowEnvironment that the binding names does not hold to its schema. All stays as it was.",
        "Correct the environment as the message says; an older operator may not know a newer field.",
    )
    NO_LOGIN_FOR_TASKS = Explanation(
        "NoLoginForTasks",
        "Tasks cannot log in to the store by themselves: its workloadLogin is AppRole, and no pod gets a secret-id.",
        "Have the platform team set workloadLogin Kubernetes or JWT for DAGs, in a backend of their own.",
    )
    NAMESPACE_NOT_A_WORKER = Explanation(
        "NamespaceNotAWorker",
        "The environment runs no tasks in the binding's namespace.",
        "Bind in a namespace among the environment's workerNamespaces, or have the platform team add this one.",
    )
    BUNDLE_NOT_CLAIMABLE = Explanation(
        "BundleNotClaimable",
        "The environment does not let the binding's namespace claim DAGs of the bundle.",
        "Correct dags[].bundle, or have the platform team name the namespace under bundles of the environment.",
    )
    DAG_CONFLICT = Explanation(
        "DagConflict",
        "Two bindings claim the same DAGs of one bundle. Neither gets any of its DAGs until one gives way.",
        "Narrow dags[].ids of one of the two bindings that the messages name.",
    )
    MAP_TOO_LARGE = Explanation(
        "MapTooLarge",
        "What is to be rendered does not fit into one ConfigMap. What was there stays, without what was withdrawn.",
        "Claim DAGs by prefixes instead of one by one, or split the bundle.",
    )
    MAP_FILLS_UP = Explanation(
        "MapFillsUp",
        "What is rendered has more than four fifths of what fits into one ConfigMap. All of it is there.",
        "Claim DAGs by prefixes instead of one by one, or split the bundle, before more of them come.",
    )
    MAP_NOT_OWNED = Explanation(
        "MapNotOwned",
        "A ConfigMap under a name of Airwarden's was made by somebody else. It is neither changed nor deleted.",
        "Delete it: Airwarden then makes its own.",
    )
    IDENTITY_ENFORCED = Explanation(
        "IdentityEnforced",
        "Task pods of bindings carry the executor's marks, and all policies are there that refuse those to others.",
        "Nothing to do.",
    )
    EXECUTOR_SHARES_IDENTITY = Explanation(
        "ExecutorSharesIdentity",
        "Tasks of all DAGs run in the same processes, so they share one identity. Only Kubernetes gives each its own.",
        "Use executor Kubernetes; or one deployment of workers a queue, each under one binding's account.",
    )
    TASK_PODS_NOT_VISIBLE = Explanation(
        "TaskPodsNotVisible",
        "Airwarden may not look at task pods or at admission policies, so it cannot tell.",
        "Apply manifests/environment, and in each worker namespace what airwarden environment rights prints.",
    )
    NO_MARKED_PODS = Explanation(
        "NoMarkedPods",
        "No task pod of a binding was seen yet, or none for a week, whose marks admission guards.",
        "Have the scheduler take its ConfigMap by envFrom, restart it, and run a task of a bound DAG.",
    )
    UNMARKED_TASK_PODS = Explanation(
        "UnmarkedTaskPods",
        "A KubernetesExecutor that is not Airwarden's makes task pods in a worker namespace.",
        "Have that scheduler take its ConfigMap by envFrom and restart it, or let it work in another namespace.",
    )
    UNGUARDED_MARKS = Explanation(
        "UnguardedMarks",
        "A pod says that it holds credentials of Airflow, but anybody may have made it: nothing guards its marks.",
        "Look at the pod that the message names, and delete it if it is no task of Airflow.",
    )
    POLICY_MISSING = Explanation(
        "PolicyMissing",
        "An admission policy that identities rest on is not there, not bound, or does not hold for everything.",
        "Apply all of them: kubectl apply -k manifests/admission. The message names what is missing.",
    )
    ISOLATED = Explanation(
        "Isolated",
        "No way around the bindings is known here: task pods hold none of Airflow's own credentials.",
        "Nothing to do.",
    )
    WORKERS_HOLD_DATABASE_CREDENTIALS = Explanation(
        "WorkersHoldDatabaseCredentials",
        "Task pods hold credentials of Airflow itself, with which a task can read what others have stored in it.",
        "Take the variables that the message names out of the environment of workers.",
    )
    WORKER_ENVIRONMENT_HIDDEN = Explanation(
        "WorkerEnvironmentHidden",
        "Task pods take variables from Secrets or ConfigMaps that Airwarden does not read.",
        "Name the variables one by one in the pod template, without those of the database, Fernet key and JWT secret.",
    )
    TRIGGERER_SHARED = Explanation(
        "TriggererShared",
        "The triggerer runs the triggers of all DAGs in one process, under one account.",
        "Bind nothing to its account, and read secrets in tasks; without deferred tasks, declare no triggerer.",
    )
    CLUSTER_ID_CONFLICT = Explanation(
        "ClusterIDConflict",
        "Another cluster has this cluster's name in the store. Nothing is written to it or removed.",
        "Give one of the two another name, or release the name as the message says if the other cluster is gone.",
    )
    SWEPT = Explanation(
        "Swept",
        "The store was searched for what no binding owns. What was found waits for its time, or is removed.",
        "Nothing to do; status.orphans of the backend names what waits.",
    )
    SWEEP_HELD = Explanation(
        "SweepHeld",
        "So much in the store has no binding that the bindings may be what is missing. Nothing was removed.",
        "Find out where the bindings are. If they are gone for good: airwarden sweep --delete.",
    )
    SWEEP_INCOMPLETE = Explanation(
        "SweepIncomplete",
        "Something in the store has no binding and could not be removed, or does not carry our mark.",
        "The message names it and what stood in the way. Tried again with the next sweep.",
    )
    ACCOUNT_MODE_NOT_ALLOWED = Explanation(
        "AccountModeNotAllowed",
        "A rule admits the secret, but not for accounts of this mode.",
        "Use a mode that the message names, or have the platform team add this one to the rule's serviceAccounts.",
    )
    SERVICE_ACCOUNT_NOT_FOUND = Explanation(
        "ServiceAccountNotFound",
        "The binding's account is External, and there is no such account. Airwarden does not make it.",
        "Create the account with the label that the message names. The binding heals when it appears.",
    )
    SERVICE_ACCOUNT_NOT_ALLOWED = Explanation(
        "ServiceAccountNotAllowed",
        "The binding's account is External, and its owner has not labelled it for this binding.",
        "Whoever owns the account sets the label that the message names. The binding heals when it is there.",
    )
    DELETION_BLOCKED = Explanation(
        "DeletionBlocked",
        "Access could not be taken away yet; the object stays until it is.",
        "The message names what fails. Retried by itself until it is done.",
    )
    IN_USE = Explanation(
        "InUse",
        "The backend is being deleted while bindings still use it.",
        "Delete or move the bindings that the message names. The backend goes after them.",
    )
    DELETING = Explanation(
        "Deleting",
        "The binding is being deleted and its access is being taken away.",
        "Wait some seconds.",
    )
    NAMESPACE_TERMINATING = Explanation(
        "NamespaceTerminating",
        "The namespace is being deleted, so nothing new can be made in it.",
        "Nothing to do: the binding goes with the namespace.",
    )
    CLUSTER_UNAVAILABLE = Explanation(
        "ClusterUnavailable",
        "The Kubernetes API gave no answer or a fault of its own.",
        "Check the API server. Retried by itself.",
    )
    OBJECT_REJECTED = Explanation(
        "ObjectRejected",
        "The API server does not take what the operator writes: the CRDs are of another version.",
        "Apply crds/ of the operator's version; the message in the log names the field.",
    )
    CLUSTER_FORBIDDEN = Explanation(
        "ClusterForbidden",
        "The operator's RBAC does not cover a request that it needs.",
        "Apply manifests/ again; the message names the verb and the resource.",
    )
    AUTHORIZED = Explanation(
        "Authorized",
        "The operator's login holds and has the rights that it needs.",
        "Nothing to do.",
    )
    REACHABLE = Explanation(
        "Reachable",
        "The store answers.",
        "Nothing to do.",
    )
    FOREIGN_ROLES = Explanation(
        "ForeignRoles",
        "A role of the store that Airwarden did not make lets a managed account log in, maybe with more rights.",
        "Take the account out of the role that the message names, or remove the role. airwarden doctor names all.",
    )
    NO_FOREIGN_ROLES = Explanation(
        "NoForeignRoles",
        "The operator may read the roles beside ours, and none of them lets a managed account log in.",
        "Nothing to do.",
    )
    ROTATION_NOT_ALLOWED = Explanation(
        "RotationNotAllowed",
        "No allow rule of the backend lets this namespace rotate the key in this way.",
        "Ask for a key that the message names as allowed, or have the platform team add the operation to the rule.",
    )
    ROTATION_NOT_ENABLED = Explanation(
        "RotationNotEnabled",
        "The backend has no login for rotations (spec.rotation), so that nothing in its store is rotated.",
        "Have the platform team set spec.rotation of the backend and apply what airwarden vault-setup then prints.",
    )
    VERSION_MOVED = Explanation(
        "VersionMoved",
        "The secret got another version, or was deleted, while it was being rotated. Nothing was overwritten.",
        "Nothing to do: the secret is looked at again, and a version made by others is respected.",
    )
    NOT_ROTATABLE = Explanation(
        "NotRotatable",
        "The secret cannot be rotated as it stands. Nothing was written.",
        "The message says what stands in the way. Mend the secret or the rotation, and ask for a run.",
    )
    FIELD_MISSING = Explanation(
        "FieldMissing",
        "The secret has no field of that name. A rotation replaces a field and never adds one.",
        "Make a rotation for a field that is there, or add the field by hand and ask for a run.",
    )
    FIELD_NOT_TEXT = Explanation(
        "FieldNotText",
        "The field holds an object, or something else that is no text, which a new value would put an end to.",
        "Make a rotation for a field that holds a text.",
    )
    NO_CONNECTION_URI = Explanation(
        "NoConnectionURI",
        "The field holds no connection URI with a user, so part URIPassword finds no password to replace.",
        "Write the field as scheme://user:password@host, or use part Value for a field that holds the password alone.",
    )
    PASSWORD_POLICY_MISSING = Explanation(
        "PasswordPolicyMissing",
        "The store has no password policy of the name in generate.passwordPolicy.",
        "Correct the name, have the store's administrator write the policy, or leave passwordPolicy out.",
    )
    NO_VERSIONS = Explanation(
        "NoVersions",
        "The backend's key-value engine is of version 1: it cannot tell whether somebody else wrote meanwhile.",
        "Move the secret to an engine of version 2: a value is never written without check-and-set.",
    )
    INVALID_SCHEDULE = Explanation(
        "InvalidSchedule",
        "The rotation's schedule, time zone, window or jitter cannot be read, or makes no sense with the others.",
        "Write it as the message says. Nothing runs until then.",
    )
    ROTATION_CONFLICT = Explanation(
        "RotationConflict",
        "The secret has more than one rotation, here or in another cluster. A secret has one owner of its rotation.",
        "Delete all but one, as the message says.",
    )
    SECRET_ABSENT = Explanation(
        "SecretAbsent",
        "The secret that is to be rotated is not in the store. A rotation replaces values and makes no secrets.",
        "Write its first version, or make a rotation with the right key.",
    )
    SECRET_DELETED = Explanation(
        "SecretDeleted",
        "The current version of the secret is deleted in the store.",
        "Undelete it, or write a new version; then ask for a run.",
    )
    SECRET_DESTROYED = Explanation(
        "SecretDestroyed",
        "The current version of the secret is destroyed in the store.",
        "Write a new version; then ask for a run.",
    )
    ROTATED = Explanation(
        "Rotated",
        "A run wrote a new value as a new version of the secret.",
        "Nothing to do. Tasks that start from now on read it.",
    )
    JOBS_NOT_ENABLED = Explanation(
        "JobsNotEnabled",
        "The operator has no rotation namespace, so no rotation of strategy Job runs.",
        "Have the platform team set AIRWARDEN_ROTATION_NAMESPACE and apply manifests/rotation-jobs.",
    )
    TEMPLATE_MISSING = Explanation(
        "TemplateMissing",
        "The rotation namespace has no CronJob of the name in job.template or job.verify.",
        "Correct the name, or have the platform team apply the template: the rotation goes on when it appears.",
    )
    TEMPLATE_UNFIT = Explanation(
        "TemplateUnfit",
        "The CronJob is no template: it is not labelled as one, is not suspended, or uses a name of Airwarden's.",
        "Have the platform team mend the template as the message says.",
    )
    JOB_FAILED = Explanation(
        "JobFailed",
        "The Job of a rotation ended with a failure. The store keeps the old value, and the candidate stays staged.",
        "Read the Job's log in the rotation namespace, mend what it says, and ask for a run, with the same candidate.",
    )
    JOB_TIMED_OUT = Explanation(
        "JobTimedOut",
        "The Job of a rotation did not end within job.timeout, and was ended. The store keeps the old value.",
        "Find out what it waited for, or raise job.timeout; then ask for a run: it takes the same candidate.",
    )
    JOB_GONE = Explanation(
        "JobGone",
        "The Job of a rotation went before its end was seen, or the run's strategy or users were edited meanwhile.",
        "Ask for a run: it takes the same candidate, so that the target and the store come together again.",
    )
    JOB_NOT_OWNED = Explanation(
        "JobNotOwned",
        "The rotation namespace has a Job of the name that a run needs, which is not the run's.",
        "Delete that Job. Nobody but Airwarden should make Jobs of such names.",
    )
    VERIFY_FAILED = Explanation(
        "VerifyFailed",
        "The Job that tries the new value failed after the store had it.",
        "The message says which value stands. Mend the template or the target, and ask for a run.",
    )
    CANDIDATE_TAKEN = Explanation(
        "CandidateTaken",
        "What waits under the rotation's name below airwarden-pending/ was made for another key or field.",
        "If no target has that value, delete it there; a sweep does so when it is a day old.",
    )
    CANDIDATE_GONE = Explanation(
        "CandidateGone",
        "The candidate of a run was removed from airwarden-pending/ after a Job got it and before the store did.",
        "Set the value by hand in target and store, or ask for a run if the old one works.",
    )
    SUPERSEDED = Explanation(
        "Superseded",
        "Somebody else made a newer version of the secret while a run was under way. It stands.",
        "Nothing to do; if that version did not renew the field, ask for a run.",
    )
    RUN_MISSED = Explanation(
        "RunMissed",
        "A scheduled run could not begin within startingDeadline.",
        "Annotate the rotation with airwarden.dev/rotate=WORD to make up for it, or wait for the next one.",
    )
    OVERDUE = Explanation(
        "Overdue",
        "The value is older than maxAge of its rotation.",
        "Look at the conditions for why no run came; ask for a run with airwarden.dev/rotate=WORD.",
    )
    CLOCK_WENT_BACK = Explanation(
        "ClockWentBack",
        "Runs are on record up to a moment ahead of the operator's clock: it went back, or was ahead before.",
        "Set the clock right. A run on demand makes the schedule count from then.",
    )
    HEALTHY = Explanation(
        "Healthy",
        "The value is not older than maxAge, and the last run did not fail.",
        "Nothing to do.",
    )
    DATABASE_ROLE_ABSENT = Explanation(
        "DatabaseRoleAbsent",
        "The database engine has no such role or connection.",
        "Have the store's administrator make it, correct databaseRole, or declare the role.",
    )
    DATABASE_REFUSED = Explanation(
        "DatabaseRefused",
        "The store could not change the password in the database, or does not know the connection.",
        "The old password holds. The message says what the database said: mend it; the run goes on by itself.",
    )
    DECLARED_OTHERWISE = Explanation(
        "DeclaredOtherwise",
        "A role of the declared name stands in the store for another connection or user, which cannot be changed.",
        "Remove it from the store by hand if nobody needs it, or declare a role of another name.",
    )
    PASSWORD_CHANGES = Explanation(
        "PasswordChanges",
        "A declared role is being made, and with it the store gives the database user a new password at once.",
        "Bind those who use that user to the role: whoever has the old password is refused.",
    )
    ROLE_IN_USE = Explanation(
        "RoleInUse",
        "Leases of a dynamic role are ended only where one binding, in the rotation's namespace, uses the role.",
        "Give each binding a role of its own, or have the store's administrator end the leases.",
    )
    ROLE_RELEASED = Explanation(
        "RoleReleased",
        "A rotation that declared a static role was deleted, and the role with it. The user keeps the last password.",
        "Set a new password in the database if the user is still needed.",
    )
    ROTATION_LATE = Explanation(
        "RotationLate",
        "The store should have rotated by the declared schedule, and has not.",
        "Look at the store's log: it tries again by itself. A run on demand shows what stands in the way.",
    )
    UNKNOWN = Explanation(
        "Unknown",
        "It could not be asked, because something before it failed.",
        "See the other conditions.",
    )

    @property
    def word(self) -> str:
        """The word as conditions carry it."""
        return self.value.word
