"""Every way in which a store or the cluster can fail, typed once and mapped once to a reason.

Providers raise these and nothing else; `airwarden.reconcile` turns them into conditions through
`reason`. Unknown is not absent (design section 2, rule 6): absence is a value, never one of these.
"""

from typing import ClassVar

from airwarden.api.reasons import Reason


class AirwardenError(Exception):
    """Base of all expected errors. The text is shown to users: no secret, no token, no header in it."""

    reason: ClassVar[Reason]
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait, if it did."""


class Unreachable(AirwardenError):
    """No answer: refused, DNS, TLS, time-out, or a connection cut in mid-answer."""

    reason = Reason.BACKEND_UNREACHABLE


class Sealed(AirwardenError):
    """The store answers, but is sealed, not initialised, or a standby without an active node."""

    reason = Reason.BACKEND_SEALED


class Throttled(AirwardenError):
    """The store asked us to slow down (429)."""

    reason = Reason.BACKEND_THROTTLED


class OfAPart(AirwardenError):
    """Only one of the parts that a store's requests go to failed: that says nothing of the others."""


class PartThrottled(OfAPart, Throttled):
    """The part asked us to slow down."""


class PartUnreachable(OfAPart, Unreachable):
    """The part does not answer."""


class StoreFailed(AirwardenError):
    """The store answered with a fault of its own (5xx, or an answer that cannot be understood)."""

    reason = Reason.BACKEND_ERROR


class Unauthorized(AirwardenError):
    """The operator's login was refused, or its token was revoked and a new login did not help."""

    reason = Reason.BACKEND_UNAUTHORIZED


class Forbidden(AirwardenError):
    """The login holds, but its rights do not cover the path."""

    reason = Reason.BACKEND_FORBIDDEN


class MountMissing(AirwardenError):
    """A mount that the backend names is not there."""

    reason = Reason.MOUNT_MISSING


class StoreBarred(AirwardenError):
    """The store answers, and must not be used before a person has looked: it may not be ours to write to."""


class StoreChanged(StoreBarred):
    """Another store than before answers for the backend."""

    reason = Reason.STORE_CHANGED


class ClusterIDConflict(StoreBarred):
    """Another cluster has our cluster's name in the store."""

    reason = Reason.CLUSTER_ID_CONFLICT


class Rejected(AirwardenError):
    """The store understood and refused what was sent (400). The same again will not help."""

    reason = Reason.BACKEND_REJECTED
    retryable = False


class InvalidSettings(AirwardenError):
    """The backend's settings cannot be used: a CA bundle that is not there, a token file that is missing."""

    reason = Reason.BACKEND_MISCONFIGURED


class NotOwned(AirwardenError):
    """An object under our name belongs to somebody else."""

    reason = Reason.NOT_OWNED


class MapNotOwned(AirwardenError):
    """A ConfigMap under a name of ours belongs to somebody else."""

    reason = Reason.MAP_NOT_OWNED


class ServiceAccountTaken(AirwardenError):
    """The account belongs to another binding."""

    reason = Reason.SERVICE_ACCOUNT_TAKEN


class ServiceAccountNotFound(AirwardenError):
    """An External account is not there; only its owner makes it."""

    reason = Reason.SERVICE_ACCOUNT_NOT_FOUND
    retryable = False


class ServiceAccountNotAllowed(AirwardenError):
    """The owner of an External account has not labelled it for this binding."""

    reason = Reason.SERVICE_ACCOUNT_NOT_ALLOWED
    retryable = False


class ClusterFailed(AirwardenError):
    """The Kubernetes API did not do what was asked: no answer, throttled, or a fault of its own."""

    reason = Reason.CLUSTER_UNAVAILABLE


class ClusterForbidden(AirwardenError):
    """The operator's RBAC does not cover the request."""

    reason = Reason.CLUSTER_FORBIDDEN


class NamespaceTerminating(AirwardenError):
    """The namespace is being deleted, so nothing new can be made in it."""

    reason = Reason.NAMESPACE_TERMINATING


class ObjectGone(AirwardenError):
    """The object that a write was meant for is gone or was made anew; the write did not happen."""

    reason = Reason.CLUSTER_UNAVAILABLE


class ObjectRejected(AirwardenError):
    """The API server takes no such object, whichever version it is at: its CRD is another than the operator's."""

    reason = Reason.OBJECT_REJECTED


class RotationNotEnabled(AirwardenError):
    """The backend has no login for rotations, so nothing in its store is rotated."""

    reason = Reason.ROTATION_NOT_ENABLED
    retryable = False


class VersionMoved(AirwardenError):
    """The secret is no longer at the version that was looked at: nothing was written. Another look decides."""

    reason = Reason.VERSION_MOVED


class VersionGone(VersionMoved):
    """The store does not keep the version that was asked for any more: it was deleted, or newer ones took its place."""


class NotRotatable(AirwardenError):
    """The secret cannot be rotated as it stands, and trying again changes nothing. Nothing was written."""

    reason = Reason.NOT_ROTATABLE
    retryable = False


class FieldMissing(NotRotatable):
    """The secret has no field of that name; a rotation adds none."""

    reason = Reason.FIELD_MISSING


class FieldNotText(NotRotatable):
    """The field holds an object, which a value would put an end to."""

    reason = Reason.FIELD_NOT_TEXT


class NoConnectionURI(NotRotatable):
    """The field holds no connection URI with a user, so there is no password in it to replace."""

    reason = Reason.NO_CONNECTION_URI


class PasswordPolicyMissing(NotRotatable):
    """The store has no password policy of that name."""

    reason = Reason.PASSWORD_POLICY_MISSING


class CandidateTaken(NotRotatable):
    """What is staged under the rotation's name is for another key or field."""

    reason = Reason.CANDIDATE_TAKEN


class CandidateGone(NotRotatable):
    """The candidate of the run is staged no more."""

    reason = Reason.CANDIDATE_GONE


class TemplateMissing(AirwardenError):
    """The rotation namespace has no such template."""

    reason = Reason.TEMPLATE_MISSING
    retryable = False


class TemplateUnfit(AirwardenError):
    """The CronJob cannot be used as a template."""

    reason = Reason.TEMPLATE_UNFIT
    retryable = False


class JobNotOwned(AirwardenError):
    """There is a Job of the run's name that is not the run's."""

    reason = Reason.JOB_NOT_OWNED
    retryable = False


class NoVersions(NotRotatable):
    """The store keeps one version only: nothing tells whether somebody else wrote meanwhile."""

    reason = Reason.NO_VERSIONS


class DatabaseRoleAbsent(NotRotatable):
    """The store has no such database role or connection."""

    reason = Reason.DATABASE_ROLE_ABSENT


class DatabaseRefused(AirwardenError):
    """The store could not change the password in the database. What it serves stays as it was."""

    reason = Reason.DATABASE_REFUSED
