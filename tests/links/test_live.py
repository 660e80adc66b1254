"""Links that follow a conversation, for users who are signed in."""

from typing import Any

import pytest
from aiohttp import ClientResponse

from chatvault.links.viewing import opening as link_opening
from chatvault.links.viewing import service as viewing
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, message
from support.links import link_to, links_of, open_link, shown, words

LIVE = {"mode": "live"}


async def fork_of(http: HttpClient, token: str) -> ClientResponse:
    return await http.post(f"/shared/{token}/fork", json={})


class TestView:
    async def test_follows_the_conversation(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversation = await begin(alice, title="Then", messages=[message("a", id="a")])
        made = await link_to(alice, conversation, **LIVE)
        path = f"/conversations/{conversation['id']}"
        await alice.patch(f"{path}/messages/a", json={"content": "A"})
        await alice.post(f"{path}/messages", json=message("b"))
        await alice.patch(path, json={"title": "Now"})

        page = await shown(bob, made["token"])

        assert (page["mode"], page["title"], page["total"]) == ("live", "Now", 2)
        assert [each["content"] for each in page["messages"]] == ["A", "b"]
        assert await database.link_parts.count_documents({}) == 0
        [listed] = await links_of(alice, conversation)
        assert (listed["mode"], listed["messages"], listed["views"]) == ("live", None, 1)

    async def test_needs_a_session_and_opens_nothing_else(
        self, alice: HttpClient, bob: HttpClient, http: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[message("a", id="a")])
        made = await link_to(alice, conversation, **LIVE)

        await problem(await open_link(http, made["token"]), 403, "link_sign_in_required")

        await shown(bob, made["token"])
        for path in ("", "/messages", "/links", "/notes"):
            refused = await bob.get(f"/conversations/{conversation['id']}{path}")
            assert refused.status == 404

    async def test_has_nothing_that_was_not_asked_for(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        thought = [{"type": "thinking", "text": "THOUGHT"}, {"type": "text", "text": "said"}]
        conversation = await begin(
            alice,
            system_prompt="PROMPT",
            tags=["TAGGED"],
            metadata={"own": "METADATA"},
            messages=[
                message("SYSTEM", "system"),
                message("said", "assistant", parts=thought, model="MODEL"),
                message("HIDDEN", hidden=True),
            ],
        )
        plain = await link_to(alice, conversation, **LIVE)
        full = await link_to(alice, conversation, **LIVE, include=["thinking", "system_prompt"])

        text = await (await open_link(bob, plain["token"])).text()
        for word in ("PROMPT", "TAGGED", "METADATA", "SYSTEM", "THOUGHT", "MODEL", "HIDDEN"):
            assert word not in text
        assert conversation["id"] not in text
        more = await (await open_link(bob, full["token"])).text()
        assert all(word in more for word in ("PROMPT", "SYSTEM", "THOUGHT", "said"))

    async def test_comes_in_pages_that_stay(self, alice: HttpClient, bob: HttpClient) -> None:
        many = [message(str(number), id=f"m{number}") for number in range(230)]
        conversation = await begin(alice, messages=many)
        made = await link_to(alice, conversation, **LIVE)
        assert await words(bob, made["token"]) == [str(number) for number in range(230)]

        first = await shown(bob, made["token"])
        await alice.delete(f"/conversations/{conversation['id']}/messages/m3")
        second = await shown(bob, made["token"], page=first["next"])

        assert second["messages"][0]["content"] == "100"

    async def test_knows_the_password(self, alice: HttpClient, bob: HttpClient) -> None:
        made = await link_to(alice, await begin(alice), **LIVE, password="hunter's moon")

        await problem(await open_link(bob, made["token"]), 403, "link_password_required")
        answer = await open_link(bob, made["token"], password="hunter's moon")
        assert (await answer.json())["link_pass"]


class TestEnd:
    @pytest.mark.parametrize("how", ["revoked", "in the trash", "deleted"])
    async def test_comes_at_once(self, alice: HttpClient, bob: HttpClient, how: str) -> None:
        conversation = await begin(alice)
        made = await link_to(alice, conversation, **LIVE)
        path = f"/conversations/{conversation['id']}"
        ends = {
            "revoked": f"/links/{made['id']}",
            "in the trash": path,
            "deleted": f"{path}?permanent=true",
        }
        assert (await alice.delete(ends[how])).status == 204

        await problem(await open_link(bob, made["token"]), 404, "not_found")

    async def test_is_between_finding_the_link_and_reading(
        self, alice: HttpClient, bob: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        conversation = await begin(alice)
        made = await link_to(alice, conversation, **LIVE)
        opening = link_opening.open_link

        async def open_and_delete(*given: Any) -> Any:
            opened = await opening(*given)
            await alice.delete(f"/conversations/{conversation['id']}")
            return opened

        monkeypatch.setattr(viewing, "open_link", open_and_delete)

        await problem(await open_link(bob, made["token"]), 404, "not_found")


class TestFork:
    async def test_copies_what_is_shown_now(self, alice: HttpClient, bob: HttpClient) -> None:
        many = [message(str(number)) for number in range(120)]
        conversation = await begin(alice, messages=many)
        made = await link_to(alice, conversation, **LIVE)
        await alice.post(f"/conversations/{conversation['id']}/messages", json=message("later"))

        answer = await fork_of(bob, made["token"])

        assert answer.status == 201, await answer.text()
        assert (await answer.json())["total_messages"] == 121

    async def test_is_limited(
        self, alice: HttpClient, bob: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(viewing, "MAX_MESSAGES", 1)
        conversation = await begin(alice, messages=[message("a"), message("b")])
        made = await link_to(alice, conversation, **LIVE)

        await problem(await fork_of(bob, made["token"]), 413, "link_too_long")
