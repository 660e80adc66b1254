"""Our own export, read again: the same in another account, and there already in the same one."""

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.shapes import MessageDoc
from chatvault.exporting.formats.json_document import JsonDocument
from chatvault.exporting.formats.json_lines import JsonLines
from chatvault.importing.conversations import ImportRejected
from chatvault.importing.neutral import NeutralConversation
from chatvault.importing.stored_trees import build_stored_tree
from chatvault.keys import SecretKey
from conftest import HttpClient
from support import imports
from support.exporting import AT, TEXT, exported_conversation, exported_message, written
from support.factories import begin, message

ACCESS = Access.of(Actor(door=Door.BACKGROUND, user_id=ObjectId()))
AGENT = ObjectId("65a5158ac8d8e8a8b8c8d8e9")
# What may name a field of free form.
KEY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(KEY, each, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEY, FREE, min_size=1, max_size=3)
WORD = st.text("abcxyz", min_size=1, max_size=8)
PARTS: list[Any] = [
    {"type": "thinking", "text": "Hm", "summary": ["So"], "duration_s": 1.5},
    {"type": "tool_call", "id": "c1", "name": "time", "input": {"zone": "UTC"}},
    {"type": "tool_result", "call_id": "c1", "output": None, "is_error": False},
    {"type": "file", "attachment_id": "a1", "size": 3, "extra": {"x": 1}},
    {"type": "raw", "source_type": "widget", "value": [1]},
]
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text("abcXYZ019_-", min_size=1, max_size=64),
            "content": TEXT,
            "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        },
        optional={
            "parts": st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
            "hidden": st.just(value=True),
            "time_source": st.sampled_from(["neighbour", "conversation", "import"]),
            "model": WORD,
            "metrics": OBJECTS,
            "cancelled": st.booleans(),
            # The client's own fields have no names of ours.
            "extra": st.dictionaries(KEY.map("my {}".format), FREE, min_size=1, max_size=3),
            "model_used": WORD,
            "temperature": st.floats(0, 2),
            "input_tokens": st.integers(0, 2**40),
            "finish_reason": WORD,
            "interrupted": st.booleans(),
            "version": st.integers(1, 9),
            "alternative_to": WORD,
            "sent_id": WORD,
            "reply_id": st.just(AGENT),
            "tool_calls": st.just([{"id": "c1", "name": "time", "arguments": "{}"}]),
        },
    ),
    max_size=5,
    unique_by=lambda each: each["id"],
)
CONVERSATIONS = st.fixed_dictionaries(
    {"_id": st.binary(min_size=12, max_size=12).map(ObjectId), "title": WORD},
    optional={
        "tags": st.lists(WORD, max_size=3),
        "metadata": st.dictionaries(KEY, FREE, max_size=3),
        "system_prompt": TEXT,
        "summary": TEXT,
        "source": WORD.map("chatgpt:{}".format),
        "agent_id": st.none() | st.just(AGENT),
        "mcp_enabled": st.booleans(),
        "total_tokens_used": st.integers(0, 2**40),
    },
)
ARCHIVED = {"status": "archived", "archived_at": AT}


def read(data: bytes, *, salvage: bool = False) -> tuple[NeutralConversation, ...]:
    return imports.read(data, name="ours", salvage=salvage, format=None).conversations


def header(version: Any = 1) -> dict[str, Any]:
    return {"chatvault": {"version": version, "program": "x", "exported_at": "2026-01-01"}}


def file(*conversations: Any, **more: Any) -> bytes:
    return json.dumps(header() | {"conversations": conversations} | more).encode()


def plain(**more: Any) -> dict[str, Any]:
    messages = [{"id": "m0", "seq": 0, "role": "user", "content": "Hello"}]
    return {"id": str(AGENT), "title": "Plain", "messages": messages} | more


def stored_messages(found: NeutralConversation) -> list[MessageDoc]:
    return build_stored_tree(ACCESS, SecretKey(bytes(32)), found).messages


class TestRoundTrip:
    @pytest.mark.parametrize("kind", [JsonDocument, JsonLines])
    @settings(max_examples=40)
    @given(fields=CONVERSATIONS, messages=MESSAGES, archived=st.sampled_from([{}, ARCHIVED]))
    def test_keeps_everything(
        self, kind: Any, fields: dict[str, Any], messages: list[dict[str, Any]], archived: Any
    ) -> None:
        fields = fields | archived
        exported = [exported_message(**each) for each in messages]
        data = written(kind(), (exported_conversation(**fields), exported))

        [found] = read(data)

        assert found.own is not None
        assert found.source == fields.get("source") or f"chatvault:{fields['_id']}"
        assert found.own.ids == (fields["_id"],)
        assert (found.title, found.metadata) == (fields["title"], fields.get("metadata", {}))
        kept = {"status": "active"} | {
            name: value
            for name, value in fields.items()
            if name not in {"_id", "title", "metadata", "source", "archived_at"}
        }
        assert {name: found.own.fields[name] for name in kept} == kept
        at = AT.replace(tzinfo=UTC)
        assert (found.created_at, found.updated_at) == (at, at)
        assert stored_messages(found) == [{"timestamp": at, **each} for each in messages]
        assert (found.unknown, found.notes) == ({}, ())

    async def test_works_for_another_account_and_the_same(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        said = [
            message("Hello", id="m0", note={"deep": [1, None]}, timestamp="2026-01-01T10:00:00Z"),
            message("Hi", "assistant", id="m1", model="gpt-5", metrics={"s": 1.5}),
        ]
        begun = await begin(
            alice, title="Mine", messages=said, metadata={"a": {"b": 1}}, tags=["x"],
            system_prompt="Be kind", mcp_enabled=True,
        )  # fmt: skip
        await begin(alice, title="Empty")
        edit = {"content": "Hello!"}
        path = f"/conversations/{begun['id']}"
        assert (await alice.patch(f"{path}/messages/m0", json=edit)).status == 200
        assert (await alice.patch(path, json={"status": "archived"})).status == 200
        for shape in ("json", "ndjson"):
            data = await export(alice, shape)
            told = await bring(alice, data)
            assert outcomes(told) == ["repeated"] * 2
        told = await bring(bob, data)
        assert outcomes(told) == ["imported"] * 2
        assert told["formats"] == {"chatvault": 2}
        assert (told["unknown"], told["left_out"], told["rejected"]) == ({}, {}, [])

        assert comparable(await export(bob, "json")) == comparable(await export(alice, "json"))
        # From there it comes back as what it was.
        assert outcomes(await bring(alice, await export(bob, "ndjson"))) == ["repeated"] * 2
        assert outcomes(await bring(bob, data)) == ["repeated"] * 2
        assert await database.conversations.count_documents({}) == 4

    async def test_replaces_and_copies_in_the_same_account(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice, title="Mine", messages=[message("a", id="m0")])
        data = await export(alice, "json")
        path = f"/conversations/{begun['id']}"
        await alice.post(f"{path}/messages", json=message("later"))

        assert outcomes(await bring(alice, data, "?on_duplicate=replace")) == ["replaced"]
        found = await (await alice.get(path)).json()
        assert [each["content"] for each in found["messages"]] == ["a"]
        assert outcomes(await bring(alice, data, "?on_duplicate=copy")) == ["copied"]
        assert await database.conversations.count_documents({}) == 2

    async def test_accepts_the_archive_of_a_user(self, alice: HttpClient, bob: HttpClient) -> None:
        await begin(alice, title="Mine", messages=[message("a", id="m0")])
        await alice.patch(f"/conversations/{(await begin(alice))['id']}", json={"title": "Other"})
        data = await (await alice.get("/users/me/export")).read()
        told = await bring(bob, data)
        assert outcomes(told) == ["imported"] * 2
        [others] = told["rejected"]
        assert others["reason"].startswith("no conversations: account.json, agents.json, ")
        assert "ndjson" not in others["reason"].replace("audit-entries.ndjson", "")

    async def test_replaces_a_missing_agent(self, alice: HttpClient, bob: HttpClient) -> None:
        agent = {"name": "Poet"}
        made = await (await alice.post("/agents", json=agent)).json()
        await begin(alice, title="Verse", agent_id=made["id"])
        data = await export(alice, "json")
        assert outcomes(await bring(bob, data)) == ["imported"]
        assert json.loads(await export(bob, "json"))["conversations"][0]["agent_id"] is None
        assert outcomes(await bring(alice, data, "?on_duplicate=copy")) == ["copied"]
        found = json.loads(await export(alice, "json"))["conversations"]
        assert [each["agent_id"] for each in found] == [made["id"]] * 2


class TestReading:
    def test_keeps_and_counts_unknown_fields(self) -> None:
        messages = [{"id": "m0", "role": "user", "content": "a", "mood": "odd"}]
        [found] = read(file(plain(messages=messages, colour="red", metadata={"b": 1})))
        assert found.metadata == {"b": 1, "chatvault": {"colour": "red"}}
        assert found.messages[0].extra == {"mood": "odd"}
        assert found.unknown == {"colour of conversations": 1, "mood of messages": 1}

    def test_reads_a_tree(self) -> None:
        told: list[tuple[str, Any]] = [("a", None), ("b", "a"), ("c", "a"), ("d", None)]
        messages = [
            {"id": name, "role": "user", "content": name, "parent_id": parent}
            for name, parent in told
        ]
        [found] = read(file(plain(messages=messages, active_leaf="b")))
        assert [each.content for each in found.active_path()] == ["a", "b"]
        assert len(found.messages) == 4

    def test_is_incomplete_without_the_end(self) -> None:
        one = (exported_conversation(), [exported_message()])
        for kind in (JsonDocument, JsonLines):
            data = written(kind(), one, one)
            cut = data[: data.index(b'"end"') - 2].rstrip(b"\n{,")
            with pytest.raises(ImportRejected, match="seems cut off"):
                read(cut)
            assert len(read(cut, salvage=True)) == 1

    def test_refuses_a_later_version(self) -> None:
        data = json.dumps(header(2) | {"conversations": [plain()]}).encode()
        with pytest.raises(ImportRejected, match="version 2 of chatvault's export"):
            read(data)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"role": "root"}, "no known role"),
            ({"content": None}, "is no text"),
            ({"commands": [{"status": "?"}]}, "'commands' are wrong"),
            ({"tool_calls": [{}]}, "'tool_calls' are wrong"),
            ({"input_tokens": "many"}, "'input_tokens' is wrong"),
            ({"reply_id": 7}, "'reply_id' is wrong"),
            ({"extra": {"n": 2**70}}, "64 bits"),
            ({"id": "m1"}, "id of another message"),
        ],
    )
    def test_skips_what_cannot_be_stored(self, change: Any, reason: str) -> None:
        good = {"id": "m1", "role": "user", "content": "a"}
        bad = {"id": "m2", "role": "user", "content": "b"} | change
        content = imports.read(file(plain(messages=[good, bad]), plain(title="B")), format=None)
        assert [each.title for each in content.conversations] == ["B"]
        assert reason in content.skipped[0].reason

    @settings(max_examples=60)
    @given(
        change=st.dictionaries(
            st.sampled_from(
                ["id", "title", "status", "tags", "metadata", "created_at", "updated_at", "source",
                 "last_message_at", "archived_at", "agent_id", "system_prompt", "summary",
                 "total_tokens_used", "messages", "completeness", "active_leaf", "mcp_enabled"]
            ),
            FREE | st.lists(st.dictionaries(st.sampled_from(["id", "role", "content", "parts",
                "parent_id", "timestamp", "extra", "hidden", "metrics"]), FREE), max_size=3),
            max_size=4,
        )
    )  # fmt: skip
    def test_never_fails_unexpectedly(self, change: dict[str, Any]) -> None:
        content = imports.read(file(plain(**change)), format=None)
        for each in content.conversations:
            assert each.updated_at <= datetime.now(UTC)
            assert all(isinstance(found["content"], str) for found in stored_messages(each))

    def test_ignores_a_list_of_files(self) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("export.json", json.dumps(header() | {"end": {}}))
            archive.writestr("a.json", file(plain()))
        [found] = read(packed.getvalue())
        assert found.title == "Plain"


async def export(client: HttpClient, shape: str) -> bytes:
    answer = await client.get(f"/conversations/export?format={shape}")
    assert answer.status == 200
    return await answer.read()


async def bring(client: HttpClient, data: bytes, query: str = "") -> dict[str, Any]:
    answer = await client.post(f"/imports{query}", data=data)
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


def outcomes(told: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in told["conversations"]]


def comparable(data: bytes) -> list[dict[str, Any]]:
    """The conversations without what is the account's: ids, the key of the import, the version."""
    found = json.loads(data)["conversations"]
    for each in found:
        del each["id"], each["source"], each["version"]
    return sorted(found, key=lambda each: each["title"])
