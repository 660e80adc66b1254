"""Two users never see each other's: by no id, no parameter, no method."""

from typing import Any

import pytest

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.answers import found, problem
from support.factories import begin, message

ATTEMPTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "", None, {}),
    ("GET", "", None, {"If-None-Match": '"1"'}),
    ("GET", "?view=full", None, {}),
    ("PUT", "", {"title": "mine"}, {}),
    ("PUT", "", {"messages": []}, {"If-Match": "*"}),
    ("PUT", "", {}, {"If-Match": '"1"'}),
    ("PATCH", "", {"metadata": {"a": None}}, {}),
    ("PATCH", "", {"title": "mine"}, {"If-Match": '"99"'}),
    ("POST", "/messages", message("mine"), {}),
    ("POST", "/messages", message("hers", id="known"), {"Prefer": "return=minimal"}),
    ("DELETE", "", None, {}),
    ("DELETE", "", None, {"If-Match": '"1"'}),
]


class TestOwnership:
    @pytest.mark.parametrize(("method", "suffix", "body", "headers"), ATTEMPTS)
    async def test_answers_a_stranger_as_if_nothing_existed(
        self,
        alice: HttpClient,
        bob: HttpClient,
        method: str,
        suffix: str,
        body: Any,
        headers: dict[str, str],
    ) -> None:
        hers = await begin(alice, title="A", metadata={"a": 1}, messages=[message(id="known")])
        bodies = []
        for conversation_id in (hers["id"], "507f1f77bcf86cd799439011"):
            path = f"/conversations/{conversation_id}{suffix}"
            answer = await bob.request(method, path, json=body, headers=headers)
            refused = await problem(answer, 404, "not_found")
            del refused["request_id"]
            bodies.append(refused)
        assert bodies[0] == bodies[1]
        assert await found(alice, hers["id"]) == hers

    async def test_limits_lists_and_counts(self, alice: HttpClient, bob: HttpClient) -> None:
        hers, his = await begin(alice, title="hers"), await begin(bob, title="his")
        for browser, own in ((alice, hers), (bob, his)):
            answer = await browser.get("/conversations")
            assert await answer.json() == [own]
            assert answer.headers["X-Total-Count"] == "1"
            assert await (await browser.get("/conversations/stats/count")).json() == {"count": 1}

    async def test_limits_the_deletion_of_all(self, alice: HttpClient, bob: HttpClient) -> None:
        hers = await begin(alice)
        assert (await (await bob.delete("/conversations")).json())["deleted_count"] == 0
        assert await found(alice, hers["id"]) == hers

    @pytest.mark.parametrize("role", [Role.ADMIN, Role.AUDITOR])
    async def test_is_not_overridden_by_a_role(
        self, alice: HttpClient, sign_in: SignIn, role: Role
    ) -> None:
        hers = await begin(alice)
        reader = await sign_in("reader", role=role)
        await problem(await reader.get(f"/conversations/{hers['id']}"), 404, "not_found")
        assert await (await reader.get("/conversations")).json() == []

    async def test_reveals_nothing_to_anonymous_callers(
        self, alice: HttpClient, http: HttpClient
    ) -> None:
        hers = await begin(alice)
        for method, suffix, body, headers in ATTEMPTS:
            path = f"/conversations/{hers['id']}{suffix}"
            answer = await http.request(method, path, json=body, headers=headers)
            await problem(answer, 401, "authentication_required")
        assert await found(alice, hers["id"]) == hers
