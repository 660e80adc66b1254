"""Who has to do with a conversation: its owner, its guests, and who wrote in it."""

from typing import Any

from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.granting import at, grant, revoke

FIRST = message("Hello", id="first")


async def _people(browser: HttpClient, conversation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the caller's own role, and the roles of all by their names."""
    answer = await browser.get(at(conversation, "/people"))
    assert answer.status == 200, await answer.text()
    found = await answer.json()
    return found["role"], {each["username"]: each["role"] for each in found["people"]}


class TestPeople:
    async def test_names_viewers_to_the_owner_and_to_themselves(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        carol = await sign_in("carol")
        await grant(alice, conversation, "bob")
        await grant(alice, conversation, "carol", "editor")

        everybody = {"alice": "owner", "bob": "viewer", "carol": "editor"}
        assert await _people(alice, conversation) == ("owner", everybody)
        assert await _people(bob, conversation) == ("viewer", everybody)
        writers = {"alice": "owner", "carol": "editor"}
        assert await _people(carol, conversation) == ("editor", writers)

    async def test_names_who_wrote_after_their_grant_ended(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        carol = await sign_in("carol")
        await grant(alice, conversation, "bob", "editor")
        await grant(alice, conversation, "carol", "commenter")
        assert (await bob.post(at(conversation, "/messages"), json=message("Mine"))).ok
        note = {"message_id": "first", "content": "Carol's"}
        assert (await carol.post(at(conversation, "/notes"), json=note)).status == 201
        await revoke(alice, conversation, "bob")
        await revoke(alice, conversation, "carol")

        written = {"alice": "owner", "bob": None, "carol": None}
        assert await _people(alice, conversation) == ("owner", written)
        assert (await carol.get(at(conversation, "/people"))).status == 404

    async def test_says_whether_the_guest_may_ask_agents(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        for agents in (False, True):
            await grant(alice, conversation, "bob", "editor", agents=agents)
            found = await (await bob.get(at(conversation, "/people"))).json()
            assert (found["role"], found["agents"]) == ("editor", agents)


class TestHints:
    async def test_say_whether_grants_and_notes_may_be_there(self, alice: HttpClient) -> None:
        conversation = await begin(alice, messages=[FIRST])
        assert not {"shared", "noted"} & conversation.keys()
        await alice.post(
            at(conversation, "/notes"), json={"message_id": "first", "content": "Mine"}
        )

        [found] = await (await alice.get("/conversations")).json()
        assert found["noted"]
        assert "shared" not in found
