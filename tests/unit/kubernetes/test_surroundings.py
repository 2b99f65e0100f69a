"""What is asked of the API server to learn which bindings there are: within the right to list, and metadata only."""

from __future__ import annotations

from typing import Any

import pytest

from airwarden.providers.kubernetes.api import Absent, Json, KubernetesApi
from airwarden.providers.kubernetes.surroundings import SurroundingsReader


class Recording(KubernetesApi):
    """Gives the same list to every request, and remembers what was asked for in which form."""

    def __init__(self, *items: Json, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self._items = items
        self._error = error

    async def _request(self, method: str, path: str, *_: Any, accept: str = "application/json") -> Json:
        self.asked.append((f"{method} {path}", accept))
        if self._error is not None:
            raise self._error
        return {"items": list(self._items)}


async def test_bindings_are_listed_by_their_metadata_alone() -> None:
    api = Recording({"metadata": {"name": "a"}})
    assert [body["metadata"]["name"] async for body in SurroundingsReader(api).bindings()] == ["a"]
    ((asked, accept),) = api.asked
    assert asked.startswith("GET /apis/airwarden.dev/v1alpha1/airflowsecretbindings?limit=500")
    assert "PartialObjectMetadataList" in accept


@pytest.mark.parametrize("items", [(), ({"metadata": {"name": "billing"}},)])
async def test_one_binding_is_asked_for_by_a_list_that_only_it_can_be_in(items: tuple[Json, ...]) -> None:
    api = Recording(*items)
    assert await SurroundingsReader(api).has_binding("team", "billing") is bool(items)
    where = "/apis/airwarden.dev/v1alpha1/namespaces/team/airflowsecretbindings"
    assert [asked for asked, _ in api.asked] == [f"GET {where}?fieldSelector=metadata.name%3Dbilling"]


async def test_a_kind_that_is_not_served_is_no_proof_that_a_binding_is_gone() -> None:
    with pytest.raises(Absent):
        await SurroundingsReader(Recording(error=Absent("no such kind"))).has_binding("team", "billing")
