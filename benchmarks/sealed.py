"""What sealing costs: processor time of operations on sealed content beside readable content.

Run by `python benchmarks/sealed.py`; the figures are in the README. The operations are called
without HTTP, whose time is the same for both, so that the ratios are higher than those of whole
requests.
"""

import asyncio
import gc
import random
import secrets
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bson import ObjectId
from cachetools import LRUCache

from chatvault.access import Access
from chatvault.actor import Actor, Door, Role
from chatvault.audit.keys import load_key_ring
from chatvault.audit.recorder import Recorder
from chatvault.conversations import service
from chatvault.conversations.codec import ContentCodec, PlainCodec
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.messages import append_service
from chatvault.conversations.reading import pages as reading
from chatvault.conversations.reading.listing import LIST_BYTES, show_list
from chatvault.conversations.reading.wire import conversation_wire, messages_wire, summary_wire
from chatvault.conversations.schemas import ConversationCreate, MessageIn
from chatvault.conversations.sealed import SealedCodec
from chatvault.conversations.segments import Segment
from chatvault.conversations.store import MessageStore
from chatvault.documents import bind_documents
from chatvault.encoding import to_json
from chatvault.mongodb.database import Client, connect
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.settings import Settings
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.masters import MasterKeys
from chatvault.vault.opened import OpenedValues

CONVERSATIONS = 50
LENGTHS = (30, 200)
ROUNDS = 31
WORDS = 80
VOCABULARY = [secrets.token_hex(random.randint(1, 5)) for _ in range(5000)]  # noqa: S311  # text


def _text() -> str:
    return " ".join(random.choices(VOCABULARY, k=WORDS))  # noqa: S311  # text


@dataclass
class Side:
    """One form of content: its codec, and a user with conversations."""

    codec: ContentCodec
    actor: Actor = field(
        default_factory=lambda: Actor(door=Door.HTTP, user_id=ObjectId(), role=Role.USER)
    )
    ids: dict[int, list[ObjectId]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = MessageStore(self.codec)
        self.commits = CommitQueue(self.store)
        self.recorder = Recorder()
        self.access = Access.of(self.actor)

    async def fill(self) -> None:
        """Make the conversations."""
        for length in LENGTHS:
            self.ids[length] = []
            for _ in range(CONVERSATIONS):
                messages = [MessageIn(role="user", content=_text()) for _ in range(length)]
                wanted = ConversationCreate(title=_text()[:60], messages=messages)
                self.ids[length].append(
                    await service.create(self.actor, self.commits, wanted=wanted)
                )
        await self.commits.drain()

    @contextmanager
    def without_kept(self) -> Iterator[None]:
        """Let nothing that is kept of messages be found in the block."""
        kept, self.store.rendered = self.store.rendered, LRUCache(1)
        keys = self.codec.keys if isinstance(self.codec, SealedCodec) else None
        opened = None if keys is None else keys.opened
        if keys is not None:
            keys.opened = OpenedValues(0)
        yield
        self.store.rendered = kept
        if keys is not None and opened is not None:
            keys.opened = opened

    async def append(self, conversation_id: ObjectId) -> None:
        """Append a message."""
        wanted = [MessageIn(role="user", content=_text())]
        await append_service.append(
            self.actor, self.commits, conversation_id=conversation_id, wanted=wanted
        )

    async def append_together(self) -> int:
        """Append to all short conversations at the same time."""
        await asyncio.gather(*map(self.append, self.ids[30]))
        return CONVERSATIONS

    async def append_alone(self) -> int:
        """Append to one short conversation after the other."""
        for each in self.ids[30][:20]:
            await self.append(each)
        return 20

    async def get_kept(self) -> int:
        """Read long conversations whose older messages are kept as JSON."""
        for each in self.ids[200][:20]:
            shown = await service.get(self.actor, self.store, self.recorder, conversation_id=each)
            to_json(conversation_wire(shown))
        return 20

    async def get_not_kept(self) -> int:
        """Read long conversations of which nothing is kept."""
        with self.without_kept():
            return await self.get_kept()

    async def newest(self) -> int:
        """Read the newest 50 messages of long conversations."""
        for each in self.ids[200][:20]:
            page = await reading.read_consistently(
                self.access,
                self.store,
                each,
                lambda found: reading.read_before(self.access, self.store, found, 2**53, 50),
            )
            to_json(messages_wire(page.messages))
        return 20

    async def list_heads(self) -> int:
        """List 50 conversations without messages."""
        for _ in range(5):
            found, _ = await self.store.list_conversations(
                self.access, which={}, limit=50, offset=0
            )
            to_json([summary_wire(each) for each in found])
        return 5

    async def list_with_messages(self) -> int:
        """List 20 conversations with their messages."""
        for _ in range(5):
            found, _ = await self.store.list_conversations(
                self.access, which={}, limit=20, offset=0
            )
            shown = await show_list(self.access, self.store, found, LIST_BYTES)
            to_json([conversation_wire(each) for each in shown])
        return 5


OPERATIONS: dict[str, Callable[[Side], Awaitable[int]]] = {
    "append": Side.append_together,
    "append alone": Side.append_alone,
    "get 200, kept": Side.get_kept,
    "get 200, none kept": Side.get_not_kept,
    "newest 50 of 200": Side.newest,
    "list 50": Side.list_heads,
    "list with messages": Side.list_with_messages,
}


async def _sizes(client: Client, database: str, sides: dict[str, Side]) -> None:
    """Print the BSON size of what each side stored."""
    for name, side in sides.items():
        total = 0
        for collection in ("conversations", "segments"):
            found = await client[database][collection].aggregate(
                [
                    {"$match": {"user_id": side.access.owner_id}},
                    {"$group": {"_id": None, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}}},
                ]
            )
            total += sum([each["bytes"] async for each in found])
        print(f"{name}: {total / 1e6:.2f} MB of BSON")


async def measure(url: str, settings: Settings) -> None:
    """Interleave the sides, and print medians and ratios."""
    client = connect(url, settings)
    await bind_documents(client, settings.mongodb_database, load_key_ring(settings))
    keys = DataKeys(MasterKeys([secrets.token_bytes(32)]))
    sides = {"readable": Side(PlainCodec()), "sealed": Side(SealedCodec(keys))}
    for side in sides.values():
        await side.fill()
    await _sizes(client, settings.mongodb_database, sides)
    segments = await Segment.get_pymongo_collection().count_documents({})
    print(f"{segments} segments")
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    gc.collect()
    gc.freeze()
    for number in range(ROUNDS):
        for operation, run in OPERATIONS.items():
            for name in sorted(sides, reverse=bool(number % 2)):
                began = time.process_time()
                count = await run(sides[name])
                seen[operation, name].append((time.process_time() - began) / count)
                await sides[name].commits.drain()
    await client.close()
    print(f"{'':20}  readable us  sealed us  ratio")
    for operation in OPERATIONS:
        # Without the first round, which warms up.
        both = [seen[operation, name][1:] for name in ("readable", "sealed")]
        plain, sealed = (statistics.median(each) * 1e6 for each in both)
        ratios = [b / a for a, b in zip(*both, strict=True)]
        half = 1.96 * statistics.stdev(ratios) / len(ratios) ** 0.5
        ratio = statistics.median(ratios)
        print(f"{operation:20}  {plain:11.0f}  {sealed:9.0f}  {ratio:.3f} +- {half:.3f}")


def main() -> None:
    """Measure on a MongoDB of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), mongodb_database="sealed", mongodb_timeout=60)
        with embedded_mongodb(Path(folder)) as url:
            asyncio.run(measure(url, settings))


if __name__ == "__main__":
    main()
