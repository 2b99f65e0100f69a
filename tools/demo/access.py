"""Act 4: who can read what, asked by Airflow's own VaultBackend under each account.

Called by `demo.__main__` after the bindings are Ready.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from demo.stage import RECIPIENT, REPORTS_DB, WAREHOUSE, Secret, Stage
from demo.terminal import DemoFailed
from plane import quickstart
from plane.airflow import Outcome

DENIED = "permission denied"
NOT_AUTHORIZED = "service account name not authorized"
NO_ROLE = "invalid role name"
UNBOUND = "intern"
AT_ONCE = 2  # each is a whole Airflow that imports itself
_ROW = "{:<11} {:<11} {:<27} {}"


@dataclass(frozen=True)
class Attempt:
    """One lookup, and the refusal that is due; none is due when it is empty."""

    account: str
    binding: str
    secret: Secret
    refusal: str = ""
    jwt: str = ""
    """A token from before, when the account is gone by now."""


ATTEMPTS = (
    Attempt("billing", "billing", WAREHOUSE),
    Attempt("billing", "billing", REPORTS_DB, DENIED),
    Attempt("reporting", "reporting", REPORTS_DB),
    Attempt("reporting", "reporting", RECIPIENT),
    Attempt("reporting", "reporting", WAREHOUSE, DENIED),
    Attempt(UNBOUND, "billing", WAREHOUSE, NOT_AUTHORIZED),
    Attempt(UNBOUND, "reporting", REPORTS_DB, NOT_AUTHORIZED),
)


def read_as_airflow(stage: Stage) -> None:
    """Show what bound and unbound accounts get."""
    terminal = stage.terminal
    terminal.say("An account that no binding names, made by hand, plays the one who tries:")
    terminal.run(f"kubectl create serviceaccount {UNBOUND} -n {quickstart.NAMESPACE}")
    terminal.say(
        "\nApache Airflow's VaultBackend, as a task runs it: a process, a token of the account, a Vault role.\n"
        f"The status of a binding has its role: {', '.join(stage.roles.values())}.\n"
    )
    outcomes = try_all(stage, ATTEMPTS)
    words = sorted({each.airflow_says for each in outcomes if not each.found})
    terminal.say(
        "\nEach value read was compared with the stored one by digest. The causes are Vault's own words, taken from\n"
        f"under Airflow's exception; what a task's log shows of all of them is: {' / '.join(words)}"
    )


def try_all(stage: Stage, attempts: tuple[Attempt, ...]) -> list[Outcome]:
    """Make each attempt and print a table; the first that goes otherwise fails the demo."""

    def make(attempt: Attempt) -> Outcome:
        return stage.look_up(attempt.jwt or stage.jwt(attempt.account), attempt.binding, attempt.secret)

    stage.terminal.show(_ROW.format("ACCOUNT", "ROLE OF", "ASKS FOR", "ANSWER"))
    outcomes = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for attempt, outcome in zip(attempts, pool.map(make, attempts), strict=True):
            asked = str(attempt.secret)
            stage.terminal.show(_ROW.format(attempt.account, attempt.binding, asked, _answer(outcome)))
            _check(attempt, outcome)
            outcomes.append(outcome)
    return outcomes


def _answer(outcome: Outcome) -> str:
    if not outcome.found:
        return f"refused: {outcome.cause}"
    return f"read: login {outcome.login} at {outcome.host}" if outcome.login else "read"


def _check(attempt: Attempt, outcome: Outcome) -> None:
    due = attempt.refusal
    if due and outcome.found:
        raise DemoFailed(
            f"{attempt.account} could read {attempt.secret}, which must be refused",
            "this is a hole: report it, with the policy and the role from Vault",
        )
    if due and due not in outcome.cause:
        raise DemoFailed(
            f"the refusal should say `{due}` and says `{outcome.cause}` ({outcome.request})",
            "it may be refused for another reason than the one shown: look at Vault's answer above",
        )
    if not due and not (outcome.found and outcome.value_as_expected):
        raise DemoFailed(
            f"{attempt.account} could not read {attempt.secret}: {outcome.cause or 'another value came back'}",
            "run make up and look at `kubectl describe asb` of the binding and at its role and policy in Vault",
        )
