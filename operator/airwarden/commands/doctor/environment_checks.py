"""Checks of environments: what is not rendered, what is wrong with accounts, which isolation is missing. Pure."""

from collections.abc import Iterator

from airwarden.api.conditions import Condition
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.reasons import Reason
from airwarden.commands.doctor.facts import Facts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.domain.environment.components import declared
from airwarden.domain.logins import Account as AccountName

Said = Iterator[Finding | Unchecked]
UNBOUND = "unbound"


def environments(facts: Facts) -> Said:
    """Report environments that cannot be read or are not Ready, and what is wrong with the accounts that they name."""
    if isinstance(facts.environments, Unknown):
        yield Unchecked(Check.ENVIRONMENTS, "AirflowEnvironments", facts.environments.needs)
        return
    for name, complaint in facts.environments.unreadable.items():
        yield Finding(
            Check.ENVIRONMENTS,
            Severity.WARNING,
            f"environment {name}",
            f"does not hold to its schema: {complaint}",
            "apply it again as the message says; until then what is rendered stays as it is",
        )
    for each in facts.environments.items:
        yield from _conditions(each)
        for role, account in sorted(accounts_of(each).items()):
            yield from _account(facts, each, role, account)


def accounts_of(environment: AirflowEnvironment) -> dict[str, AccountName]:
    """Return the accounts that an environment names: of its components, and of tasks that no binding names."""
    namespace, spec = environment.metadata.namespace, environment.spec
    found = {name: (namespace, account) for name, account in declared(spec.components).items()}
    if spec.unbound is not None:
        found[UNBOUND] = (spec.unbound.namespace, spec.unbound.service_account_name)
    return found


def _conditions(environment: AirflowEnvironment) -> Said:
    status = environment.status
    if status is None:
        yield _finding(
            environment, Severity.WARNING, "was not looked at yet", "see whether the operator runs, and its log"
        )
        return
    severities = {"Ready": Severity.WARNING, "IdentityEnforced": Severity.WARNING, "Isolated": Severity.HINT}
    for kind, severity in severities.items():
        found = status.condition(kind)
        if found is not None and found.status == "False":
            yield _finding(environment, severity, f"has {kind}=False, {found.reason}: {found.message}", _next(found))
    for each in status.rendered:
        if each.reason == Reason.MAP_FILLS_UP.word:
            problem = f"the map of {each.content} has more than four fifths of what fits into a ConfigMap"
            yield _finding(environment, Severity.HINT, problem, Reason.MAP_FILLS_UP.value.next_step)
    if status.pods.older:
        yield _finding(
            environment,
            Severity.HINT,
            f"{status.pods.older} task pod(s) come from a scheduler that knew an older rendering",
            "restart the scheduler, so that it takes its variables anew",
        )


def _account(facts: Facts, environment: AirflowEnvironment, role: str, account: AccountName) -> Said:
    what = f"service account {account[0]}/{account[1]} of {'tasks without a binding' if role == UNBOUND else role}"
    there = facts.named_accounts.get(account)
    if isinstance(there, Unknown):
        yield Unchecked(Check.ENVIRONMENTS, what, there.needs)
    elif there is False:
        yield _finding(environment, Severity.WARNING, f"{what} is not there", "create it, or correct the environment")
    if account in facts.managed:
        yield _finding(
            environment,
            Severity.DANGER,
            f"{what} is also the account of a binding, so it reads what that binding may",
            "name another account in one of the two",
        )
    if role != UNBOUND or isinstance(facts.role_grants, Unknown):
        return
    for grant in facts.role_grants:
        if account in grant.accounts:
            yield _finding(
                environment,
                Severity.WARNING,
                f"{what} must have no rights, and {grant.object} gives it {grant.role}",
                "take the account out of the subjects",
            )


def _next(condition: Condition) -> str:
    known = next((each.value for each in Reason if each.word == condition.reason), None)
    return known.next_step if known is not None else "kubectl describe afe says more"


def _finding(environment: AirflowEnvironment, severity: Severity, problem: str, next_step: str) -> Finding:
    name = f"environment {environment.metadata.namespace}/{environment.metadata.name}"
    return Finding(Check.ENVIRONMENTS, severity, name, problem, next_step)
