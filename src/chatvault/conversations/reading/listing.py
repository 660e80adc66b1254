"""List conversations with as many of their messages as the list's budget allows."""

import asyncio
from functools import partial

from chatvault.access import Access
from chatvault.conversations.reading.consistency import ReadConflict, has_segments
from chatvault.conversations.reading.pages import ConversationView, read_consistently
from chatvault.conversations.reading.paths import is_branched
from chatvault.conversations.reading.rendering import render_older, show
from chatvault.conversations.reading.wire import run_wire
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, NotFound

# The messages in a list, in BSON bytes; docs/api.md states it.
LIST_BYTES = 8 * 1024 * 1024
MAX_LISTED = 200
# A conversation up to this size is whole in every answer, however long the list.
SURE_BYTES = LIST_BYTES // MAX_LISTED


async def show_list(
    access: Access, store: MessageStore, documents: list[ConversationDoc], budget: int
) -> list[ConversationView]:
    """Return conversations with their messages: small ones whole, others within the budget.

    Args:
        access: to their owner's data.
        store: reads the messages.
        documents: their documents without messages.
        budget: BSON bytes of messages; a conversation that does not fit whole has its newest
            messages, or none once the budget is used up.
    """
    whole = {fields["_id"] for fields in documents if fields["message_bytes"] <= SURE_BYTES}
    tails = set()
    budget -= sum(fields["message_bytes"] for fields in documents if fields["_id"] in whole)
    for fields in documents:
        if fields["_id"] in whole:
            continue
        if fields["message_bytes"] <= budget:
            whole.add(fields["_id"])
            budget -= fields["message_bytes"]
        elif fields["tail_bytes"] <= budget:
            tails.add(fields["_id"])
            budget -= fields["tail_bytes"]
    read = await store.find_conversations(access, [*whole, *tails])
    # The segments of all of them are read by one query.
    shown = {each: _show(access, store, read[each], is_whole=each in whole) for each in read}
    views = dict(zip(shown, await asyncio.gather(*shown.values()), strict=True))
    return [views.get(each["_id"]) or ConversationView(each, []) for each in documents]


async def _show(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    *,
    is_whole: bool,
) -> ConversationView:
    """Return a conversation with all its messages, or with those of its tail."""
    try:
        if is_branched(conversation):
            return await show(access, store, conversation)
        tail = run_wire(conversation["messages"], conversation["tail_seq"])
        if not is_whole or not has_segments(conversation):
            return ConversationView(conversation, tail)
        older = await render_older(access, store, conversation)
        return ConversationView(conversation, tail, older.json, older.count)
    except ReadConflict:
        return await _reread(access, store, conversation)


async def _reread(
    access: Access, store: MessageStore, conversation: ConversationDoc
) -> ConversationView:
    """Return a conversation that changed while it was read.

    If it keeps changing, it has its newest messages only.
    """
    try:
        return await read_consistently(
            access, store, conversation["_id"], partial(show, access, store)
        )
    except (NotFound, Busy):
        newest = run_wire(conversation["messages"], conversation["tail_seq"])
        return ConversationView(conversation, newest)
