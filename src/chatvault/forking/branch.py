"""Reading one branch of a conversation as the messages of a new one."""

import asyncio
import contextlib
from typing import cast

from chatvault.access import Access
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import stream
from chatvault.conversations.reading.paths import is_branched, walk_path
from chatvault.conversations.reading.tree import read_tree
from chatvault.conversations.segments import is_deleted, size_of
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, PathDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import Run
from chatvault.errors import NotFound, TooLarge

# The limits of a fork, which is whole in memory while it is made.
MAX_MESSAGES = 50_000
MAX_BYTES = 64 * 1024 * 1024
OPEN = frozenset({"pending", "approved"})
# What names a reply or another message of the old conversation, and what only its history has.
LEFT_OUT = ("reply_id", "alternative_to", "parent_id", "sent_id", "version", "author_id")


async def read_branch(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    *,
    up_to: str | None,
    leaf: str | None,
) -> list[MessageDoc]:
    """Return the messages of a branch, up to one of them, as a new conversation has them.

    Raises:
        NotFound: there is no such message on the branch.
        TooLarge: they are too many.
        ReadConflict: the conversation changed since its document was read.
    """
    end = leaf or up_to
    if end is not None and is_branched(conversation):
        conversation = await _show(access, store, conversation, end)
    messages: list[MessageDoc] = []
    size = 0
    last = up_to or leaf
    runs = (
        walk_path(access, store, conversation, conversation["first_seq"])
        if is_branched(conversation)
        else stream(access, store, conversation)
    )
    async with contextlib.aclosing(runs) as reading:
        async for run in reading:
            for stored in run:
                if is_deleted(stored.message):
                    continue
                messages.append(_copy(stored.message))
                size += size_of(stored.message)
                if stored.message["id"] == last:
                    return messages
            if len(messages) > MAX_MESSAGES or size > MAX_BYTES:
                raise TooLarge("The branch is too long; fork it up to an earlier message.")
    if last is not None:
        raise NotFound("Message not found")
    return messages


async def _show(
    access: Access, store: MessageStore, conversation: ConversationDoc, message_id: str
) -> ConversationDoc:
    """Return the conversation's document as if the branch with this last message were shown."""
    found = await find_messages(access, store, conversation, [message_id])
    if not found or is_deleted(found[0].message):
        raise NotFound("Message not found")
    tree = await read_tree(access, conversation)
    place = found[0].seq - conversation["first_seq"]
    runs: list[Run] = await asyncio.to_thread(tree.path_to, place)
    path: PathDoc = {
        "older": 0,
        "older_living": 0,
        "runs": [[*each] for each in runs[:-1]],
        "first": runs[-1].first,
        "leaf": runs[-1].last,
        "links": [],
    }
    return {**conversation, "path": path}


def _copy(message: MessageDoc) -> MessageDoc:
    """Return a message for another conversation, without calls of tools that are undecided."""
    copy = {name: value for name, value in message.items() if name not in LEFT_OUT}
    commands = message.get("commands", [])
    undecided = {each.get("call_id") for each in commands if each.get("status") in OPEN}
    if any(each.get("status") in OPEN for each in commands):
        decided = [each for each in commands if each.get("status") not in OPEN]
        calls = [each for each in message.get("tool_calls", []) if each["id"] not in undecided]
        kept = {"commands": decided, "tool_calls": calls}
        copy |= kept
        copy = {name: value for name, value in copy.items() if name not in kept or value}
    return cast("MessageDoc", copy)
