"""List conversations with as many of their messages as the list's budget allows."""

from functools import partial

from chatvault.access import Access
from chatvault.conversations.reading.consistency import (
    ReadConflict,
    check_unchanged,
    has_segments,
    not_deleted,
    number,
    window,
)
from chatvault.conversations.reading.pages import ConversationView, read_consistently
from chatvault.conversations.reading.paths import is_branched
from chatvault.conversations.reading.rendering import show
from chatvault.conversations.reading.wire import messages_wire, run_wire
from chatvault.conversations.shapes import ConversationDoc, SegmentDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, NotFound
from chatvault.fields import Raw

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
    long = [
        each["generation"] for each in read.values() if each["_id"] in whole and has_segments(each)
    ]
    segments = await store.list_segments_of(access, long)
    shown = []
    for fields in documents:
        conversation = read.get(fields["_id"])
        if conversation is None:
            shown.append(ConversationView(fields, []))
            continue
        runs = segments.get(conversation["generation"], [])
        try:
            if is_branched(conversation):
                shown.append(await show(access, store, conversation))
                continue
            shown.append(ConversationView(conversation, _assemble(conversation, runs)))
        except ReadConflict:
            shown.append(await _reread(access, store, conversation))
    return shown


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


def _assemble(conversation: ConversationDoc, segments: list[SegmentDoc]) -> list[Raw]:
    """Join the parts of a conversation: its tail, and the segments that were read with it.

    Raises:
        ReadConflict: the segments changed since its document was read.
    """
    first = conversation["first_seq"]
    if not segments:
        return run_wire(conversation["messages"], conversation["tail_seq"])
    tail = number(conversation["messages"], conversation["tail_seq"])
    messages: list[StoredMessage] = []
    for segment in segments:
        check_unchanged(segment, conversation)
        messages += number(segment["messages"], first + segment["start"])
    return messages_wire(not_deleted(window(messages + tail, first, conversation["next_seq"])))
