"""Act 5: a wish outside the guardrail, a guardrail that tightens, and a binding that goes.

Called by `demo.__main__` last.
"""

from __future__ import annotations

import time

from demo.access import NO_ROLE, Attempt, try_all
from demo.stage import REPORTS_DB, WAREHOUSE, Stage
from demo.terminal import DemoFailed
from plane import quickstart
from plane.errors import PlaneHTTPError
from plane.vault_admin import login, read_secret
from plane.waiting import wait_for

SOON = 10.0
NARROWER = '[{"op":"replace","path":"/spec/allow/0/keyPrefixes","value":["{namespace}/connections/"]}]'
_NS = quickstart.NAMESPACE


def refuse_a_wish(stage: Stage) -> None:
    """Show a binding whose key no rule admits."""
    terminal = stage.terminal
    terminal.say("A third binding asks for a key of another namespace:")
    terminal.run("kubectl apply -f examples/quickstart/refused/")
    terminal.run(f"kubectl wait --for=condition=Ready=False asb/curious -n {_NS} --timeout=30s")
    terminal.run(f"kubectl get asb -n {_NS}")
    _show_why(stage, "curious", "KeyNotAllowed", "rule own-tree allows")


def tighten(stage: Stage) -> None:
    """Narrow the backend's rule, and time how long a live Vault token still reads."""
    terminal = stage.terminal
    token = login(stage.plane, stage.role("reporting"), stage.jwt("reporting"))
    if not _reads(stage, token, REPORTS_DB.key):
        raise DemoFailed("reporting cannot read its connection before the rule is tightened", "run make demo again")
    terminal.say(
        "\nThe platform team narrows the rule: keys below {namespace}/connections/ only. Billing's key is there,\n"
        "reporting's are not. A Vault token of reporting, logged in before, reads on meanwhile:"
    )
    terminal.run(f"kubectl patch asbk vault --type=json -p '{NARROWER}'")
    began = time.monotonic()
    wait_for("reporting's live token is refused", lambda: not _reads(stage, token, REPORTS_DB.key), SOON)
    terminal.say(f"Its next read was refused {time.monotonic() - began:.1f} s after the patch.")
    terminal.run(f"kubectl wait --for=condition=Ready=False asb/reporting -n {_NS} --timeout=30s")
    terminal.run(f"kubectl get asb -n {_NS}")
    _show_why(stage, "reporting", "KeyNotAllowed", "rule own-tree allows")
    terminal.say()
    before = (Attempt("reporting", "reporting", REPORTS_DB, NO_ROLE), Attempt("billing", "billing", WAREHOUSE))
    try_all(stage, before)


def delete(stage: Stage) -> None:
    """Delete the other binding; its policy, its role and its account go with it."""
    terminal = stage.terminal
    jwt = stage.jwt("billing")
    token = login(stage.plane, stage.role("billing"), jwt)
    terminal.say("\nThe other binding is deleted. The command returns when its access is gone:")
    terminal.run(f"kubectl delete asb billing -n {_NS} --timeout=30s")
    policies = terminal.run("vault policy list")
    roles = terminal.run("vault list auth/kubernetes/role")
    accounts = terminal.run(f"kubectl get serviceaccounts -n {_NS}")
    for what, text in (("policy", policies), ("role", roles)):
        if stage.role("billing") in text:
            raise DemoFailed(f"the {what} {stage.role('billing')} is still in Vault", "report it with the lines above")
    if "billing" in accounts:
        raise DemoFailed("the service account billing is still there", "report it with the lines above")
    if _reads(stage, token, WAREHOUSE.key):
        raise DemoFailed("a Vault token from before the deletion still reads", "report it: the policy must cut it off")
    terminal.say("\nNeither a Vault token from before nor a new login with the old account's token helps:")
    try_all(stage, (Attempt("billing", "billing", WAREHOUSE, NO_ROLE, jwt),))


def _show_why(stage: Stage, binding: str, reason: str, words: str) -> None:
    condition = stage.condition(binding)
    stage.terminal.run(f"kubectl events -n {_NS} --for=asb/{binding}")
    if condition.get("reason") != reason or words not in condition.get("message", ""):
        raise DemoFailed(
            f"the status of {binding} does not say why: {condition}",
            f"it should have reason {reason} and name the rule and what it allows",
        )


def _reads(stage: Stage, token: str, key: str) -> bool:
    try:
        read_secret(stage.plane, key, token=token)
    except PlaneHTTPError as error:
        if error.status == 403:
            return False
        raise
    return True
