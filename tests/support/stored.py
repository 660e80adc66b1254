"""Check the stored data of a conversation against the counters in its document."""

import io
import json
import sys
from dataclasses import dataclass
from typing import Any, cast

import pytest
from bson import ObjectId

from chatvault.actor import Actor, Door
from chatvault.conversations import segments
from chatvault.conversations.codec import ContentCodec
from chatvault.conversations.shapes import ConversationDoc, SegmentDoc
from support.codecs import usual_codec

Raw = dict[str, Any]
DOMAIN = "chatvault.conversations."
TINY = {
    "TAIL_LENGTH": 4,
    "TAIL_KEPT": 2,
    "MAX_LENGTH": 3,
    "CARRIED_LENGTH": 5,
    "BATCH_BYTES": 512,
    "RUNS_KEPT": 2,
    "RUNS_MOVED": 2,
    "FIRST_MESSAGES": 3,
    "MOST_MESSAGES": 4,
    "MOST_GAP": 3,
    "MOST_DOCUMENTS": 3,
}


@dataclass(frozen=True)
class Stored:
    """A stored conversation: its document, its segments, and its messages by place."""

    document: Raw
    segments: list[Raw]
    messages: dict[int, Raw]

    @property
    def not_deleted(self) -> dict[int, Raw]:
        return {seq: each for seq, each in self.messages.items() if not each.get("deleted")}

    @property
    def contents(self) -> list[str]:
        return [each["content"] for each in self.not_deleted.values()]


async def stored(
    database: Any, conversation_id: str | ObjectId, codec: ContentCodec | None = None
) -> Stored:
    """Return the conversation after checking every count, size and place in it."""
    document: Raw = await database["conversations"].find_one({"_id": ObjectId(conversation_id)})
    found = database["segments"].find({"generation": document["generation"]}).sort("start", 1)
    runs: list[Raw] = await found.to_list()
    codec = codec or usual_codec()
    await codec.fetch([document["user_id"]])
    codec.decode_conversation(cast("ConversationDoc", document), aware=True)
    for each in runs:
        codec.decode_segment(cast("SegmentDoc", each), aware=True)
    return whole(document, runs)


def whole(document: Raw, runs: list[Raw]) -> Stored:
    """Return the conversation after checking every count, size and place in it.

    Args:
        document: the conversation's.
        runs: its segments, in order.
    """
    messages: dict[int, Raw] = {}
    seq = first = document["first_seq"]
    for run in runs:
        assert run["user_id"] == document["user_id"]
        assert run["start"] == seq - first
        assert run["length"] == len(run["messages"]) > 0
        assert run["length"] <= segments.MAX_LENGTH
        assert run["living"] == sum(not each.get("deleted") for each in run["messages"])
        assert run["bytes"] == sum(map(segments.size_of, run["messages"]))
        for message in run["messages"]:
            messages[seq] = message
            seq += 1
    assert seq == document["tail_seq"]
    for message in document["messages"]:
        messages[seq] = message
        seq += 1
    assert seq == document["next_seq"]
    assert document["tail_bytes"] == sum(map(segments.size_of, document["messages"]))
    assert document["message_bytes"] == sum(map(segments.size_of, messages.values()))
    living = sum(not each.get("deleted") for each in messages.values())
    if document.get("path"):
        assert document["stored_messages"] == living
        check_path(document, runs, messages)
    else:
        assert document["total_messages"] == living
        assert not any("parent_id" in each for each in messages.values())
    assert len({each["id"] for each in messages.values()}) == len(messages)
    return Stored(document, runs, messages)


def check_path(document: Raw, segments: list[Raw], messages: dict[int, Raw]) -> None:
    """Check the links and the length of the branch shown against the messages' `parent_id`."""
    first = document["first_seq"]
    places = {each["id"]: seq - first for seq, each in messages.items()}
    parents = {
        seq - first: places.get(each["parent_id"], -1) if "parent_id" in each else seq - first - 1
        for seq, each in messages.items()
    }
    links = [link for each in segments for link in each.get("links", [])]
    end = document["tail_seq"] - first
    links = [link for link in links if link[0] < end] + document["path"]["links"]
    assert dict(links) == {place: up for place, up in parents.items() if up != place - 1}
    place = document["path"].get("leaf", len(messages) - 1)
    living = 0
    while place >= 0:
        living += not messages[place + first].get("deleted")
        place = parents[place]
    assert document["total_messages"] == living


def tiny_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits such that a few messages need segments and bulk writes."""
    # A copy, as a thread may import something meanwhile.
    loaded = list(sys.modules.items())
    for module in [each for name, each in loaded if name.startswith(DOMAIN)]:
        for name, value in TINY.items():
            # A constant is patched in each module that imports it.
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


def somebody() -> Actor:
    """Return a new user as the actor of a request."""
    return Actor(door=Door.HTTP, user_id=ObjectId())


def large(body: Raw) -> Raw:
    """Return the arguments that send a body of megabytes without a warning of aiohttp's client."""
    headers = {"Content-Type": "application/json"}
    return {"data": io.BytesIO(json.dumps(body).encode()), "headers": headers}


async def begin_large(http: Any, messages: list[Raw]) -> Raw:
    """Create a conversation of the browser's user with megabytes of messages."""
    answer = await http.post("/conversations", **large({"messages": messages}))
    assert answer.status == 201, await answer.text()
    body: Raw = await answer.json()
    return body


def without_parent(message: Raw) -> Raw:
    """Return a message without its parent, which only a reading of all branches always has."""
    return {name: value for name, value in message.items() if name != "parent_id"}
