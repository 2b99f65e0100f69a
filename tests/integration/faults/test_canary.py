"""Fresh secrets are put everywhere the operator works, everything fails in every way, and no output holds them.

The operator runs at debug level. The same search finds each of them in a text that does hold it.
"""

from __future__ import annotations

import base64
import json
import secrets
from urllib.parse import quote, quote_plus

import pytest
import yaml

from integration.faults.placed import HEALED, TEAM, Placed
from integration.objects import secret
from integration.world import eventually
from plane.operator import AUDIENCE
from plane.proxy import Behaviour, Fate, Request, pass_all
from plane.vault_admin import write_secret


def forms(value: str) -> list[str]:
    """Return how a value looks plain, URL-coded, in JSON, and inside base64 text at any place."""
    found = [value, quote(value), quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]]
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"x" * before + value.encode()).decode()
            # What stands at the ends depends on the neighbours, so only the middle is looked for.
            found.append(text[4:-4])
    return found


def holders(haystack: dict[str, str], value: str) -> list[str]:
    """Return the names of the texts in which a value is found in any form."""
    return [name for name, text in haystack.items() if any(each in text for each in forms(value))]


@pytest.mark.parametrize("value", ["hvs." + "a1B2c3D4" * 4, "canary/with+every=kind of&sign%" + "x9" * 12])
def test_the_search_finds_a_value_in_every_form(value: str) -> None:
    shown = {
        "plain": f"before {value} after",
        "url": f"https://x/?token={quote(value, safe='')}",
        "form": f"token={quote_plus(value)}",
        "json": json.dumps({"a": value}),
        **{
            f"base64-{count}": base64.b64encode(b"p" * count + value.encode() + b"q" * 5).decode() for count in range(4)
        },
        **{f"urlsafe-{count}": base64.urlsafe_b64encode(b"p" * count + value.encode()).decode() for count in range(4)},
    }
    assert holders({**shown, "clean": "nothing here"}, value) == list(shown)


def always(fate: Fate) -> Behaviour:
    """Return a behaviour that does the same to every request."""
    return lambda _: fate


def output(placed: Placed) -> dict[str, str]:
    """Return everything that the operator lets out."""
    plane = placed.world.plane
    kinds = "asb,asbk,asr,serviceaccounts,events,configmaps"
    return {
        "log": placed.operator.log.read_text(),
        "metrics": placed.operator.metrics(),
        "objects": plane.kubectl("get", kinds, "-A", "-o", "json", "--show-managed-fields"),
        "described": plane.kubectl("describe", "asb,asbk,asr", "-A"),
    }


def vault_tokens(placed: Placed) -> set[str]:
    """Return every token that Vault gave the operator."""
    answers = [placed.vault.answers.get(each.number, b"") for each in placed.vault.requests]
    found = (json.loads(text).get("auth") for text in answers if text.startswith(b"{"))
    return {str(auth["client_token"]) for auth in found if auth}


def jwts(placed: Placed) -> set[str]:
    """Return every JWT that the operator sent to Vault."""
    logins = [each for each in placed.vault.requests if each.path.endswith("/login")]
    return {str(json.loads(each.body)["jwt"]) for each in logins}


def test_no_output_holds_a_secret_token_or_jwt_whatever_fails(placed: Placed) -> None:
    canary = f"canary-{secrets.token_urlsafe(32)}"
    placed.run()
    world = placed.world
    write_secret(world.plane, f"{TEAM}/connections/a", {"conn_uri": f"postgres://u:{canary}@db"})
    store = placed.backend(requests={"timeout": "1s"})
    bound = placed.binding(store)
    bound.wait_ready(HEALED)
    assert world.read(bound.login(), f"{TEAM}/connections/a")["conn_uri"].endswith(f"{canary}@db")

    for number, fate in enumerate((Fate.CUT, Fate.RESET, Fate.LOSE, Fate.TRUNCATE)):
        placed.vault.behaviour = always(fate)
        bound.edit(secrets=[secret(f"{TEAM}/connections/{number}", store.name, id="x")])
        bound.wait_refused("BackendUnreachable", HEALED)
        placed.vault.behaviour = pass_all
        bound.wait_ready(HEALED)

    def slow(_: Request) -> Fate:
        placed.vault.pause(3.0)
        return Fate.PASS

    placed.vault.behaviour = slow
    bound.edit(secrets=[secret(f"{TEAM}/connections/slow", store.name, id="x")])
    bound.wait_refused("BackendUnreachable", HEALED)
    placed.vault.behaviour = pass_all
    # An outage is told in the words in which it was first said: the next one begins when this one is over.
    bound.wait_ready(HEALED)
    world.plane.vault.seal()
    try:
        bound.edit(secrets=[secret(f"{TEAM}/connections/sealed", store.name, id="x")])
        bound.wait_refused("BackendSealed", HEALED)
    finally:
        world.plane.vault.unseal()
    bound.wait_ready(HEALED)
    world.write_role("airwarden", bound_service_account_names="nobody")
    refused = placed.backend()
    refused.wait_condition("Ready", "False", "BackendUnauthorized", HEALED)
    world.permit_namespaces()
    refused.wait_ready(HEALED)
    bound.delete()
    bound.wait_gone(HEALED)

    kubeconfig = yaml.safe_load(placed.kubeconfig.read_text())
    canaries = {
        "the secret": {canary},
        "Vault's tokens": vault_tokens(placed),
        "JWTs": jwts(placed) | {(placed.operator.tokens / AUDIENCE).read_text()},
        "the API server's token": {str(kubeconfig["users"][0]["user"]["token"])},
        "Vault's root token": {world.plane.vault_token},
    }
    assert all(canaries.values())
    assert len(canaries["Vault's tokens"]) >= 2
    shown = output(placed)
    eventually("the log has the failures", lambda: "BackendSealed" in placed.operator.log.read_text())
    assert all(len(text) > 100 for text in shown.values())
    for kind, values in canaries.items():
        for value in values:
            assert holders(shown, value) == [], f"{kind} got out"
            signature = value.rsplit(".", maxsplit=1)[-1]
            assert holders(shown, signature) == [], f"a part of {kind} got out"
