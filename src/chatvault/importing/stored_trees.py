"""The messages of an imported conversation as they are stored."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from chatvault.access import Access
from chatvault.conversations.parts import TimeSource
from chatvault.conversations.shapes import MessageDoc
from chatvault.conversations.tree import ROOT, Link
from chatvault.encoding import to_json
from chatvault.importing.arranging import arrange
from chatvault.importing.drafts import MESSAGE_ID
from chatvault.importing.neutral import NeutralConversation, NeutralMessage
from chatvault.keys import SecretKey

# Longer conversations are made ready in a thread; 100,000 messages take a second.
MANY: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTree:
    """Messages as they are stored, the branch to show first.

    Attributes:
        messages: in order; one that does not follow the one before has a `parent_id`.
        parents: the id of the message that each follows; None for none.
        links: of those that do not follow the one before.
        leaf: the place of the last message to show, or ROOT.
        fingerprint: a keyed hash, by which a later import knows whether the conversation has grown.
    """

    messages: list[MessageDoc]
    parents: list[str | None]
    links: list[Link]
    leaf: int
    fingerprint: str


async def to_stored_tree(
    access: Access, key: SecretKey, conversation: NeutralConversation
) -> StoredTree:
    """Do what `build_stored_tree` does, without holding others up."""
    if len(conversation.messages) < MANY:
        return build_stored_tree(access, key, conversation)
    return await asyncio.to_thread(build_stored_tree, access, key, conversation)


def _time_source_of(message: NeutralMessage) -> TimeSource | None:
    if message.timestamp is None:
        return "neighbour"
    return None if message.time_source == "exact" else message.time_source


def build_stored_tree(
    access: Access, key: SecretKey, conversation: NeutralConversation
) -> StoredTree:
    """Return the messages as stored, each with an id that is the same at every import."""
    arranged = arrange(conversation)
    stored: list[MessageDoc] = []
    taken: set[str] = set()
    at: datetime = conversation.created_at
    for place, message in enumerate(arranged.messages):
        own = message.source_id or ""
        if not MESSAGE_ID.fullmatch(own) or own in taken:
            name = f"{conversation.source}:{place}:{own}"
            own = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        taken.add(own)
        at = message.timestamp or at
        stored.append(_to_stored(message, own, at))
    parents = [None if place == ROOT else stored[place]["id"] for place in arranged.parents]
    for link in arranged.links:
        stored[link.place]["parent_id"] = parents[link.place]
    return StoredTree(
        messages=stored,
        parents=parents,
        links=arranged.links,
        leaf=arranged.leaf,
        fingerprint=_fingerprint(access, key, stored),
    )


def _fingerprint(access: Access, key: SecretKey, messages: Sequence[MessageDoc]) -> str:
    said = (
        [each["id"], each.get("role"), each.get("content"), *_parent_of(each)] for each in messages
    )
    owner = str(access.owner_id).encode()
    return key.hash_bytes(b"import for ", owner, *(to_json(each) for each in said))


def _parent_of(message: MessageDoc) -> list[str | None]:
    return [message["parent_id"]] if "parent_id" in message else []


def _to_stored(message: NeutralMessage, message_id: str, at: datetime) -> MessageDoc:
    fields = {
        "id": message_id,
        "role": message.role,
        "content": message.content,
        "timestamp": at,
        "model": message.model,
        "metrics": message.metrics,
        "cancelled": message.cancelled,
        "extra": message.extra or None,
        "parts": list(message.parts) or None,
        "hidden": message.hidden or None,
        "time_source": _time_source_of(message),
        **message.own,
    }
    stored = {name: value for name, value in fields.items() if value is not None}
    return cast("MessageDoc", stored)
