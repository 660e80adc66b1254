"""A backup beside a service at work: one moment, in all collections."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import bson
import pytest

from chatvault.actor import Actor, Door
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.backup import service, snapshot
from chatvault.backup.errors import SnapshotLost
from chatvault.backup.files import BackupReader
from chatvault.conversations.shapes import ConversationDoc, SegmentDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import Denied
from chatvault.mongodb.database import Client
from chatvault.sealing.sealer import Sealer
from conftest import HttpClient
from support.codecs import usual_codec
from support.factories import begin, message
from support.stored import tiny_bounds, whole

OPERATOR = Actor(door=Door.CLI)
MINIMAL = {"Prefer": "return=minimal"}
Documents = dict[str, list[dict[str, Any]]]


def stored_in(path: Path) -> Documents:
    with BackupReader.open(path) as reader:
        found: Documents = {}
        for name, documents in reader.batches():
            found.setdefault(name, []).extend(map(bson.decode, documents))
    return found


async def back_up(path: Path) -> service.BackedUp:
    return await service.back_up(
        OPERATOR, Recorder(), path=path, with_keys=False, count=lambda _: None
    )


async def assert_is_one_moment(found: Documents) -> None:
    """Each conversation has all its messages once, and one audit entry for each version."""
    store = MessageStore(usual_codec())
    heads = cast("list[ConversationDoc]", found["conversations"])
    await store.open_conversations(heads, aware=True)
    await store.open_segments(cast("list[SegmentDoc]", found["segments"]), aware=True)
    segments: dict[Any, list[dict[str, Any]]] = {}
    for segment in sorted(found["segments"], key=lambda each: each["start"]):
        segments.setdefault(segment["generation"], []).append(segment)
    told = Counter(
        each["resource_id"]
        for each in found["audit_logs"]
        if (each["details"] or {}).get("version") and each["outcome"] == "success"
    )
    for head in found["conversations"]:
        shown = whole(head, segments.pop(head["generation"], []))
        assert len(shown.segments) > 1
        assert told[str(head["_id"])] == head["version"]
    assert not segments


class TestMoment:
    async def test_is_the_same_in_all_collections(
        self,
        alice: HttpClient,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tiny_bounds(monkeypatch)
        begun = [await begin(alice) for _ in range(2)]
        read, appended = snapshot.read_documents, 0

        async def append_to(conversation: dict[str, Any]) -> None:
            nonlocal appended
            path = f"/conversations/{conversation['id']}/messages"
            answer = await alice.post(path, json=message("m"), headers=MINIMAL)
            assert answer.status == 200
            appended += 1

        async def append_beside(*of: Any) -> AsyncIterator[bytes]:
            # Some are stored before each collection is read, others while it is.
            await append_to(begun[0])
            beside = asyncio.create_task(append_to(begun[1]))
            async for batch in read(*of):
                yield batch
            await beside

        monkeypatch.setattr(service, "read_documents", append_beside)
        await asyncio.gather(*(append_to(each) for each in begun for _ in range(9)))
        done = await back_up(tmp_path / "x")

        assert appended > 60
        found = stored_in(tmp_path / "x")
        await assert_is_one_moment(found)
        assert {name: len(each) for name, each in found.items()} == done.end.counts

    async def test_has_the_newest_block_as_its_checkpoint(
        self, alice: HttpClient, tmp_path: Path, own_application: None
    ) -> None:
        await begin(alice)
        await Sealer().follow(until_idle=True)
        done = await back_up(tmp_path / "x")

        found = stored_in(tmp_path / "x")
        newest = max(found["audit_blocks"], key=lambda block: block["_id"])
        assert done.end.checkpoint is not None
        assert done.end.checkpoint["header"] == bson.encode(newest["header"])
        assert done.end.audit_keys == [newest["header"]["key_id"]]

    async def test_leaves_sessions_and_the_like_out(
        self, alice: HttpClient, database: Any, tmp_path: Path
    ) -> None:
        await database.sessions.find_one_and_update({}, {"$set": {"address": "192.0.2.7"}})
        await back_up(tmp_path / "x")
        found = stored_in(tmp_path / "x")
        volatile = {"sessions", "leases", "rate_limits", "restores", "search_files", "exports"}
        assert not volatile & found.keys()
        assert [each["username"] for each in found["users"]] == ["alice"]

    async def test_leaves_mongodb_as_it_was(self, alice: HttpClient, tmp_path: Path) -> None:
        client: Client = AuditEntry.get_pymongo_collection().database.client
        parameter = {"getParameter": 1, snapshot._WINDOW: 1}
        before = await client.admin.command(parameter)
        during = []

        async with snapshot.open_snapshot(client):
            during.append((await client.admin.command(parameter))[snapshot._WINDOW])

        assert during == [snapshot.HISTORY_SECONDS]
        after = await client.admin.command(parameter)
        assert after[snapshot._WINDOW] == before[snapshot._WINDOW]

    async def test_is_reported_if_mongodb_does_not_show_it(
        self, alice: HttpClient, database: Any, tmp_path: Path
    ) -> None:
        """A collection that is made after the moment cannot be read at the moment."""
        client: Client = AuditEntry.get_pymongo_collection().database.client
        async with snapshot.open_snapshot(client) as session:
            await database.users.find_one({}, session=session)
            await database["made-since"].insert_one({})
            try:
                with pytest.raises(SnapshotLost, match="made-since was made or rebuilt"):
                    await anext(snapshot.read_documents(database["made-since"], session))
            finally:
                await database["made-since"].drop()


class TestOperator:
    async def test_is_required(self, alice: HttpClient, tmp_path: Path) -> None:
        someone = Actor(door=Door.HTTP, user_id=bson.ObjectId())
        with pytest.raises(Denied):
            await service.back_up(
                someone, Recorder(), path=tmp_path / "x", with_keys=False, count=lambda _: None
            )
        assert not os.listdir(tmp_path)  # noqa: PTH208  # pathlib's is not for async functions

    async def test_is_in_the_audit_log_before_anything_is_read(
        self, alice: HttpClient, tmp_path: Path
    ) -> None:
        done = await back_up(tmp_path / "x")
        entries = stored_in(tmp_path / "x")["audit_logs"]
        [entry] = [each for each in entries if each["action"] == "audit.backup"]
        assert (entry["resource_id"], entry["door"]) == (done.header.id, "cli")
