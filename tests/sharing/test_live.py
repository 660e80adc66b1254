"""Live events of conversations that are shared: from the grant on, and not after it has ended."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from chatvault.fields import format_instant, now
from chatvault.live.guests import Guests
from chatvault.live.routes import LIVE_DEPS
from conftest import HttpClient, SignIn
from support.factories import begin, message
from support.fake_model import FakeModel, ScriptedAnswer
from support.following import Follower, hear, hear_until
from support.granting import at, grant, revoke
from support.model_fixtures import settings
from support.talking import begin_stream, settled, until

__all__ = ["settings"]
FIRST = message("Hello", id="first")


async def say(browser: HttpClient, conversation: dict[str, Any], content: str) -> None:
    answer = await browser.post(at(conversation, "/messages"), json=message(content))
    assert answer.status == 200, await answer.text()


async def mark(browser: HttpClient) -> None:
    """Cause an event of one's own, which comes after all that happened before."""
    await browser.patch("/users/me/preferences", json={"theme": "dark"})


async def told(follower: Follower) -> list[dict[str, Any]]:
    """Return the frames up to the mark."""
    found = []
    while (frame := await follower.next())["type"] != "preferences.updated":
        found.append(frame)
    return found


def words_of(frames: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for frame in frames for each in frame.get("messages", ())]


def guests_of(app: Any) -> Guests:
    return app[LIVE_DEPS].hub.guests  # type: ignore[no-any-return]  # the app's keys are typed


class TestGuest:
    async def test_gets_what_happens_from_the_grant_on(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        follower = await Follower(bob).open()
        await say(alice, conversation, "before")
        soon = format_instant(now() + timedelta(hours=1))
        given = await grant(alice, conversation, "bob", "editor", expires_at=soon)
        await say(alice, conversation, "after")
        await alice.patch(at(conversation, "/messages/first"), json={"content": "edited"})
        await say(bob, conversation, "his")
        await mark(bob)

        frames = await told(follower)

        assert [each["type"] for each in frames] == [
            "conversation.shared",
            "message.appended",
            "message.edited",
            "message.appended",
        ]
        assert words_of(frames) == ["after", "edited", "his"]
        assert {each["owner_id"] for each in frames} == {conversation["user_id"]}
        assert (frames[0]["role"], frames[0]["grantee_id"]) == ("editor", given["user_id"])
        follower.close()

    async def test_gets_what_was_shared_before_it_connected(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")
        follower, hers = await Follower(bob).open(), await Follower(alice).open()

        await say(alice, conversation, "Hi")

        assert words_of([await follower.until("message.appended")]) == ["Hi"]
        frame = await hers.until("message.appended")
        assert words_of([frame]) == ["Hi"]
        assert "owner_id" not in frame
        follower.close()
        hers.close()

    async def test_does_not_see_how_the_owner_keeps_it(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()

        await alice.patch(at(conversation), json={"tags": ["secret"]})
        await alice.patch(at(conversation), json={"pinned": True})
        await alice.patch(at(conversation), json={"title": "new", "tags": []})
        await mark(bob)

        frames = await told(follower)
        assert [each["fields"] for each in frames] == [["title"]]
        follower.close()

    async def test_resumes_exactly(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()
        await say(alice, conversation, "one")
        await follower.until("message.appended")
        follower.close()
        await begin(bob, title="his own")
        await say(alice, conversation, "two")
        await begin(alice, title="not shared")
        await say(alice, conversation, "three")
        await mark(bob)

        again = await Follower(bob).open(after=str(follower.last_id))
        frames = await told(again)

        again.close()
        assert words_of(frames) == ["two", "three"]
        assert frames[0]["type"] == "conversation.created"
        ids = [each["id"] for each in frames]
        assert ids == sorted(ids)


class TestNotes:
    async def test_reach_the_owner_and_guests(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        carol, conversation = await sign_in("carol"), await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob", "commenter")
        await grant(alice, conversation, "carol", "viewer")
        followers = [await Follower(each).open() for each in (alice, bob, carol)]
        note = {"message_id": "first", "content": "Is this so?"}
        once = {"Idempotency-Key": "once"}
        made = await (await bob.post(at(conversation, "/notes"), json=note, headers=once)).json()
        # A repeat changes nothing, and nobody hears of it.
        await bob.post(at(conversation, "/notes"), json=note, headers=once)
        path = at(conversation, f"/notes/{made['id']}")
        await bob.patch(path, json={"content": "It is."})
        await alice.delete(path)

        for follower in followers:
            told = [await follower.next() for _ in range(3)]
            kinds = [(each["type"], each["note_id"]) for each in told]
            assert kinds == [
                (f"note.{verb}", made["id"]) for verb in ("created", "updated", "deleted")
            ]
            assert {each["version"] for each in told} == {1}
            owners = {each.get("owner_id") for each in told}
            assert owners == ({None} if follower is followers[0] else {conversation["user_id"]})
            assert "so?" not in str(told)
            follower.close()

    async def test_do_not_reach_a_guest_whose_grant_has_ended(
        self, alice: HttpClient, bob: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob", "commenter")
        follower = await Follower(bob).open()
        await revoke(alice, conversation, "bob")
        note = {"message_id": "first", "content": "secret"}
        await alice.post(at(conversation, "/notes"), json=note)
        await mark(bob)

        assert [each["type"] for each in await told(follower)] == ["conversation.unshared"]
        follower.close()


class TestEnd:
    async def test_of_the_grant_ends_it_at_once_in_every_process(
        self, alice: HttpClient, bob: HttpClient, elsewhere: HttpClient
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()

        await revoke(elsewhere, conversation, "bob")
        await say(alice, conversation, "secret")
        await mark(bob)

        frames = await told(follower)
        assert [each["type"] for each in frames] == ["conversation.unshared"]
        follower.close()

    async def test_is_not_waited_for_in_the_same_process(
        self, alice: HttpClient, bob: HttpClient, app: Any, constants: pytest.MonkeyPatch
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        given = await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()
        guests, bobs = guests_of(app), ObjectId(given["user_id"])
        # The log tells nothing of it.
        constants.setattr(Guests, "apply", lambda *_: set())

        before = guests.find_access(bobs, conversation["id"])
        await revoke(alice, conversation, "bob")

        assert before is not None
        assert guests.find_access(bobs, conversation["id"]) is None
        assert guests.list_holders(conversation["id"]) == []
        follower.close()

    async def test_comes_with_the_time(self, alice: HttpClient, bob: HttpClient, app: Any) -> None:
        conversation = await begin(alice, messages=[FIRST])
        soon = format_instant(now() + timedelta(hours=1))
        given = await grant(alice, conversation, "bob", expires_at=soon)
        follower = await Follower(bob).open()
        held = guests_of(app)._users[ObjectId(given["user_id"])]  # nobody can wait
        [by_group] = held.grants.values()
        by_group[None] = {**by_group[None], "expires_at": now()}

        await say(alice, conversation, "secret")
        await mark(bob)

        assert await told(follower) == []
        follower.close()

    async def test_leaves_nothing_to_resume(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice, messages=[FIRST])
        await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()
        follower.close()
        await say(alice, conversation, "secret")
        await revoke(alice, conversation, "bob")
        await mark(bob)

        again = await Follower(bob).open(after=str(follower.last_id))

        assert [each["type"] for each in await told(again)] == ["conversation.unshared"]
        again.close()

    async def test_while_messages_are_read_shows_nothing(
        self, alice: HttpClient, bob: HttpClient, app: Any, constants: pytest.MonkeyPatch
    ) -> None:
        conversation = await begin(alice, messages=[FIRST])
        given = await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()
        renderer, guests = app[LIVE_DEPS].renderer, guests_of(app)
        read = renderer._read  # the grant ends in its midst

        async def end_meanwhile(*args: Any) -> Any:
            found = await read(*args)
            guests.end(ObjectId(conversation["id"]), None, [ObjectId(given["user_id"])])
            return found

        constants.setattr(renderer, "_read", end_meanwhile, raising=False)
        await say(alice, conversation, "secret")
        await mark(bob)

        assert await told(follower) == []
        follower.close()


class TestStranger:
    async def test_gets_nothing_of_others(
        self, alice: HttpClient, bob: HttpClient, sign_in: SignIn
    ) -> None:
        carol = await sign_in("carol")
        shared = await begin(alice, messages=[FIRST])
        hidden = await begin(alice, messages=[FIRST])
        await grant(alice, shared, "bob")
        his, theirs = await Follower(bob).open(), await Follower(carol).open()

        for conversation in (shared, hidden):
            await say(alice, conversation, "words")
        await grant(alice, shared, "bob", "editor")
        for each in (bob, carol):
            await mark(each)

        assert {each["conversation_id"] for each in await told(his)} == {shared["id"]}
        assert await told(theirs) == []
        his.close()
        theirs.close()

    async def test_cannot_ask_for_replies(self, alice: HttpClient, bob: HttpClient) -> None:
        conversation = await begin(alice, messages=[FIRST])
        async with bob.ws_connect("/ws") as socket:
            await hear_until(socket, "ready")
            await socket.send_json({"subscribe": [conversation["id"]], "ping": 1})
            frame = await hear_until(socket, "pong")
        assert frame == {"type": "pong", "ping": 1}


class TestReplies:
    async def test_come_piece_by_piece_until_the_grant_ends(
        self, alice: HttpClient, bob: HttpClient, fake_model: FakeModel
    ) -> None:
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=("One", " two", " three"), gate=gate))
        made = await begin(alice, title="T")
        await grant(alice, made, "bob")
        async with bob.ws_connect("/ws") as socket:
            await hear_until(socket, "ready")
            await socket.send_json({"subscribe": [made["id"]]})
            answer = await begin_stream(alice, made)
            piece = await hear_until(socket, "reply.event")
            assert piece["owner_id"] == made["user_id"]
            await revoke(alice, made, "bob")
            await hear_until(socket, "conversation.unshared")
            gate.set()
            await settled(alice, made)
            answer.close()
            await socket.send_json({"ping": 1})
            assert (await hear(socket))["type"] == "pong"


class TestGap:
    async def test_reads_the_grants_again(
        self, alice: HttpClient, bob: HttpClient, app: Any, database: Any
    ) -> None:
        kept, ended = await begin(alice, messages=[FIRST]), await begin(alice, messages=[FIRST])
        for conversation in (kept, ended):
            given = await grant(alice, conversation, "bob")
        follower = await Follower(bob).open()
        guests, bobs = guests_of(app), ObjectId(given["user_id"])
        await database.grants.delete_one({"conversation_id": ObjectId(ended["id"])})

        await guests.reload()

        assert guests.find_access(bobs, kept["id"]) is not None
        assert guests.find_access(bobs, ended["id"]) is None
        follower.close()
        await until(lambda: not guests.list_holders(kept["id"]))
