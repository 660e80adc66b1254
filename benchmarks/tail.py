"""How long the embedded tail should be: appends and reads at several bounds, interleaved.

Run by `python benchmarks/tail.py`; the figures stand in the decision on segments.
"""

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from unittest import mock

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door, Role
from chatvault.audit.keys import load_key_ring
from chatvault.conversations import segments, service
from chatvault.conversations.commits import working_copy
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.messages import append_service
from chatvault.conversations.reading import pages as reading
from chatvault.conversations.reading.listing import LIST_BYTES, show_list
from chatvault.conversations.schemas import ConversationCreate, MessageIn
from chatvault.conversations.store import MessageStore
from chatvault.documents import bind_documents
from chatvault.mongodb.database import connect
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.settings import Settings

BOUNDS = ((8, 4), (16, 8), (32, 16), (48, 16), (64, 32), (128, 64), (256, 128))
CONVERSATIONS = 32
ROUNDS = 5
SECONDS = 2.0
CONTENT = "x" * 400


async def append_for_a_while(actor: Actor, commits: CommitQueue, ids: list[ObjectId]) -> float:
    """Appends a second, by one appender a conversation."""
    end = time.perf_counter() + SECONDS

    async def appender(conversation_id: ObjectId) -> int:
        count = 0
        while time.perf_counter() < end:
            wanted = [MessageIn(role="user", content=CONTENT)]
            await append_service.append(
                actor, commits, conversation_id=conversation_id, wanted=wanted
            )
            count += 1
        return count

    return sum(await asyncio.gather(*map(appender, ids))) / SECONDS


async def read_for_a_while(
    access: Access, store: MessageStore, ids: list[ObjectId]
) -> tuple[float, float]:
    """Milliseconds to read the newest 50 messages, and to list all conversations with them."""
    newest, lists = [], []
    for conversation_id in ids:
        began = time.perf_counter()
        await reading.read_consistently(
            access,
            store,
            conversation_id,
            lambda conversation: reading.read_before(access, store, conversation, 2**53, 50),
        )
        newest.append(time.perf_counter() - began)
    for _ in range(10):
        began = time.perf_counter()
        heads, _ = await store.list_conversations(access, which={}, limit=50, offset=0)
        await show_list(access, store, heads, LIST_BYTES)
        lists.append(time.perf_counter() - began)
    return statistics.median(newest) * 1000, statistics.median(lists) * 1000


async def measure(url: str, settings: Settings) -> None:
    """Interleave the bounds and print medians, and ratios to the bound in use."""
    client = connect(url, settings)
    await bind_documents(client, settings.mongodb_database, load_key_ring(settings))
    commits = CommitQueue(MessageStore())
    seen: dict[tuple[int, int], list[tuple[float, float, float]]] = defaultdict(list)
    actors = {}
    for bound in BOUNDS:
        actor = Actor(door=Door.BACKGROUND, user_id=ObjectId(), role=Role.USER)
        wanted = ConversationCreate()
        actors[bound] = (
            actor,
            [await service.create(actor, commits, wanted=wanted) for _ in range(CONVERSATIONS)],
        )
    for number in range(ROUNDS + 1):
        for bound, (actor, ids) in actors.items():
            length, kept = bound
            with (
                mock.patch.object(working_copy, "TAIL_LENGTH", length),
                mock.patch.object(segments, "TAIL_KEPT", kept),
            ):
                rate = await append_for_a_while(actor, commits, ids)
                await commits.drain()
                if number:  # the first round fills the tails
                    seen[bound].append(
                        (rate, *await read_for_a_while(Access.of(actor), commits.store, ids))
                    )
    await client.close()
    chosen = _medians(seen[segments.TAIL_LENGTH, segments.TAIL_KEPT])
    print("tail  kept  appends/s  newest 50 ms  list 50 ms   ratios to the bound in use")
    for (length, kept), rounds in seen.items():
        medians = _medians(rounds)
        ratios = "  ".join(f"{a / b:.2f}" for a, b in zip(medians, chosen, strict=True))
        rate, newest, listed = medians
        print(f"{length:4}  {kept:4}  {rate:9.0f}  {newest:12.2f}  {listed:10.2f}   {ratios}")


def _medians(rounds: list[tuple[float, float, float]]) -> tuple[float, ...]:
    return tuple(statistics.median(column) for column in zip(*rounds, strict=True))


def main() -> None:
    """Measure on a MongoDB of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), mongodb_database="tail")
        with embedded_mongodb(Path(folder)) as url:
            asyncio.run(measure(url, settings))


if __name__ == "__main__":
    main()
