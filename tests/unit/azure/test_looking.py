"""A look at a key vault follows a list's pages, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.rest import HttpRequest

from airwarden.domain.errors import InvalidSettings, StoreFailed
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.looking import Look
from unit.azure.making import PLACE

MANAGER = "https://management.azure.com"


class Pages:
    """Answers each request with the next page, and remembers where it was sent."""

    connection = SimpleNamespace(resource_manager=MANAGER, authority="https://login.example")

    def __init__(self, *links: str) -> None:
        self._links = list(links)
        self.asked: list[str] = []

    async def send(self, _side: str, request: HttpRequest, _doing: str) -> Mapping[str, Any]:
        self.asked.append(request.url)
        role = {"name": f"ROLE-{len(self.asked)}", "properties": {"roleName": "r", "permissions": []}}
        return {"value": [role], "nextLink": self._links.pop(0)} if self._links else {"value": [role]}

    async def send_to(self, _service: str, request: HttpRequest, _doing: str) -> Mapping[str, Any]:
        self.asked.append(request.url)
        return {"error": "none"}


def look(pages: Pages) -> Look:
    return Look(cast("Arm", pages), PLACE)


async def test_roles_of_all_pages_at_the_vault_and_at_the_identities_are_known() -> None:
    pages = Pages(f"{MANAGER}/next")
    assert sorted(await look(pages).definitions()) == ["role-1", "role-2", "role-3"]
    assert pages.asked[1] == f"{MANAGER}/next"
    assert "resourceGroups/ids/" in pages.asked[2]


async def test_an_operator_that_the_directory_does_not_name_is_nobody() -> None:
    pages = Pages()
    pages.connection = SimpleNamespace(resource_manager=MANAGER, authority="https://login.microsoftonline.com")
    with pytest.raises(StoreFailed, match="does not say"):
        await look(pages).principal_of("client")
    assert pages.asked == ["https://graph.microsoft.com/v1.0/servicePrincipals(appId='client')?$select=id"]
    with pytest.raises(InvalidSettings, match="directory is not known"):
        await look(Pages()).principal_of("client")


@pytest.mark.parametrize("elsewhere", ["https://management.azure.com.evil/next", "https://other/next"])
async def test_a_page_that_is_elsewhere_gets_no_token(elsewhere: str) -> None:
    pages = Pages(elsewhere)
    with pytest.raises(StoreFailed, match="is said to be elsewhere"):
        await look(pages).definitions()
    assert len(pages.asked) == 1
