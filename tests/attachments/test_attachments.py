"""Files beside conversations: stored once for a user, read in ranges, gone with the last use."""

import asyncio
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.attachments import files
from chatvault.attachments.files import PART
from chatvault.attachments.models import AttachmentPart
from chatvault.conversations.commits import garbage
from chatvault.conversations.store import MessageStore
from chatvault.fields import now
from chatvault.settings import Settings
from conftest import HttpClient
from support.answers import problem
from support.factories import begin, settings_for

BIG = bytes(range(256)) * (PART * 10 // 256) + b"the end"


async def upload(
    client: HttpClient, conversation: dict[str, Any], data: bytes, **more: Any
) -> dict[str, Any]:
    answer = await client.post(
        f"/conversations/{conversation['id']}/attachments",
        params={"name": more.pop("name", "map.png")},
        data=io.BytesIO(data),
        headers={"Content-Type": "image/png", **more},
    )
    assert answer.status == 201, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


def path_of(conversation: dict[str, Any], attachment: dict[str, Any]) -> str:
    return f"/conversations/{conversation['id']}/attachments/{attachment['id']}"


async def listed(client: HttpClient, conversation: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get(f"/conversations/{conversation['id']}/attachments")
    found: list[dict[str, Any]] = (await answer.json())["attachments"]
    return found


async def count(database: Any) -> tuple[int, int, int]:
    """Return how many attachments, files and parts there are."""
    return (
        await database.attachments.count_documents({}),
        await database.attachment_files.count_documents({}),
        await database.attachment_parts.count_documents({}),
    )


async def let_an_hour_pass(database: Any) -> None:
    hour = timedelta(hours=1, minutes=1)
    for collection, name in (("attachment_files", "check_at"), ("retired", "due_at")):
        async for each in database[collection].find({name: {"$ne": None}}):
            earlier = {"$set": {name: each[name] - hour}}
            await database[collection].update_one({"_id": each["_id"]}, earlier)


async def sweep(database: Any) -> None:
    await let_an_hour_pass(database)
    await garbage.sweep(MessageStore(), (), files.release)
    await let_an_hour_pass(database)
    await files.collect()


class TestUpload:
    async def test_returns_the_same_bytes(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice)
        made = await upload(alice, begun, BIG)
        answer = await alice.get(path_of(begun, made))

        assert await answer.read() == BIG
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="map.png"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Content-Length"] == str(len(BIG))
        assert await listed(alice, begun) == [made]
        assert (made["name"], made["size"], made["state"]) == ("map.png", len(BIG), "present")
        assert await count(database) == (1, 1, 11)
        parts = AttachmentPart.get_pymongo_collection()
        assert max([len(each["data"]) async for each in parts.find()]) == PART

    async def test_accepts_an_empty_file(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        answer = await alice.get(path_of(begun, await upload(alice, begun, b"")))

        assert (answer.status, await answer.read()) == (200, b"")

    async def test_serves_html_as_plain_bytes(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        kind = {"Content-Type": "text/html; charset=utf-8"}
        made = await upload(alice, begun, b"<script>", name='a"\r\n.html', **kind)
        answer = await alice.get(path_of(begun, made))

        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert "\n" not in answer.headers["Content-Disposition"]
        assert await answer.read() == b"<script>"

    async def test_stores_equal_bytes_once_for_a_user(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        conversations = [await begin(alice), await begin(alice)]
        for each in [*conversations, conversations[0]]:
            await upload(alice, each, b"same")
        assert await count(database) == (3, 1, 1)

        await upload(bob, await begin(bob), b"same")

        assert await count(database) == (4, 2, 2)
        macs = [each["mac"] async for each in database.attachment_files.find()]
        assert len(set(macs)) == 2

    async def test_stores_equal_bytes_of_concurrent_uploads_once(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        await asyncio.gather(*(upload(alice, begun, b"same") for _ in range(5)))
        await sweep(database)

        assert await count(database) == (5, 1, 1)

    async def test_recognises_a_repeat_by_its_key(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice)
        made = [await upload(alice, begun, b"x", **{"Idempotency-Key": "k"}) for _ in range(2)]

        assert made[0] == made[1]
        assert await count(database) == (1, 1, 1)
        answer = await alice.post(
            f"/conversations/{begun['id']}/attachments?name=map.png",
            data=b"y",
            headers={"Idempotency-Key": "k"},
        )
        await problem(answer, 422, "idempotency_key_reused")

    async def test_raises_the_conversations_version(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        await upload(alice, begun, b"x")
        found = await (await alice.get(f"/conversations/{begun['id']}")).json()

        assert found["version"] == begun["version"] + 1


class TestRange:
    @pytest.mark.parametrize(
        ("wanted", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=5-", 5, len(BIG)),
            ("bytes=-7", len(BIG) - 7, len(BIG)),
            (f"bytes={PART - 1}-{PART}", PART - 1, PART + 1),
            (f"bytes={PART}-{3 * PART}", PART, 3 * PART + 1),
            ("bytes=10-999999999", 10, len(BIG)),
        ],
    )
    async def test_returns_the_requested_bytes(
        self, alice: HttpClient, wanted: str, start: int, end: int
    ) -> None:
        begun = await begin(alice)
        path = path_of(begun, await upload(alice, begun, BIG))
        answer = await alice.get(path, headers={"Range": wanted})

        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BIG)}"
        assert await answer.read() == BIG[start:end]

    @pytest.mark.parametrize("wanted", ["bytes=3-1", "bytes=0-1,4-5", "lines=1-2", "bytes=-"])
    async def test_returns_all_bytes_for_an_invalid_range(
        self, alice: HttpClient, wanted: str
    ) -> None:
        begun = await begin(alice)
        path = path_of(begun, await upload(alice, begun, b"0123456789"))
        answer = await alice.get(path, headers={"Range": wanted})

        assert (answer.status, await answer.read()) == (200, b"0123456789")

    async def test_refuses_a_range_beyond_the_end(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        path = path_of(begun, await upload(alice, begun, b"0123456789"))

        for wanted in ("bytes=10-", "bytes=-0"):
            answer = await alice.get(path, headers={"Range": wanted})
            await problem(answer, 416, "range_not_satisfiable")


class TestDeletion:
    async def test_removes_the_bytes_with_their_last_use(
        self, alice: HttpClient, database: Any
    ) -> None:
        first, second = await begin(alice), await begin(alice)
        await upload(alice, first, BIG)
        kept = await upload(alice, second, BIG)
        await upload(alice, first, b"of the first only")
        await sweep(database)
        assert await count(database) == (3, 2, 12)

        await alice.delete(f"/conversations/{first['id']}?permanent=true")
        await sweep(database)

        assert await count(database) == (1, 1, 11)
        assert await (await alice.get(path_of(second, kept))).read() == BIG

        await alice.delete("/conversations")
        await alice.delete("/trash")
        await sweep(database)

        assert await count(database) == (0, 0, 0)

    async def test_keeps_bytes_that_are_uploaded_again(
        self, alice: HttpClient, database: Any
    ) -> None:
        first, second = await begin(alice), await begin(alice)
        await upload(alice, first, b"bytes")
        await alice.delete(f"/conversations/{first['id']}?permanent=true")
        await let_an_hour_pass(database)
        await garbage.sweep(MessageStore(), (), files.release)
        await let_an_hour_pass(database)
        made = await upload(alice, second, b"bytes")
        await files.collect()

        assert await (await alice.get(path_of(second, made))).read() == b"bytes"

    async def test_checks_again_a_file_released_during_the_check(
        self, alice: HttpClient, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await begin(alice)
        await upload(alice, first, b"bytes")
        await alice.delete(f"/conversations/{first['id']}?permanent=true")
        await let_an_hour_pass(database)
        await database.attachment_files.update_many({}, {"$set": {"check_at": now()}})
        delete_many = AsyncCollection.delete_many

        async def collect_first(collection: Any, *args: Any, **kwargs: Any) -> Any:
            if collection.name == "attachments":
                await files.collect()
            return await delete_many(collection, *args, **kwargs)

        monkeypatch.setattr(AsyncCollection, "delete_many", collect_first)
        await garbage.sweep(MessageStore(), (), files.release)
        await let_an_hour_pass(database)
        await files.collect()

        assert await count(database) == (0, 0, 0)

    async def test_removes_bytes_without_an_attachment(
        self, alice: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        await upload(alice, begun, BIG)
        await database.attachments.delete_many({})
        await database.attachment_files.update_one({}, {"$unset": {"mac": ""}})
        await files.collect()
        assert await count(database) == (0, 1, 11)

        await let_an_hour_pass(database)
        await files.collect()

        assert await count(database) == (0, 0, 0)


class TestOwnership:
    async def test_hides_attachments_from_others(self, alice: HttpClient, bob: HttpClient) -> None:
        begun, his = await begin(alice), await begin(bob)
        made = await upload(alice, begun, b"secret")

        for path in (path_of(begun, made), path_of(his, made)):
            await problem(await bob.get(path), 404, "not_found")
        assert await listed(bob, his) == []


class TestLimits:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return settings_for(tmp_path, attachment_megabytes=1, attachments_megabytes=2)

    async def test_refuse_a_file_that_is_too_large(self, alice: HttpClient) -> None:
        begun = await begin(alice)
        answer = await alice.post(
            f"/conversations/{begun['id']}/attachments?name=a", data=io.BytesIO(bytes(2**20 + 1))
        )
        await problem(answer, 413, "too_large")

    async def test_refuse_more_than_a_user_may_have(
        self, alice: HttpClient, bob: HttpClient, database: Any
    ) -> None:
        begun = await begin(alice)
        for number in range(2):
            await upload(alice, begun, bytes([number]) * 2**20)
        answer = await alice.post(f"/conversations/{begun['id']}/attachments?name=a", data=b"more")
        body = await problem(answer, 409, "attachment_limit_reached")
        assert "2 MB" in body["detail"]
        await upload(alice, begun, bytes([0]) * 2**20)
        await upload(bob, await begin(bob), b"his")

        assert await count(database) == (4, 3, 5 * 2 + 1)

    async def test_hold_for_concurrent_uploads(self, alice: HttpClient, database: Any) -> None:
        begun = await begin(alice)
        path = f"/conversations/{begun['id']}/attachments?name=a"
        answers = await asyncio.gather(
            *(alice.post(path, data=io.BytesIO(bytes([n]) * 2**20)) for n in range(4))
        )
        stored = [answer.status for answer in answers].count(201)

        assert stored <= 2
        kept = await database.attachment_files.count_documents({"mac": {"$type": "string"}})
        assert kept == stored
