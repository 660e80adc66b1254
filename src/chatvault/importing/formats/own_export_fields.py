"""One conversation of chatvault's own export, validated as untrusted input."""

import re
import uuid
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Final, cast

from bson import ObjectId
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from chatvault.agents.schemas import MAX_PROMPT
from chatvault.categories.schemas import Name
from chatvault.conversations.message_schemas import CommandOnMessage
from chatvault.conversations.models import Message, Status
from chatvault.conversations.part_schemas import AnyPart
from chatvault.conversations.parts import TIME_SOURCES, Part, TimeSource
from chatvault.conversations.schemas import stored_agent_id
from chatvault.fields import MAX_FREE_BYTES, Id, Raw, to_milliseconds
from chatvault.importing.conversations import one_line
from chatvault.importing.drafts import MAX_MESSAGE_BYTES, MESSAGE_ID, UnfitError
from chatvault.importing.files.values import (
    digest,
    fields,
    items,
    name_of,
    number,
    parse_time,
    replace_surrogates,
    text,
)
from chatvault.importing.formats.own_export_attachments import read_attachments
from chatvault.importing.neutral import (
    MAX_ID,
    MAX_TITLE,
    UNTITLED,
    NeutralConversation,
    NeutralMessage,
    OwnRecord,
    Role,
)
from chatvault.importing.trees import Tree, build_tree
from chatvault.mongodb.storable import LONE_SURROGATE, check_storable

NAME: Final = "chatvault"
_ROLES: Final = ("user", "assistant", "system", "tool")
_SOURCE = re.compile(r"[a-z0-9-]{1,64}:.+")
_MAX_TAGS: Final = 64
_MAX_TAG: Final = 64
_MAX_COUNT: Final = 2**53
_MAX_UNKNOWN: Final = 32
_MAX_SUMMARY: Final = 64_000
# Fields of a conversation; `id`, `version` and counts belong to the exporting account.
_KNOWN: Final = frozenset(
    {
        "id", "title", "status", "tags", "metadata", "created_at", "updated_at",
        "last_message_at", "archived_at", "agent_id", "system_prompt", "mcp_enabled", "summary",
        "source", "total_tokens_used", "total_messages", "version", "messages", "completeness",
        "active_leaf", "attachments", "category", "pinned_at",
    }
)  # fmt: skip
# Fields with a counterpart in a neutral message.
_PLAIN: Final = frozenset(
    {
        "id", "seq", "role", "content", "timestamp", "model", "metrics", "cancelled", "extra",
        "parent_id", "parts", "hidden", "time_source", "deleted",
    }
)  # fmt: skip
_OWN: Final = frozenset(Message.model_fields) - _PLAIN
_ID: Final = TypeAdapter[ObjectId](Id)
_COMPLETENESS: Final = {
    "changed": "messages were changed while it was exported",
    "cut": "the rest of its messages is missing",
}
_PART: Final = TypeAdapter[Any](AnyPart)
_NAMES: Final = TypeAdapter[list[str]](Annotated[list[Name], Field(max_length=2)])


class _Call(BaseModel):
    """A model's call of a tool in the stored form of replies."""

    id: str
    name: str
    arguments: str


# The lists of a message whose items are validated, as other parts of the service rely on them.
_LISTED: Final[dict[str, TypeAdapter[Any]]] = {
    "tool_calls": TypeAdapter(list[_Call]),
    "commands": TypeAdapter(list[CommandOnMessage]),
}


def read_conversation(
    raw: Raw, *, now: datetime, beside: Collection[str] = ()
) -> NeutralConversation:
    """Read a conversation of an export.

    Args:
        raw: the object, as the JSON parser returned it.
        now: the time of import; later times are replaced by it.
        beside: the names of the files in the same archive.

    Raises:
        UnfitError: It cannot be stored.
    """
    if not isinstance(raw.get("messages"), list):
        raise UnfitError("holds no 'messages'")
    return _Reading(raw, to_milliseconds(now), beside).run()


class _Reading:
    """Reads one conversation.

    Args:
        raw: the object.
        now: the time of import.
        beside: the names of the files in the same archive.
    """

    def __init__(self, raw: Raw, now: datetime, beside: Collection[str]) -> None:
        self._now = now
        self._beside = beside
        self._unknown: Counter[str] = Counter()
        self._notes: list[str] = []
        is_repaired = any(
            check_storable(value, max_bytes=MAX_MESSAGE_BYTES) == LONE_SURROGATE
            for name, value in raw.items()
            if name not in {"messages", "attachments"}
        )
        self._raw: Raw = replace_surrogates(raw) if is_repaired else raw

    def run(self) -> NeutralConversation:
        raw, messages = self._raw, self._messages()
        is_tree = raw.get("active_leaf") is not None or _is_branched(messages)
        leaf = None
        if is_tree:
            tree = build_tree(messages, leaf=name_of(raw.get("active_leaf")))
            messages, leaf = list(tree.messages), tree.active_leaf
            self._note_repairs(tree)
        created = min(parse_time(raw.get("created_at")) or self._now, self._now)
        updated = min(parse_time(raw.get("updated_at")) or created, self._now)
        at = created
        for message in messages:
            message.timestamp = at = message.timestamp or at
        if (told := _COMPLETENESS.get(str(raw.get("completeness")))) is not None:
            self._notes.append(told)
        return NeutralConversation(
            format=NAME,
            source_id=self._source_id(),
            title=self._title(),
            messages=tuple(messages),
            active_leaf=leaf,
            created_at=created,
            updated_at=updated,
            metadata=self._metadata(),
            attachments=read_attachments(
                items(raw.get("attachments")),
                now=self._now,
                beside=self._beside,
                count=self._count_unknown,
            ),
            notes=tuple(self._notes),
            unknown=dict(self._unknown),
            own=self._own(messages),
        )

    def _source_id(self) -> str:
        own_id = _to_id(self._raw.get("id"))
        return f"sha256:{digest(self._raw.get('id'))}" if own_id is None else str(own_id)

    def _own(self, messages: list[NeutralMessage]) -> OwnRecord:
        raw = self._raw
        source = text(raw.get("source"))
        if source is not None and not (_SOURCE.fullmatch(source) and len(source) <= 2 * MAX_ID):
            self._count_unknown("source", "conversations")
            source = None
        first_id = (source or "").removeprefix(f"{NAME}:")
        ids = (_to_id(each) for each in (raw.get("id"), first_id))
        return OwnRecord(
            source=source,
            ids=tuple(each for each in ids if each is not None),
            fields=self._own_fields(messages),
            category=self._category(),
        )

    def _own_fields(self, messages: list[NeutralMessage]) -> Raw:
        raw = self._raw
        found: Raw = {"tags": self._tags(), "mcp_enabled": raw.get("mcp_enabled") is True}
        for name, most in (("system_prompt", MAX_PROMPT), ("summary", _MAX_SUMMARY)):
            value = raw.get(name)
            is_kept = isinstance(value, str) and len(value) <= most
            found[name] = value if is_kept else None
            if value is not None and not is_kept:
                self._count_unknown(name, "conversations")
        found["agent_id"] = stored_agent_id(_to_id(raw.get("agent_id")))
        is_archived = raw.get("status") == Status.ARCHIVED
        found["status"] = (Status.ARCHIVED if is_archived else Status.ACTIVE).value
        archived_at = parse_time(raw.get("archived_at")) or self._now
        found["archived_at"] = min(archived_at, self._now) if is_archived else None
        used = number(raw.get("total_tokens_used")) or 0
        found["total_tokens_used"] = min(max(used, 0), _MAX_COUNT)
        if (pinned := parse_time(raw.get("pinned_at"))) is not None:
            found["pinned_at"] = min(pinned, self._now)
        if (last := parse_time(raw.get("last_message_at"))) is not None and messages:
            found["last_message_at"] = min(last, self._now)
        return found

    def _title(self) -> str:
        title = self._raw.get("title")
        if not isinstance(title, str) or not title.strip():
            return UNTITLED
        return title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…"

    def _tags(self) -> list[str]:
        tags = items(self._raw.get("tags"))
        kept = [each for each in tags if isinstance(each, str) and len(each) <= _MAX_TAG]
        kept = kept[:_MAX_TAGS]
        if len(kept) < len(tags):
            self._notes.append(f"tags that cannot be kept: {len(tags) - len(kept)}")
        return kept

    def _category(self) -> tuple[str, ...]:
        """Return the names that lead to the category."""
        names = items(self._raw.get("category"))
        try:
            return tuple(_NAMES.validate_python(names))
        except ValidationError:
            self._count_unknown("category", "conversations")
            return ()

    def _metadata(self) -> Raw:
        """Return the client's metadata, with unknown fields under chatvault's own name."""
        found = dict(fields(self._raw.get("metadata")))
        others = {name: value for name, value in self._raw.items() if name not in _KNOWN}
        for name in others:
            self._count_unknown(name, "conversations")
        if others:
            found[NAME] = {**fields(found.get(NAME)), **others}
        reason = check_storable(found, max_bytes=MAX_FREE_BYTES)
        if reason is not None:
            raise UnfitError(f"'metadata' {reason}")
        return found

    def _messages(self) -> list[NeutralMessage]:
        found: list[NeutralMessage] = []
        taken: set[str] = set()
        for place, raw in enumerate(self._raw["messages"], 1):
            if not isinstance(raw, dict):
                raise UnfitError("not an object", place=f"message {place}")
            if raw.get("deleted") is True:
                continue
            message = self._message(raw, place)
            own_id = message.source_id or ""
            if own_id in taken:
                raise UnfitError("has the id of another message", place=f"message {place}")
            taken.add(own_id)
            if "parent_id" not in raw:
                message.parent_id = found[-1].source_id if found else None
            found.append(message)
        return found

    def _message(self, raw: Raw, place: int) -> NeutralMessage:
        reason = check_storable(raw, max_bytes=MAX_MESSAGE_BYTES)
        if reason == LONE_SURROGATE:
            raw = replace_surrogates(raw)
            reason = check_storable(raw, max_bytes=MAX_MESSAGE_BYTES)
        if reason is not None:
            raise UnfitError(reason, place=f"message {place}")
        role, content = raw.get("role"), raw.get("content")
        if role not in _ROLES:
            raise UnfitError("has no known role", place=f"message {place}")
        if not isinstance(content, str):
            raise UnfitError("its 'content' is no text", place=f"message {place}")
        timestamp = parse_time(raw.get("timestamp"))
        source = raw.get("time_source")
        return NeutralMessage(
            source_id=self._message_id(raw.get("id"), place),
            parent_id=name_of(raw.get("parent_id")),
            role=cast("Role", role),
            content=content,
            parts=tuple(_part(each) for each in items(raw.get("parts"))),
            timestamp=timestamp and min(timestamp, self._now),
            time_source=cast("TimeSource", source) if source in TIME_SOURCES else "exact",
            model=text(raw.get("model")),
            metrics=raw["metrics"] if isinstance(raw.get("metrics"), dict) else None,
            cancelled=raw["cancelled"] if isinstance(raw.get("cancelled"), bool) else None,
            hidden=raw.get("hidden") is True,
            extra=self._extra(raw),
            own=self._own_of_message(raw, place),
        )

    def _message_id(self, value: Any, place: int) -> str:
        own_id = name_of(value) or f"#{place}"
        if MESSAGE_ID.fullmatch(own_id):
            return own_id
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME}:{self._source_id()}:{own_id}"))

    def _own_of_message(self, raw: Raw, place: int) -> Raw:
        own = {name: raw[name] for name in raw.keys() & _OWN}
        if not own:
            return own
        try:
            known = Message.model_validate({"id": "m", **own})
        except ValidationError as error:
            where = str(error.errors(include_input=False)[0]["loc"][0])
            raise UnfitError(f"its '{where}' is wrong", place=f"message {place}") from None
        found = known.model_dump(exclude_none=True, exclude={"id"})
        try:
            for name, kind in _LISTED.items():
                if name in found:
                    checked = kind.validate_python(found[name])
                    found[name] = [
                        {**raw_one, **one.model_dump(exclude_unset=True)}
                        for raw_one, one in zip(found[name], checked, strict=True)
                    ]
        except ValidationError:
            raise UnfitError(f"its '{name}' are wrong", place=f"message {place}") from None
        return found

    def _extra(self, raw: Raw) -> Raw:
        extra = fields(raw.get("extra"))
        others = raw.keys() - _PLAIN - _OWN
        for name in others:
            self._count_unknown(name, "messages")
        return {**{name: raw[name] for name in others}, **extra} if others else extra

    def _count_unknown(self, name: str, of: str) -> None:
        kind = f"{one_line(name)[:64]} of {of}"
        if kind not in self._unknown and len(self._unknown) >= _MAX_UNKNOWN:
            kind = f"other fields of {of}"
        self._unknown[kind] += 1

    def _note_repairs(self, tree: Tree) -> None:
        if tree.is_leaf_missing:
            self._notes.append("the message shown last is missing; the newest is shown")
        for repair, count in tree.repairs.items():
            self._notes.append(f"{count} message{'s'[: count > 1]}: {repair}")


def _is_branched(messages: list[NeutralMessage]) -> bool:
    """Return whether the parent of a message is another than the message before it."""
    before = None
    for message in messages:
        if message.parent_id != before:
            return True
        before = message.source_id
    return False


def _to_id(value: Any) -> ObjectId | None:
    try:
        return _ID.validate_python(value)
    except ValidationError:
        return None


def _part(raw: Any) -> Part:
    """Return a valid part unchanged, and any other as a raw part."""
    try:
        _PART.validate_python(raw)
    except ValidationError:
        kind = raw.get("type") if isinstance(raw, dict) else None
        return {"type": "raw", "source_type": str(kind)[:64], "value": raw}
    return cast("Part", raw)
