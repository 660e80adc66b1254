"""Render the messages in segments as JSON, cached as they are read often and rarely change."""

from chatvault.access import Access
from chatvault.conversations.kept_pages import RenderedPage
from chatvault.conversations.reading.consistency import ReadConflict, check_unchanged, has_segments
from chatvault.conversations.reading.pages import (
    WHOLE_BYTES,
    ConversationView,
    MessagePage,
    read_newest,
)
from chatvault.conversations.reading.paths import is_branched
from chatvault.conversations.reading.wire import messages_wire, run_wire
from chatvault.conversations.shapes import ConversationDoc, SegmentDoc
from chatvault.conversations.store import MessageStore, RenderedSegments, SegmentVersion
from chatvault.encoding import to_json


async def show(
    access: Access, store: MessageStore, conversation: ConversationDoc
) -> ConversationView:
    """Return a conversation with all its messages if they fit an answer, else with the newest.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    is_large = has_segments(conversation) and conversation["message_bytes"] > WHOLE_BYTES
    if is_large or is_branched(conversation):
        newest = await read_newest(access, store, conversation, WHOLE_BYTES)
        return ConversationView(conversation, messages_wire(newest))
    tail = run_wire(conversation["messages"], conversation["tail_seq"])
    if not has_segments(conversation):
        return ConversationView(conversation, tail)
    older = await render_older(access, store, conversation)
    return ConversationView(conversation, tail, older.json, older.count)


def render_page(page: MessagePage, limit: int) -> RenderedPage:
    """Return a page of messages as JSON.

    Args:
        page: the messages.
        limit: how many were asked for.
    """
    places = [each.seq for each in page.messages]
    return RenderedPage(
        json=to_json(messages_wire(page.messages)),
        count=len(places),
        oldest=places[0] if places else None,
        newest=places[-1] if places else None,
        total=page.total,
        has_more=page.has_more,
        version=page.version,
        first_seq=page.first_seq,
        limit=limit,
        offset=page.offset,
    )


async def render_older(
    access: Access, store: MessageStore, conversation: ConversationDoc
) -> RenderedSegments:
    """Return all messages in a conversation's segments, without the deleted ones.

    The segments' ids and versions are read each time, by owner; only their content is cached.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    documents = await store.list_segment_fields(access, conversation["generation"])
    rendered = [store.rendered.get(_key(fields)) for fields in documents]
    if None in rendered:
        documents, rendered = await _render_missing(
            access, store, conversation, documents, rendered
        )
    _check(documents, conversation)
    return RenderedSegments.join([each for each in rendered if each is not None])


async def _render_missing(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    documents: list[SegmentDoc],
    rendered: list[RenderedSegments | None],
) -> tuple[list[SegmentDoc], list[RenderedSegments | None]]:
    """Render the segments that are not cached; return all segments, and their JSON."""
    generation, first = conversation["generation"], conversation["first_seq"]
    missing = [
        fields["start"] for fields, each in zip(documents, rendered, strict=True) if each is None
    ]
    if len(missing) == len(documents):
        read = await store.list_segments(access, generation)
    else:
        read = await store.list_segments_at(access, generation, missing)
    by_start = {segment["start"]: segment for segment in read}
    # Cached before it is known whether they fit, as most of them do.
    new = {start: _render(store, by_start[start], first) for start in missing if start in by_start}
    return (
        [by_start.get(fields["start"], fields) for fields in documents],
        [
            each or new.get(fields["start"])
            for fields, each in zip(documents, rendered, strict=True)
        ],
    )


def _key(segment: SegmentDoc) -> SegmentVersion:
    # Segments stored before versions were counted have none.
    return segment["_id"], segment.get("version", 0)


def _check(segments: list[SegmentDoc], conversation: ConversationDoc) -> None:
    """Raise ReadConflict unless the segments are exactly the messages before the tail."""
    place = 0
    for segment in segments:
        if segment["start"] != place:
            raise ReadConflict
        check_unchanged(segment, conversation)
        place += segment["length"]
    if place != conversation["tail_seq"] - conversation["first_seq"]:
        raise ReadConflict


def _render(store: MessageStore, segment: SegmentDoc, first: int) -> RenderedSegments:
    messages = run_wire(segment["messages"], first + segment["start"])
    rendered = RenderedSegments(to_json(messages)[1:-1], len(messages))
    if len(rendered.json) <= store.rendered.maxsize:
        store.rendered[_key(segment)] = rendered
    return rendered
