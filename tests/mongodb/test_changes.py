"""The reader of change streams: each change once, in order, whatever happens meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, OperationFailure

from chatvault.mongodb import changes
from chatvault.mongodb.changes import Batch, ChangeStream, StreamLost, Watched, follow, watch
from chatvault.mongodb.database import connect
from chatvault.settings import Settings
from support.sealing import LOST_TOKEN, Killed

MINE: list[dict[str, Any]] = [{"$match": {"operationType": "insert", "fullDocument.kind": "mine"}}]
NUMBER: list[dict[str, Any]] = [{"$project": {"fullDocument.number": True}}]


@pytest.fixture
async def collection(settings: Settings, mongodb_url: str) -> AsyncIterator[Any]:
    """A collection of its own, empty."""
    client = connect(mongodb_url, settings)
    name = f"changes-{ObjectId()}"
    yield await client["tests-changes"].create_collection(name)
    await client.drop_database("tests-changes")
    await client.close()


@pytest.fixture
def watched(collection: Any) -> Watched:
    return Watched(collection=collection, pipeline=MINE + NUMBER, await_seconds=0.05)


async def write(collection: Any, *numbers: int, kind: str = "mine") -> None:
    await collection.insert_many([{"number": number, "kind": kind} for number in numbers])


async def exhaust(stream: ChangeStream) -> None:
    while True:
        assert await stream.read() == []


async def next_of(batches: AsyncGenerator[Batch]) -> Batch:
    return await asyncio.wait_for(anext(batches), 20)


def numbers(found: Any) -> list[int]:
    return [change["fullDocument"]["number"] for change in found]


class TestRead:
    async def test_returns_matching_changes_in_order(
        self, collection: Any, watched: Watched
    ) -> None:
        async with watch(watched) as stream:
            await write(collection, 0, 1)
            await write(collection, 2, kind="another's")
            await write(collection, 3)
            found: list[Any] = []
            while len(found) < 3:
                found += await stream.read()

        assert numbers(found) == [0, 1, 3]
        assert found[0].keys() == {"_id", "fullDocument"}

    async def test_returns_to_each_stream_its_own_changes(
        self, collection: Any, watched: Watched
    ) -> None:
        others = Watched(
            collection=collection,
            pipeline=[{"$match": {"fullDocument.kind": "another's"}}],
            await_seconds=0.05,
        )
        async with watch(watched) as mine, watch(others) as another:
            await write(collection, 1)
            await write(collection, 2, kind="another's")
            assert numbers(await mine.read()) == [1]
            assert numbers(await another.read()) == [2]

    async def test_continues_after_its_token(self, collection: Any, watched: Watched) -> None:
        async with watch(watched) as stream:
            await write(collection, 0, 1, 2)
            assert numbers(await stream.read(2)) == [0, 1]
            token = stream.token
        await write(collection, 3)
        async with watch(watched, token) as stream:
            found = [*await stream.read(), *await stream.read()]

        assert numbers(found) == [2, 3]

    async def test_collects_changes_into_batches(self, collection: Any, watched: Watched) -> None:
        slow = Watched(collection=collection, pipeline=MINE, gather_seconds=0.3)
        async with watch(slow) as stream:
            await write(collection, 0)
            assert numbers(await stream.read()) == [0]
            reading = asyncio.create_task(stream.read())
            for number in range(1, 6):
                await write(collection, number)
            assert numbers(await reading) == [1, 2, 3, 4, 5]

    async def test_advances_its_token_if_nothing_matches(
        self, collection: Any, watched: Watched
    ) -> None:
        async with watch(watched) as stream:
            before = stream.token
            async with asyncio.timeout(60):
                while stream.token == before:
                    # MongoDB moves it past a write once it has seen a later one.
                    await write(collection, 0, kind="another's")
                    assert await stream.read() == []

    async def test_reports_a_token_that_mongodb_has_lost(self, watched: Watched) -> None:
        with pytest.raises(StreamLost):
            async with watch(watched, LOST_TOKEN):
                pass

    @pytest.mark.parametrize("how", ["drop", "rename"])
    async def test_reports_a_dropped_collection(
        self, collection: Any, watched: Watched, how: str
    ) -> None:
        """Even where the `$match` hides it."""
        async with watch(watched) as stream:
            await write(collection, 0)
            await (collection.drop() if how == "drop" else collection.rename(f"{ObjectId()}"))
            assert numbers(await stream.read()) == [0]
            with pytest.raises(StreamLost):
                await asyncio.wait_for(exhaust(stream), 60)

    async def test_loses_nothing_if_cancelled_at_any_point(
        self, collection: Any, watched: Watched
    ) -> None:
        found: list[Any] = []
        async with watch(watched) as stream:
            token = stream.token

        async def read() -> None:
            nonlocal token, found
            async with watch(watched, token) as stream:
                for _ in range(3):
                    more = await stream.read(2)
                    found, token = found + more, stream.token

        for at in range(1, 200):
            await write(collection, at)
            killed = Killed(read(), at=at)
            await killed
            if killed.is_done:
                break
        assert killed.is_done
        while len(found) < at:
            await read()
        assert numbers(found) == list(range(1, at + 1))


class TestFollow:
    async def test_begins_with_a_gap_and_continues_after_a_token(
        self, collection: Any, watched: Watched
    ) -> None:
        async with aclosing(follow(watched)) as batches:
            first = await next_of(batches)
            await write(collection, 0)
            second = await next_of(batches)
        await write(collection, 1)
        async with aclosing(follow(watched, second.token)) as batches:
            third = await next_of(batches)

        assert (first.changes, first.is_gap) == ([], True)
        assert (numbers(second.changes), second.is_gap) == ([0], False)
        assert (numbers(third.changes), third.is_gap) == ([1], False)

    async def test_reports_a_gap_once_the_next_stream_is_open(
        self, collection: Any, watched: Watched
    ) -> None:
        await write(collection, 0)
        async with aclosing(follow(watched, LOST_TOKEN)) as batches:
            assert (await next_of(batches)).is_gap
            await write(collection, 1)
            assert numbers((await next_of(batches)).changes) == [1]
            await collection.drop()
            assert (await next_of(batches)).is_gap
            await write(collection, 2)
            assert numbers((await next_of(batches)).changes) == [2]

    async def test_waits_while_mongodb_is_unreachable(
        self, collection: Any, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "FIRST_PAUSE", 0.01)
        opened, tries = AsyncCollection.watch, []

        async def away(self: Any, *arguments: Any, **more: Any) -> Any:
            tries.append(asyncio.get_running_loop().time())
            if len(tries) < 6:
                raise AutoReconnect("away")
            return await opened(self, *arguments, **more)

        async with watch(watched) as stream:
            token = stream.token
        await write(collection, 0)
        monkeypatch.setattr(AsyncCollection, "watch", away)
        async with aclosing(follow(watched, token)) as batches:
            batch = await next_of(batches)

        assert (numbers(batch.changes), batch.is_gap) == ([0], False)
        pauses = [after - before for before, after in itertools.pairwise(tries)]
        assert pauses[-1] > 4 * pauses[0]

    async def test_raises_errors_other_than_outages(self, collection: Any) -> None:
        wrong = Watched(collection=collection, pipeline=[{"$nonsense": {}}])
        async with aclosing(follow(wrong)) as batches:
            with pytest.raises(OperationFailure):
                await next_of(batches)
