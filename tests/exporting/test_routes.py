"""Exports over HTTP: whole, one's own, recorded once, and never torn unnoticed."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bson import ObjectId

from chatvault.conversations.reading import pages as conversations_reading
from chatvault.exporting import reading
from chatvault.exporting.formats import WRITERS
from chatvault.exporting.routes import EXPORT_DEPS
from conftest import HttpClient
from support.factories import begin, message, settings_for
from support.granting import at, grant
from support.links import link_to
from support.stored import tiny_bounds

# PDF has tests of its own.
FORMATS = [each.value for each in WRITERS]
ALL = "/conversations/export"


def of(conversation: dict[str, Any], shape: str = "json") -> str:
    return f"/conversations/{conversation['id']}/export?format={shape}"


async def read(answer: aiohttp.ClientResponse) -> Any:
    assert answer.status == 200, await answer.text()
    return json.loads(await answer.read())


async def open_zip(answer: aiohttp.ClientResponse) -> zipfile.ZipFile:
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert archive.testzip() is None
    return archive


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def as_shown(conversation: dict[str, Any]) -> dict[str, Any]:
    """A conversation of the export as the API shows it."""
    shown = {name: value for name, value in conversation.items() if name != "completeness"}
    shown["messages"] = [{**each.pop("extra", {}), **each} for each in conversation["messages"]]
    shown["agent_id"] = shown["agent_id"] or "0" * 24
    del shown["source"]
    return shown


@pytest.fixture
async def long(alice: HttpClient, constants: pytest.MonkeyPatch) -> dict[str, Any]:
    """A conversation with segments and removed messages; it is streamed, not read at once."""
    tiny_bounds(constants)
    constants.setattr(reading, "WHOLE_BYTES", 0)
    messages = [message(str(n), id=f"m{n}", note={"n": n}) for n in range(40)]
    begun = await begin(alice, title="Long", messages=messages, metadata={"a": 1}, tags=["x"])
    for number in (0, 7, 8, 9, 39):
        await alice.delete(f"/conversations/{begun['id']}/messages/m{number}")
    found: dict[str, Any] = await (await alice.get(f"/conversations/{begun['id']}")).json()
    return found


class TestOneConversation:
    async def test_is_exported_as_the_api_shows_it(
        self, alice: HttpClient, long: dict[str, Any]
    ) -> None:
        answer = await alice.get(of(long))
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="20')
        found = await read(answer)
        [conversation] = found["conversations"]
        beside = ("messages_truncated", "user_id", "active_reply_id", "branched")
        for name in (*beside, "category_id", "pinned"):
            del long[name]
        assert as_shown(conversation) == long
        assert found["end"] == {
            "conversations": 1,
            "messages": 35,
            "changed": 0,
            "cut": 0,
            "deleted": 0,
            "attachments": 0,
        }

    @pytest.mark.parametrize("shape", FORMATS)
    async def test_is_exported_in_each_format_with_an_audit_entry(
        self, alice: HttpClient, database: Any, shape: str
    ) -> None:
        begun = await begin(alice, title='A "b" 東京', messages=[message("Hello world")])
        answer = await alice.get(of(begun, shape))
        assert answer.status == 200
        assert b"Hello world" in await answer.read()
        assert "filename*=UTF-8''20" in answer.headers["Content-Disposition"]
        [entry] = await database.audit_logs.find({"action": "conversation.export"}).to_list()
        assert entry["resource_id"] == begun["id"]
        assert entry["details"] == {"format": shape, "conversations": 1, "messages": 1}

    async def test_is_not_found_for_a_stranger(
        self, alice: HttpClient, bob: HttpClient, long: dict[str, Any]
    ) -> None:
        for shape in FORMATS:
            assert (await bob.get(of(long, shape))).status == 404
        assert (await bob.get(f"{ALL}?ids={long['id']}")).status == 404
        assert (await read(await bob.get(ALL)))["conversations"] == []

    async def test_refuses_an_unknown_format(self, alice: HttpClient, long: dict[str, Any]) -> None:
        assert (await alice.get(of(long, "word"))).status == 422

    async def test_answers_head_with_headers_only(
        self, alice: HttpClient, app: web.Application, long: dict[str, Any]
    ) -> None:
        for _ in range(3):
            answer = await alice.head(of(long))
            assert answer.status == 200
        assert not app[EXPORT_DEPS]._running


class TestManyConversations:
    async def test_are_exported_in_the_order_of_creation(self, alice: HttpClient) -> None:
        begun = [await begin(alice, title=str(n), messages=[message()] * n) for n in range(20)]
        found = lines(await (await alice.get(f"{ALL}?format=ndjson")).read())
        assert found[0]["chatvault"]["version"] == 1
        assert [each["id"] for each in found[1:-1]] == [each["id"] for each in begun]
        assert [len(each["messages"]) for each in found[1:-1]] == [*range(20)]
        assert found[-1]["end"]["messages"] == sum(range(20))

    async def test_can_be_selected_or_continued_after_one(
        self, alice: HttpClient, database: Any
    ) -> None:
        ids = [(await begin(alice))["id"] for _ in range(4)]
        some = await read(await alice.get(f"{ALL}?ids={ids[2]},{ids[0]}"))
        assert [each["id"] for each in some["conversations"]] == [ids[0], ids[2]]
        rest = await read(await alice.get(f"{ALL}?after={ids[1]}"))
        assert [each["id"] for each in rest["conversations"]] == ids[2:]
        entries = await database.audit_logs.find({"action": "conversation.export"}).to_list()
        assert [each["details"] for each in entries] == [{"format": "json", "conversations": 2}] * 2

    @pytest.mark.parametrize("ids", ["", "x", "1,2", "a" * 23])
    async def test_refuse_invalid_ids(self, alice: HttpClient, ids: str) -> None:
        assert (await alice.get(ALL, params={"ids": ids})).status == 422

    @pytest.mark.parametrize(("shape", "suffix"), [("markdown", ".md"), ("html", ".html")])
    async def test_are_exported_as_files_in_a_zip(
        self, alice: HttpClient, long: dict[str, Any], shape: str, suffix: str
    ) -> None:
        titles = ["Same", "Same", "a/b", "CON"]
        for title in titles:
            await begin(alice, title=title, messages=[message(f"in {title}")])
        archive = await open_zip(await alice.get(f"{ALL}?format={shape}"))
        *names, last = archive.namelist()
        assert last == "export.json"
        assert len(set(names)) == 5
        assert all(name.endswith(suffix) and name.count("/") == 2 for name in names)
        assert (
            archive.read(names[0]).count(b"\n> [!user]" if shape == "markdown" else b"<article")
            == 35
        )
        assert json.loads(archive.read(last))["end"]["conversations"] == 5


class TestChanges:
    @pytest.fixture
    def change_in_the_middle(self, constants: pytest.MonkeyPatch) -> Any:
        """Lets something happen once, after the first run of messages is read."""

        def arrange(happen: Any) -> None:
            walk = conversations_reading._walk

            async def walk_slowly(*args: Any, **more: Any) -> AsyncGenerator[Any]:
                async for run in walk(*args, **more):
                    yield run
                    await happen()

            constants.setattr(conversations_reading, "_walk", walk_slowly)

        return arrange

    async def test_of_a_short_conversation_make_it_read_again(
        self,
        alice: HttpClient,
        long: dict[str, Any],
        change_in_the_middle: Any,
        constants: pytest.MonkeyPatch,
    ) -> None:
        constants.setattr(reading, "WHOLE_BYTES", 10**6)
        left = [1, 2]

        async def edit() -> None:
            if left:
                number = left.pop()
                path = f"/conversations/{long['id']}/messages/m{number}"
                await alice.patch(path, json={"content": "edited"})

        change_in_the_middle(edit)
        [conversation] = (await read(await alice.get(of(long))))["conversations"]
        assert conversation["completeness"] == "whole"
        assert [each["content"] for each in conversation["messages"][:3]] == [
            *("edited", "edited", "3")
        ]

    @pytest.mark.parametrize("whole", [0, 10**6])
    async def test_are_reported_if_they_continue(
        self,
        alice: HttpClient,
        long: dict[str, Any],
        change_in_the_middle: Any,
        constants: pytest.MonkeyPatch,
        whole: int,
    ) -> None:
        constants.setattr(reading, "WHOLE_BYTES", whole)

        async def edit() -> None:
            path = f"/conversations/{long['id']}/messages/m38"
            await alice.patch(path, json={"content": str(ObjectId())})

        change_in_the_middle(edit)
        found = await read(await alice.get(of(long)))
        assert found["conversations"][0]["completeness"] == "changed"
        assert len(found["conversations"][0]["messages"]) == 35
        assert found["end"]["changed"] == 1

    async def test_do_not_include_appends(
        self, alice: HttpClient, long: dict[str, Any], change_in_the_middle: Any
    ) -> None:
        async def append() -> None:
            await alice.post(f"/conversations/{long['id']}/messages", json=message("new"))

        change_in_the_middle(append)
        [conversation] = (await read(await alice.get(of(long))))["conversations"]
        assert conversation["completeness"] == "whole"
        assert len(conversation["messages"]) == 35

    async def test_are_reported_if_they_remove_the_messages(
        self, alice: HttpClient, long: dict[str, Any], change_in_the_middle: Any, database: Any
    ) -> None:
        async def remove() -> None:
            await database.segments.delete_many({})

        change_in_the_middle(remove)
        found = await read(await alice.get(of(long)))
        assert found["conversations"][0]["completeness"] == "cut"
        assert found["end"]["cut"] == 1
        answer = await alice.get(of(long, "openai"))
        with pytest.raises(aiohttp.ClientError):
            await answer.read()

    async def test_of_the_list_are_reported(
        self, alice: HttpClient, constants: pytest.MonkeyPatch
    ) -> None:
        constants.setattr(reading, "AT_ONCE", 1)
        ids = [(await begin(alice))["id"] for _ in range(3)]
        read_one = reading._read

        async def read_and_delete(*args: Any, **more: Any) -> AsyncGenerator[Any]:
            async for piece in read_one(*args, **more):
                yield piece
            await alice.delete(f"/conversations/{ids[1]}")

        constants.setattr(reading, "_read", read_and_delete)
        found = await read(await alice.get(ALL))
        assert [each["id"] for each in found["conversations"]] == [ids[0], ids[2]]
        assert found["end"]["deleted"] == 1


class TestLimits:
    @pytest.fixture
    def settings(self, tmp_path: Any) -> Any:
        return settings_for(tmp_path, exports_per_minute=3)

    async def test_apply_to_all_kinds_of_exports(self, alice: HttpClient, database: Any) -> None:
        for path in (ALL, "/users/me/export", ALL):
            assert (await alice.get(path)).status == 200
        answer = await alice.get(ALL)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        query = {"action": "conversation.export", "outcome": "denied"}
        assert await database.audit_logs.count_documents(query) == 1

    async def test_allow_two_at_a_time_and_free_a_slot_when_a_client_leaves(
        self, alice: HttpClient, app: web.Application, constants: pytest.MonkeyPatch
    ) -> None:
        await begin(alice)
        read_one, going = reading._read, asyncio.Event()

        async def read_for_ever(*args: Any, **more: Any) -> AsyncGenerator[Any]:
            async for piece in read_one(*args, **more):
                while not going.is_set():
                    yield piece
                    await asyncio.sleep(0.01)

        constants.setattr(reading, "_read", read_for_ever)
        begun = [await alice.get(ALL) for _ in range(2)]
        assert (await alice.get(ALL)).status == 429
        for answer in begun:
            answer.close()
        for _ in range(2000):
            if not app[EXPORT_DEPS]._running:
                break
            await asyncio.sleep(0.01)
        assert not app[EXPORT_DEPS]._running
        assert app[EXPORT_DEPS]._turns._value == 16


class TestUserData:
    async def test_has_everything_except_secrets(self, alice: HttpClient, bob: HttpClient) -> None:
        await begin(bob, title="Bob's", messages=[message("his words")])
        begun = await begin(alice, title="Hers", messages=[message("her words", id="m")])
        await alice.patch(
            f"/conversations/{begun['id']}/messages/m", json={"content": "other words"}
        )
        await alice.put("/users/me/preferences", json={"theme": "dark"})
        await alice.post("/agents", json={"name": "Helper"})

        answer = await alice.get("/users/me/export")

        archive = await open_zip(answer)
        files = {name: archive.read(name) for name in archive.namelist()}
        told = json.loads(files["export.json"])
        assert told["files"].keys() == files.keys()
        assert [*files][-1] == "export.json"
        assert told["end"]["conversations"] == 1
        assert json.loads(files["account.json"])["username"] == "alice"
        assert json.loads(files["preferences.json"]) == {"theme": "dark"}
        assert [each["name"] for each in json.loads(files["agents.json"])] == ["Helper"]
        [session] = json.loads(files["sessions.json"])
        assert session["current"]
        _, conversation, _ = lines(files["conversations.ndjson"])
        assert conversation["messages"][0]["content"] == "other words"
        [revision] = lines(files["revisions.ndjson"])
        assert revision["message"]["content"] == "her words"
        assert revision["conversation_id"] == begun["id"]
        actions = [each["action"] for each in lines(files["audit-entries.ndjson"])]
        assert actions[0] == "conversation.create"
        assert "agent.create" in actions
        everything = b"".join(files.values())
        for secret in (b"password_hash", b"token_hash", b"$2b$", b"his words", b"Bob's"):
            assert secret not in everything

    async def test_has_what_is_shared(self, alice: HttpClient, bob: HttpClient) -> None:
        hers = await begin(alice, messages=[message("hers", id="m")])
        trashed = await begin(alice, messages=[message("gone", id="m")])
        made = await link_to(alice, hers)
        for conversation in (hers, trashed):
            await grant(alice, conversation, "bob", "commenter")
            for user in (alice, bob):
                note = {"message_id": "m", "content": f"{conversation['id']} by {user}"}
                await user.post(at(conversation, "/notes"), json=note)
        await alice.delete(at(trashed))

        exported = {}
        for name, user in (("alice", alice), ("bob", bob)):
            archive = await open_zip(await user.get("/users/me/export"))
            exported[name] = {each: archive.read(each) for each in archive.namelist()}

        [link] = json.loads(exported["alice"]["links.json"])
        assert link["id"] == made["id"]
        assert made["token"].encode() not in b"".join(exported["alice"].values())
        given = json.loads(exported["alice"]["grants.json"])["given"]
        [received] = json.loads(exported["bob"]["grants.json"])["received"]
        assert received in given
        assert len(lines(exported["alice"]["notes.ndjson"])) == 2
        [note] = lines(exported["bob"]["notes.ndjson"])
        assert (note["conversation_id"], note["author_id"]) == (hers["id"], received["grantee_id"])

    async def test_leaves_exactly_one_audit_entry(self, alice: HttpClient, database: Any) -> None:
        await begin(alice)
        await database.audit_logs.delete_many({})
        await (await alice.get("/users/me/export")).read()
        [entry] = await database.audit_logs.find({}).to_list()
        assert entry["action"] == "user.export"
        assert entry["resource_id"] == str(entry["user_id"])
        assert entry["details"] == {"format": "zip", "conversations": 1}
