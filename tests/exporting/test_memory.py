"""Exports of long conversations in little memory."""

import gc
import tracemalloc

import psutil  # type: ignore[import-untyped]  # it carries no annotations
import pytest

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.models import Conversation
from chatvault.conversations.schemas import ConversationCreate
from chatvault.conversations.service import create
from chatvault.conversations.store import MessageStore
from chatvault.exporting import service
from chatvault.exporting.formats import WRITERS
from chatvault.exporting.pdf.typesetter import Typesetter
from chatvault.exporting.schemas import ConversationFormat
from chatvault.exporting.turns import ExportDeps
from conftest import HttpClient
from support.factories import message
from support.stored import somebody

MB = 1024**2


async def make(actor: Actor, store: MessageStore, *, count: int, size: int) -> None:
    commits = CommitQueue(store)
    wanted = ConversationCreate.model_validate({"messages": [message("x" * size)] * count})
    await create(actor, commits, wanted=wanted)
    await commits.drain()


async def export(actor: Actor, store: MessageStore, shape: ConversationFormat | None) -> int:
    """Read an export to its end, everything where no format is named; return the most memory."""
    deps = ExportDeps(store, Recorder(), Typesetter())
    if shape is None:
        made = await service.export_user(actor, deps)
    else:
        made = await service.export_conversations(actor, deps, wanted=shape)
    process, most, size = psutil.Process(), 0, 0
    async for chunk in made.chunks:
        most = max(most, process.memory_info().rss)
        size += len(chunk)
    assert size > 0
    assert (
        made.counts.conversations
        == await Conversation.find(Conversation.owned_by(Access.of(actor))).count()
    )
    return most


class TestMemory:
    @pytest.mark.parametrize("shape", [ConversationFormat.MARKDOWN, None], ids=str)
    async def test_is_bounded_by_a_few_messages(
        self, http: HttpClient, shape: ConversationFormat | None
    ) -> None:
        actor, store = somebody(), MessageStore()
        await make(actor, store, count=60, size=1000 * 1024)
        gc.collect()
        tracemalloc.start()
        try:
            await export(actor, store, shape)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 20 * MB

    @pytest.mark.long
    @pytest.mark.parametrize("shape", [*WRITERS, None], ids=str)
    async def test_is_the_same_for_20_000_messages(
        self, http: HttpClient, shape: ConversationFormat | None
    ) -> None:
        actor, other, store = somebody(), somebody(), MessageStore()
        for _ in range(20):
            await make(actor, store, count=1000, size=4096)
        await make(actor, store, count=20_000, size=1024)
        await make(other, store, count=1000, size=4096)
        # What imports and pools of memory take, they take once.
        await export(other, store, shape)
        gc.collect()
        before = psutil.Process().memory_info().rss

        most = await export(actor, store, shape)

        assert most - before < 24 * MB
