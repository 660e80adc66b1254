"""Idempotency-Key on every POST but those under /auth: done once, and answered again the same."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr

from chatvault.external import Provider
from chatvault.operations import ROUTES
from chatvault.replies.routes import REPLY_DEPS
from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import problem
from support.exports import exported
from support.factories import begin, message, settings_for
from support.fake_model import FakeModel, ScriptedAnswer
from support.operations import make_batch, make_import
from support.talking import ask, path_of, said, settled, until

KEY = {"Idempotency-Key": "once"}
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
POSTS = [
    operation
    for routes in ROUTES
    for operation in routes
    if operation.method == "POST" and not operation.path.startswith("/auth/")
]
# To each its body, and another one; those that need none are given one as well.
BODIES: dict[str, tuple[Any, Any]] = {
    "/agents": ({"name": "Helper"}, {"name": "Other"}),
    "/conversations": ({"messages": [message("a")]}, {"messages": [message("b")]}),
    "/conversations/{conversation_id}/archive": ({"archived": True}, {"archived": False}),
    "/conversations/{conversation_id}/fork": ({}, {"title": "Other"}),
    "/conversations/{conversation_id}/restore": (None, {}),
    "/conversations:batch": (
        {"action": "tag", "tags": ["new"], "ids": ["0" * 24]},
        {"action": "tag", "tags": ["other"], "ids": ["0" * 24]},
    ),
    "/batches/{batch_id}/cancel": (None, {}),
    "/templates": ({"name": "Letter"}, {"name": "Other"}),
    "/groups": ({"name": "Team"}, {"name": "Other"}),
    "/categories": ({"name": "Work"}, {"name": "Other"}),
    "/tags/rename": ({"tag": "old", "to": "new"}, {"tag": "old", "to": "other"}),
    "/tags/merge": ({"tags": ["old"], "into": "new"}, {"tags": ["old"], "into": "other"}),
    "/conversations/{conversation_id}/messages": (message("a"), message("b")),
    "/conversations/{conversation_id}/notes": (
        {"message_id": "first-message", "content": "a"},
        {"message_id": "first-message", "content": "b"},
    ),
    "/conversations/{conversation_id}/messages:batch": (
        {"messages": [message("a"), message("b")]},
        {"messages": [message("a")]},
    ),
    "/conversations/{conversation_id}/replies": ({"content": "Hello"}, {"content": "Other"}),
    "/conversations/{conversation_id}/replies/{reply_id}/cancel": (None, {}),
    "/conversations/{conversation_id}/summary": (None, {}),
    "/imports": (
        [exported(1) | {"title": "Hello"}, exported(2)],
        [exported(1)],
    ),
    "/imports/{import_id}/cancel": (None, {}),
    "/chat/completions": (HELLO, {**HELLO, "seed": 1}),
    "/v1/chat/completions": (HELLO, {**HELLO, "seed": 1}),
}
REPEATS = "tests/commands/test_repeats.py"
ELSEWHERE = {
    # Its body is a file.
    "/conversations/{conversation_id}/attachments": "tests/attachments/test_attachments.py",
    # It goes on in the background.
    "/exports": "tests/exporting/test_jobs.py",
    "/batches/{batch_id}/undo": "tests/batches/test_batches.py",
    # For auditors alone.
    "/admin/audit-logs/verifications": "tests/audit/test_verifications.py",
    "/admin/holds": "tests/holds/test_holds.py",
    # For admins alone.
    "/admin/users": "tests/administration/test_users.py",
    # The answer to a repeat has no token, which is stored nowhere.
    "/conversations/{conversation_id}/links": "tests/links/test_links.py",
    "/shared/{token}/fork": "tests/links/test_links.py",
    # It is known by its headers, not by its body.
    "/imports/uploads": "tests/importing/test_uploads.py",
    # They need a server of tools.
    "/conversations/{conversation_id}/commands/{command_id}/approve": REPEATS,
    "/conversations/{conversation_id}/commands/{command_id}/reject": REPEATS,
    "/conversations/{conversation_id}/messages/{message_id}/execute-command": REPEATS,
}
# What every request leaves, and what other processes do meanwhile.
UNTOLD = {"audit_logs", "audit_blocks", "leases", "rate_limits", "sessions"}

each = pytest.mark.parametrize("path", BODIES)


@pytest.fixture
def settings(data_dir: Path, fake_model: FakeModel) -> Settings:
    provider = Provider(base_url=fake_model.url, api_key=SecretStr("sk"), model="gpt-twin")
    return settings_for(data_dir, providers={"twin": provider}, replies_per_minute=1000)


@dataclass(frozen=True)
class Place:
    """A conversation of Alice's with an answer in it."""

    conversation: dict[str, Any]
    reply_id: str
    import_id: str
    batch_id: str

    def path(self, path: str) -> str:
        return path.format(
            conversation_id=self.conversation["id"],
            reply_id=self.reply_id,
            import_id=self.import_id,
            batch_id=self.batch_id,
        )


@pytest.fixture
async def place(alice: HttpClient, fake_model: FakeModel) -> Place:
    conversation = await begin(
        alice, title="T", messages=[message("a", id="first-message"), message("b")], tags=["old"]
    )
    exchange = await ask(alice, conversation)
    made = await make_import(conversation), await make_batch(conversation)
    return Place(conversation, exchange["reply_id"], *made)


async def stored(database: Any) -> dict[str, list[Any]]:
    """All that lies in the database."""
    names = set(await database.list_collection_names()) - UNTOLD
    return {name: await database[name].find({}).sort("_id").to_list() for name in sorted(names)}


async def left_by(database: Any, answer: ClientResponse) -> list[tuple[str, str | None, Any]]:
    mine = {"request_id": answer.headers["X-Request-ID"]}
    entries = await database.audit_logs.find(mine).sort("_id").to_list()
    return [(entry["outcome"], entry["code"], entry["details"]) for entry in entries]


class TestEveryPost:
    def test_is_covered_by_these_tests(self) -> None:
        assert {operation.path for operation in POSTS} == BODIES.keys() | ELSEWHERE.keys()

    @each
    async def test_answers_a_repeat_the_same_and_changes_nothing(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        place: Place,
        fake_model: FakeModel,
        database: Any,
        path: str,
    ) -> None:
        body, _ = BODIES[path]
        first = await alice.post(place.path(path), json=body, headers=KEY)
        assert first.status in {200, 201}, await first.text()
        shown = await first.json()
        before, asked = await stored(database), len(fake_model.requests + fake_model.behind)

        for browser in (alice, elsewhere):
            again = await browser.post(place.path(path), json=body, headers=KEY)

            assert again.status == first.status
            assert await again.json() == shown
            assert await stored(database) == before
            assert len(fake_model.requests + fake_model.behind) == asked
            assert await left_by(database, again) == [("success", None, {"replayed": True})]

    @each
    async def test_is_carried_out_once_if_concurrent(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        place: Place,
        fake_model: FakeModel,
        database: Any,
        path: str,
    ) -> None:
        asked = len(fake_model.requests + fake_model.behind)
        fake_model.usual = fake_model.summary = ScriptedAnswer(chunks=["Once"], pause=0.2)
        body, _ = BODIES[path]

        answers = await asyncio.gather(
            *(
                browser.post(place.path(path), json=body, headers=KEY)
                for browser in (alice, elsewhere) * 4
            )
        )

        shown = [await answer.json() for answer in answers]
        assert {answer.status for answer in answers} <= {200, 201}, shown
        assert all(one == shown[0] for one in shown)
        assert len(fake_model.requests + fake_model.behind) - asked <= 1
        entries = [await left_by(database, answer) for answer in answers]
        assert entries.count([("success", None, {"replayed": True})]) == 7
        assert await database.idempotency_records.count_documents({}) == 1
        assert await database.leases.count_documents({"_id": {"$regex": "^repeat"}}) == 0

    @each
    async def test_refuses_a_key_with_another_body(
        self, alice: HttpClient, place: Place, database: Any, path: str
    ) -> None:
        one, other = BODIES[path]
        assert (await alice.post(place.path(path), json=one, headers=KEY)).status < 300
        before = await stored(database)

        refused = await alice.post(place.path(path), json=other, headers=KEY)

        await problem(refused, 422, "idempotency_key_reused")
        assert await stored(database) == before

    @each
    async def test_refuses_a_malformed_key(
        self, alice: HttpClient, place: Place, database: Any, path: str
    ) -> None:
        before = await stored(database)
        answer = await alice.post(
            place.path(path), json=BODIES[path][0], headers={"Idempotency-Key": "a b"}
        )
        await problem(answer, 422, "invalid_input")
        assert await stored(database) == before

    @each
    async def test_is_recorded_without_text(
        self, alice: HttpClient, place: Place, fake_model: FakeModel, database: Any, path: str
    ) -> None:
        fake_model.usual = fake_model.summary = ScriptedAnswer(chunks=["ZEBRA"])
        body = json.loads(json.dumps(BODIES[path][0]).replace("Hello", "ZEBRA"))
        answer = await alice.post(place.path(path), json=body, headers=KEY)
        assert answer.status < 300
        [record] = await database.idempotency_records.find({}).to_list()
        assert b"ZEBRA" not in bson.encode(record)
        assert record.keys() == {
            "_id", "user_id", "route", "key", "body_hash", "result", "expires_at",
        }  # fmt: skip


class TestShutdown:
    @pytest.mark.parametrize(
        "path", ["/conversations/{conversation_id}/replies", "/chat/completions"]
    )
    async def test_asks_a_repeat_that_waits_for_another_process_to_retry(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        fake_model: FakeModel,
        database: Any,
        path: str,
    ) -> None:
        conversation = await begin(alice, title="T")
        target = path.format(conversation_id=conversation["id"])
        headers = {**KEY, "X-Conversation-Id": conversation["id"]}
        body, _ = BODIES[path]
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        asking = asyncio.create_task(alice.post(target, json=body, headers=headers))
        await until(lambda: fake_model.requests)
        waiting = asyncio.create_task(elsewhere.post(target, json=body, headers=headers))
        while not await database.audit_logs.find_one({"details.replayed": True}):
            assert not waiting.done()
        server: Any = elsewhere.server

        server.app[REPLY_DEPS].event_log.stop()

        refused = await problem(await waiting, 503, "unavailable")
        assert "stopping" in refused["detail"]
        gate.set()
        assert "Half whole" in await (await asking).text()


class TestArchive:
    async def test_repeat_does_not_archive_a_restored_conversation(
        self, alice: HttpClient, place: Place
    ) -> None:
        path = place.path("/conversations/{conversation_id}/archive")
        tag = (await alice.get(place.path("/conversations/{conversation_id}"))).headers["ETag"]
        headers = KEY | {"If-Match": tag}
        assert (await alice.post(path, json={"archived": True}, headers=headers)).status == 200
        again = await alice.post(path, json={"archived": True}, headers=headers)
        assert (again.status, (await again.json())["status"]) == (200, "archived")
        await alice.post(path, json={"archived": False})
        again = await alice.post(path, json={"archived": True}, headers=headers)
        assert (again.status, (await again.json())["status"]) == (200, "active")


class TestCancel:
    async def test_repeat_waits_for_the_end(
        self, alice: HttpClient, elsewhere: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        conversation = await begin(alice, title="T")
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        asking = asyncio.create_task(ask(alice, conversation))
        await until(lambda: fake_model.requests)
        [reply] = await database.replies.find({}).to_list()
        path = path_of(conversation, str(reply["_id"]), "cancel")
        answers = await asyncio.gather(
            *(browser.post(path, headers=KEY) for browser in (alice, elsewhere))
        )
        assert [(await answer.json())["state"] for answer in answers] == ["cancelled"] * 2
        entries = [await left_by(database, answer) for answer in answers]
        told = sorted("version" in details for [(_, _, details)] in entries)
        assert told == [False, True]
        gate.set()
        await asking


class TestSummary:
    async def test_is_not_found_if_removed(
        self, alice: HttpClient, place: Place, database: Any
    ) -> None:
        path = place.path("/conversations/{conversation_id}/summary")
        assert (await (await alice.post(path, headers=KEY)).json())["summary"] == "They talked."
        [first, *_] = place.conversation["messages"]
        await alice.delete(place.path(f"/conversations/{{conversation_id}}/messages/{first['id']}"))
        again = await alice.post(path, headers=KEY)
        await problem(again, 404, "not_found")
        assert [entry[:2] for entry in await left_by(database, again)] == [("denied", "not_found")]

    async def test_of_a_short_conversation_stays_null(
        self, alice: HttpClient, fake_model: FakeModel
    ) -> None:
        conversation = await begin(alice, title="T")
        path = f"/conversations/{conversation['id']}/summary"
        for _ in range(2):
            shown = await (await alice.post(path, headers=KEY)).json()
            assert (shown["summary"], shown["detail"] is None) == (None, False)
        assert fake_model.behind == []

    async def test_is_retried_after_a_failure(
        self, alice: HttpClient, place: Place, fake_model: FakeModel
    ) -> None:
        path = place.path("/conversations/{conversation_id}/summary")
        fake_model.summary = ScriptedAnswer(status=401)
        await problem(await alice.post(path, headers=KEY), 503, "model_refused")
        fake_model.summary = ScriptedAnswer(chunks=["Better"])
        assert (await (await alice.post(path, headers=KEY)).json())["summary"] == "Better"


async def lines(answer: ClientResponse) -> tuple[str, set[str], list[str], str]:
    """A stream's text, its ids, the names of its calls, and its last line."""
    text, ids, names, last = "", set(), [], ""
    async for line in answer.content:
        if not line.startswith(b"data: "):
            continue
        last = line.decode()[6:].strip()
        if last == "[DONE]":
            break
        chunk = json.loads(last)
        ids.add(chunk.get("id", ""))
        for choice in chunk.get("choices", ()):
            text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls", ()):
                names += [call["function"]["name"]] if call["function"].get("name") else []
    return text, ids, names, last


class TestCompletion:
    @pytest.mark.parametrize("recorded", [False, True])
    async def test_streams_the_same_chunks_to_a_repeat(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        place: Place,
        fake_model: FakeModel,
        recorded: bool,  # noqa: FBT001  # a parameter
    ) -> None:
        fake_model.say(ScriptedAnswer(chunks=["Hi", " there"], calls=[("clock", "{}")]))
        headers = {**KEY, "X-Conversation-Id": place.conversation["id"]} if recorded else KEY
        body = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
        asked = len(fake_model.requests)
        streams = [
            await lines(await browser.post("/chat/completions", json=body, headers=headers))
            for browser in (alice, elsewhere)
        ]
        assert streams[0] == streams[1]
        text, ids, names, last = streams[0]
        assert (text, names, last) == ("Hi there", ["clock"], "[DONE]")
        assert len(ids) == 1
        assert len(fake_model.requests) == asked + 1

    async def test_is_recorded_once(
        self,
        alice: HttpClient,
        elsewhere: HttpClient,
        place: Place,
        fake_model: FakeModel,
        database: Any,
    ) -> None:
        headers = {**KEY, "X-Conversation-Id": place.conversation["id"]}
        shown = [
            await (await browser.post("/chat/completions", json=HELLO, headers=headers)).json()
            for browser in (alice, elsewhere)
        ]
        assert shown[0] == shown[1]
        conversation = await settled(alice, place.conversation)
        assert [text for _, text in said(conversation)].count("Answer 2.") == 1
        await database.reply_events.delete_many({})
        late = await alice.post("/chat/completions", json=HELLO, headers=headers)
        assert (await late.json())["choices"] == shown[0]["choices"]

    async def test_is_identified_with_its_conversation(
        self, alice: HttpClient, place: Place, fake_model: FakeModel
    ) -> None:
        headers = {**KEY, "X-Conversation-Id": place.conversation["id"]}
        assert (await alice.post("/chat/completions", json=HELLO, headers=headers)).status == 200
        other = await alice.post("/chat/completions", json=HELLO, headers=KEY)
        await problem(other, 422, "idempotency_key_reused")
        gone = place.path("/conversations/{conversation_id}")
        await alice.delete(gone)
        again = await alice.post("/chat/completions", json=HELLO, headers=headers)
        await problem(again, 404, "not_found")

    @pytest.mark.parametrize("stream", [False, True])
    async def test_is_retried_after_a_failure_with_an_entry_for_each(
        self,
        alice: HttpClient,
        fake_model: FakeModel,
        database: Any,
        stream: bool,  # noqa: FBT001  # a parameter
    ) -> None:
        body = {**HELLO, "stream": stream}
        fake_model.say(ScriptedAnswer(status=401))
        refused = await alice.post("/chat/completions", json=body, headers=KEY)
        await problem(refused, 503, "model_refused")
        assert await left_by(database, refused) == [("failed", "model_refused", None)]
        fake_model.say(ScriptedAnswer(chunks=["one", "two"], cut_after=1))
        broken = await alice.post("/chat/completions", json=body, headers=KEY)
        await broken.read()
        assert broken.status == (200 if stream else 503)
        assert await left_by(database, broken) == [("failed", "model_stream_broken", None)]
        done = await alice.post("/chat/completions", json=body, headers=KEY)
        assert "Answer 3." in await done.text()
        assert await left_by(database, done) == [("success", None, None)]
        assert await database.usage.count_documents({}) == 2

    async def test_is_stored_if_the_client_disconnects(
        self, alice: HttpClient, elsewhere: HttpClient, fake_model: FakeModel
    ) -> None:
        # As in the service: aiohttp's test servers alone end a request with its connection.
        server: Any = alice.server
        server.runner.server.handler_cancellation = False
        gate = asyncio.Event()
        fake_model.say(ScriptedAnswer(chunks=["Half", " whole"], gate=gate))
        body = {**HELLO, "stream": True}
        answer = await alice.post("/chat/completions", json=body, headers=KEY)
        await answer.content.readline()
        answer.close()
        waiting = asyncio.create_task(elsewhere.post("/chat/completions", json=body, headers=KEY))
        await asyncio.sleep(0.2)
        gate.set()
        text, *_ = await lines(await waiting)
        assert text == "Half whole"
        assert len(fake_model.requests) == 1

    async def test_is_not_found_after_its_expiry(
        self, alice: HttpClient, fake_model: FakeModel, database: Any
    ) -> None:
        await alice.post("/chat/completions", json=HELLO, headers=KEY)
        await database.reply_events.delete_many({})
        again = await alice.post("/chat/completions", json=HELLO, headers=KEY)
        await problem(again, 404, "not_found")
        assert [entry[:2] for entry in await left_by(database, again)] == [("denied", "not_found")]
