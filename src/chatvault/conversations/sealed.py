"""The codec that seals what has somebody's words with the key of its owner.

Readable and sealed content can be mixed, message by message and field by field. Each sealed value
is bound to its place: the user, the conversation or segment, and the message or field.
"""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, cast

import bson
from bson import CodecOptions, ObjectId

from chatvault.conversations.codec import (
    WORDS,
    EncodedRun,
    MessageUnreadable,
    PlainCodec,
    SegmentKey,
    UnreadableMessage,
)
from chatvault.conversations.models import MessageRole
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, RunDoc, SegmentDoc
from chatvault.fields import Raw
from chatvault.vault.damage import Damage, DamageReports
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.envelope import Unreadable

# What stays readable of an embedded message, and of one in a segment.
EMBEDDED_PLAIN: Final = ("id", "role", "timestamp", "parent_id", "hidden", "deleted", "version")
SLOT: Final = frozenset({"id", "parent_id", "deleted"})
RUN_LENGTH: Final = 64
UNREADABLE_TITLE: Final = "[unreadable]"
# The size of a document, the type of its first field, and that field's name, of one letter.
_BEFORE_VALUE: Final = 4 + 1 + 2
_ID: Final = itemgetter("id")
_SEALED: Final = itemgetter("c")
_FIELD_ENDINGS: Final = {name: name.encode() for name in WORDS}
# What is shown of fields that do not open; None of the others.
_LOST_FIELDS: Final[Raw] = {"title": UNREADABLE_TITLE, "metadata": {}}
_NAIVE: CodecOptions[Raw] = CodecOptions(tz_aware=False)
_AWARE: CodecOptions[Raw] = CodecOptions(tz_aware=True)


class SealedCodec(PlainCodec):
    """Seals what is written, and reads both forms.

    Args:
        keys: of the owners.
        seals: whether what is written is sealed; otherwise it is stored as it is.
        damage: receives what does not open.
    """

    reads_sealed = True

    def __init__(
        self, keys: DataKeys, *, seals: bool = True, damage: DamageReports | None = None
    ) -> None:
        self.keys = keys
        self.seals = seals
        self._damage = damage or DamageReports()

    def missing(self, owner_ids: Iterable[ObjectId], *, to_write: bool = False) -> list[ObjectId]:
        """Return those owners whose keys must be fetched first."""
        return self.keys.missing(owner_ids, to_seal=to_write and self.seals)

    async def fetch(self, owner_ids: Collection[ObjectId], *, to_write: bool = False) -> None:
        """Fetch the keys of these owners; to write, create those that are missing or too old."""
        await self.keys.fetch(owner_ids, to_seal=to_write and self.seals)

    def forget(self, owner_id: ObjectId) -> None:
        """Drop the keys of an owner from memory."""
        self.keys.drop(owner_id)

    def encode_tail(
        self, conversation: ConversationDoc, messages: Sequence[MessageDoc]
    ) -> list[MessageDoc]:
        """Return messages as a conversation's document embeds them."""
        user_id = conversation["user_id"]
        place = _tail_place(conversation)
        return [self._encode_embedded(user_id, place, each) for each in messages]

    def _encode_embedded(self, user_id: ObjectId, place: bytes, message: MessageDoc) -> MessageDoc:
        if (lost := _as_lost(message)) is not None and lost.stored is not None:
            return lost.stored
        if not self.seals or "deleted" in message:
            return message
        raw = cast("Raw", message)
        shown: Raw = {name: raw[name] for name in EMBEDDED_PLAIN if name in raw}
        content = {name: each for name, each in raw.items() if name not in shown}
        sealed = self.keys.seal(user_id, bson.encode(content), place + _bytes(message["id"]))
        shown["c"] = sealed
        return cast("MessageDoc", shown)

    def encode_fields(self, conversation: ConversationDoc, fields: Raw) -> Raw:
        """Return some fields of a conversation as they are stored."""
        if not self.seals:
            return fields
        sealed = {
            name: self._seal_field(conversation, name, fields[name])
            for name in WORDS
            if fields.get(name)
        }
        return {**fields, **sealed} if sealed else fields

    def _seal_field(self, conversation: ConversationDoc, name: str, value: Any) -> Any:
        place = _fields_place(conversation) + _FIELD_ENDINGS[name]
        data = _bytes(value) if isinstance(value, str) else _to_bson(value)
        return self.keys.seal(conversation["user_id"], data, place)

    def encode_segment(
        self, key: SegmentKey, messages: Sequence[MessageDoc], first: int = 0
    ) -> EncodedRun:
        """Return messages as a segment stores them, the first of them at a place within it."""
        if not self.seals:
            return EncodedRun([_stored_or_itself(each) for each in messages], [])
        runs = [
            self._seal_run(key, messages[start : start + RUN_LENGTH], first + start)
            for start in range(0, len(messages), RUN_LENGTH)
        ]
        return EncodedRun([_to_slot(each) for each in messages], runs)

    def _seal_run(self, key: SegmentKey, messages: Sequence[MessageDoc], at: int) -> RunDoc:
        content = [_SKIPPED if _is_outside(each) else each for each in messages]
        place = _runs_place(key) + _run_ending(at)
        sealed = self.keys.seal(key.user_id, bson.encode({"m": content}), place)
        return {"at": at, "n": len(messages), "c": sealed}

    def encode_edit(self, segment: SegmentDoc, index: int) -> tuple[Raw, Raw]:
        """Return what an update sets, and what it pushes, for one changed message of a segment.

        The run with the message is sealed again; if there is none, or if it does not open, a run of
        this message alone takes precedence.
        """
        message = segment["messages"][index]
        if not self.seals and not _is_outside(message):
            return {f"messages.{index}": message}, {}
        slot = {f"messages.{index}": _to_slot(message)}
        key = SegmentKey(segment["user_id"], segment["generation"], segment["_id"])
        runs = segment.setdefault("runs", [])
        covering = [number for number, run in enumerate(runs) if _covers(run, index)]
        if covering:
            number = covering[-1]
            run = runs[number]
            messages = segment["messages"][run["at"] : run["at"] + run["n"]]
            if not any(map(_is_lost, messages)):
                runs[number] = self._seal_run(key, messages, run["at"])
                return {**slot, f"runs.{number}": runs[number]}, {}
        if "deleted" in message:
            return slot, {}
        runs.append(self._seal_run(key, [message], index))
        return slot, {"runs": runs[-1]}

    def encode_revision(self, revision: Raw) -> Raw:
        """Return a revision as it is stored."""
        message = revision["message"]
        if not self.seals:
            return revision
        sealed = self.keys.seal(
            revision["user_id"], bson.encode(message), _revision_place(revision)
        )
        return {**revision, "message": {"id": message["id"], "c": sealed}}

    def decode_conversation(
        self,
        document: ConversationDoc,
        *,
        final: bool = True,
        aware: bool = False,
        keep_stored: bool = False,
    ) -> None:
        """Decode a conversation's fields and the messages that were read with them."""
        raw = cast("Raw", document)
        if names := [name for name in WORDS if type(raw.get(name)) is bytes]:
            self._open_fields(document, names, final=final)
        for name in ("messages", "known"):
            if stored := raw.get(name):
                if keep_stored:
                    raw["stored"], stored = stored, [*map(dict, stored)]
                raw[name] = self._open_embedded(document, stored, final=final, aware=aware)

    def _open_fields(self, document: ConversationDoc, names: list[str], *, final: bool) -> None:
        raw, user_id = cast("Raw", document), document["user_id"]
        sealed = [raw[name] for name in names]
        place = _fields_place(document)
        opened = self.keys.open_together(
            user_id, place, (names, sealed), _FIELD_ENDINGS.__getitem__, final=final
        )
        for name, value, data in zip(names, sealed, opened, strict=True):
            if data is None:
                self._report(user_id, "conversations", document["_id"], value)
                document.setdefault("damaged", []).append(name)
                raw[name] = _LOST_FIELDS.get(name)
            elif name == "metadata":
                raw[name] = bson.decode(data, _NAIVE)
            else:
                raw[name] = data.decode("utf-8", "surrogatepass")

    def _open_embedded(
        self,
        document: ConversationDoc,
        messages: list[MessageDoc],
        *,
        final: bool,
        aware: bool,
    ) -> list[MessageDoc]:
        """Return messages opened: in place, but for those that do not open."""
        found = [each for each in messages if "c" in each]
        if not found:
            return messages
        sealed, place = [*map(_SEALED, found)], _tail_place(document)
        contents = self.keys.open_together(
            document["user_id"], place, ([*map(_ID, found)], sealed), _bytes, final=final
        )
        lost: dict[int, MessageDoc] = {}
        if None in contents:
            for message, content in zip(found, contents, strict=True):
                if content is None:
                    self._report(
                        document["user_id"], "conversations", document["_id"], message["c"]
                    )
                    lost[id(message)] = _unreadable(message)
            found = [each for each in found if id(each) not in lost]
        # All at once, which takes a third of the time.
        options = _AWARE if aware else _NAIVE
        decoded = bson.decode_all(b"".join(filter(None, contents)), options)
        for message, inner in zip(found, decoded, strict=True):
            del message["c"]
            message.update(cast("MessageDoc", inner))
        return [lost.get(id(each), each) for each in messages] if lost else messages

    def decode_segment(
        self,
        document: SegmentDoc,
        places: Sequence[int] | None = None,
        *,
        final: bool = True,
        aware: bool = False,
    ) -> None:
        """Decode the messages of a segment; `places` are theirs within it, if some are missing."""
        runs, slots = document.get("runs"), document["messages"]
        if not runs:
            if any("c" in each for each in slots):
                document["messages"] = [
                    _unreadable(each) if "c" in each else each for each in slots
                ]
            return
        if places is None:
            end = document["length"] if "length" in document else len(slots)
            places = range(end - len(slots), end)
        opened = self._open_runs(
            document, [run for run in runs if _has_any(run, places)], final=final, aware=aware
        )
        if (joined := _in_their_order(slots, places, opened)) is not None:
            document["messages"] = joined
            return
        content: dict[int, MessageDoc] = {}
        for at, messages in opened:
            content.update(enumerate(messages, at))
        document["messages"] = [
            _join(slot, content.get(place), document)
            for slot, place in zip(slots, places, strict=True)
        ]

    def _open_runs(
        self, document: SegmentDoc, runs: list[RunDoc], *, final: bool, aware: bool
    ) -> list[tuple[int, list[MessageDoc]]]:
        """Return the messages of each run, and the place of its first; none if it does not open."""
        user_id, options = document["user_id"], _AWARE if aware else _NAIVE
        key = SegmentKey(user_id, document["generation"], document["_id"])
        starts = [run["at"] for run in runs]
        sealed = [run["c"] for run in runs]
        contents = self.keys.open_together(
            user_id, _runs_place(key), (starts, sealed), _run_ending, final=final
        )
        opened: list[tuple[int, list[MessageDoc]]] = []
        for at, value, content in zip(starts, sealed, contents, strict=True):
            if content is None:
                self._report(user_id, "segments", document["_id"], value)
            messages = [] if content is None else bson.decode(content, options)["m"]
            opened.append((at, messages))
        return opened

    def decode_revision(self, revision: Raw, *, final: bool = True) -> None:
        """Decode a revision."""
        message = revision["message"]
        sealed = message.get("c")
        if sealed is None:
            return
        user_id = revision["user_id"]
        try:
            data = self.keys.opener(user_id, final=final)(sealed, _revision_place(revision))
        except Unreadable:
            self._report(user_id, "revisions", revision["_id"], sealed)
            at = {"role": MessageRole.SYSTEM.value, "timestamp": revision["replaced_at"]}
            revision["message"] = _unreadable({**at, **message})
            return
        revision["message"] = bson.decode(data, _AWARE)

    def take_damage(self) -> list[Damage]:
        """Return what did not open since the last call, each value once."""
        return self._damage.take()

    def _report(
        self, user_id: ObjectId, collection: str, document_id: ObjectId, value: bytes
    ) -> None:
        self._damage.add(Damage(user_id, collection, document_id, value))


_SKIPPED: Final = cast("MessageDoc", {})


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _to_bson(value: Raw) -> bytes:
    """Return an object as BSON with its names in their order.

    As a document of its own, the driver would put `_id` first.
    """
    return bson.encode({"v": value})[_BEFORE_VALUE:-1]


def _tail_place(conversation: ConversationDoc) -> bytes:
    """Return the beginning of an embedded message's place; its id follows."""
    user_id, generation = conversation["user_id"], conversation["generation"]
    return b"m" + user_id.binary + conversation["_id"].binary + generation.binary


def _fields_place(conversation: ConversationDoc) -> bytes:
    """Return the beginning of a field's place; its name follows."""
    return b"f" + conversation["user_id"].binary + conversation["_id"].binary


def _runs_place(key: SegmentKey) -> bytes:
    """Return the beginning of a run's place; that of its first message follows."""
    return b"r" + key.user_id.binary + key.generation.binary + key.id.binary


def _run_ending(at: int) -> bytes:
    return at.to_bytes(4, "big")


def _revision_place(revision: Raw) -> bytes:
    ids: bytes = revision["user_id"].binary + revision["conversation_id"].binary
    numbers: bytes = revision["seq"].to_bytes(8, "big") + revision["version"].to_bytes(8, "big")
    return b"v" + ids + numbers + _bytes(revision["message_id"])


def _has_any(run: RunDoc, places: Sequence[int]) -> bool:
    """Return whether a run has the message of one of these places."""
    start, end = run["at"], run["at"] + run["n"]
    if isinstance(places, range):
        return bool(places) and places[0] < end and start <= places[-1]
    return any(start <= each < end for each in places)


def _covers(run: RunDoc, index: int) -> bool:
    return run["at"] <= index < run["at"] + run["n"]


def _as_lost(message: object) -> UnreadableMessage | None:
    return message if isinstance(message, UnreadableMessage) else None


def _is_lost(message: MessageDoc) -> bool:
    """Whether the message is part of a run that does not open."""
    lost = _as_lost(message)
    return lost is not None and lost.stored is None


def _is_outside(message: MessageDoc) -> bool:
    """Whether a run has nothing of the message."""
    return "deleted" in message or _as_lost(message) is not None


def _stored_or_itself(message: MessageDoc) -> MessageDoc:
    """Return the message, or its stored form if it does not open.

    Raises:
        MessageUnreadable: it is part of a run that does not open, which cannot be moved.
    """
    if (lost := _as_lost(message)) is None:
        return message
    if lost.stored is None:
        raise MessageUnreadable
    return lost.stored


def _to_slot(message: MessageDoc) -> MessageDoc:
    """Return what a segment's array has of a message."""
    if _as_lost(message) is not None:
        return _stored_or_itself(message)
    return cast("MessageDoc", {name: each for name, each in message.items() if name in SLOT})


def _in_their_order(
    slots: list[MessageDoc], places: Sequence[int], runs: list[tuple[int, list[MessageDoc]]]
) -> list[MessageDoc] | None:
    """Return the messages of slots that have nothing but ids if runs have them all, in order.

    As a rule they do; otherwise the result is None. No call is made for each message.
    """
    if not (slots and runs and isinstance(places, range)):
        return None
    begin, messages = runs[0][0], list[MessageDoc]()
    for at, some in runs:
        if at != begin + len(messages):
            return None
        messages += some
    found = messages[max(0, places[0] - begin) : places[-1] + 1 - begin]
    if max(map(len, slots)) > 1:
        return None
    try:
        is_whole = [*map(_ID, slots)] == [*map(_ID, found)]
    except KeyError:
        return None
    return found if is_whole else None


def _join(slot: MessageDoc, content: MessageDoc | None, segment: SegmentDoc) -> MessageDoc:
    """Return the message of a segment from its slot and from the run with it."""
    if "c" in slot:
        return _unreadable(slot)
    if "deleted" in slot or not slot.keys() <= SLOT:
        return slot
    if content is None or content.get("id") != slot["id"]:
        at = {"role": MessageRole.SYSTEM.value, "timestamp": segment["_id"].generation_time}
        return _unreadable({**at, **slot}, in_run=True)
    return content


def _unreadable(stored: Any, *, in_run: bool = False) -> MessageDoc:
    """Return what is shown in the place of a message that does not open."""
    shown = {name: stored[name] for name in EMBEDDED_PLAIN if name in stored}
    shown |= {"content": "", "unreadable": True}
    return cast("MessageDoc", UnreadableMessage(shown, None if in_run else stored))
