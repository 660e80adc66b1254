"""Build a neutral conversation from what a format's reader finds in a file."""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from chatvault.conversations.parts import FilePart, Part, RawPart, TimeSource
from chatvault.fields import MAX_FREE_BYTES, Raw, to_milliseconds
from chatvault.importing.files.values import digest, present, replace_surrogates, without_secrets
from chatvault.importing.neutral import (
    MAX_ID,
    MAX_TITLE,
    UNTITLED,
    Attachment,
    NeutralConversation,
    NeutralMessage,
    Role,
)
from chatvault.importing.oversize import move_out
from chatvault.importing.trees import Tree, build_tree
from chatvault.mongodb.storable import check_storable

# Far more than people write, far less than a MongoDB document can hold.
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
ATTACHMENT_ID: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,128}")
_TITLE_LENGTH: Final = 80


class UnfitError(Exception):
    """A conversation cannot be imported; has the place in it and the reason."""

    def __init__(self, reason: str, *, place: str = "") -> None:
        self.reason = reason
        self.place = place
        super().__init__(reason)


def first_line(text: str) -> str:
    """Return the first line of a text, shortened to be a title."""
    line = " ".join(next(iter(text.strip().splitlines()), "").split())
    return line if len(line) <= _TITLE_LENGTH else f"{line[: _TITLE_LENGTH - 1]}…"


@dataclass(slots=True, kw_only=True)
class Draft:
    """A conversation that is being read.

    Attributes:
        format: the name of the format.
        source_id: the source's id, which does not change from one export to the next.
        now: the time of import.
        title: empty where the source has none; the first question stands in for it.
        created_at: when it was created, if the source has that.
        updated_at: when it last changed, if the source has that.
        default_model: the model of messages that name none.
        source: further fields of the conversation in the source.
    """

    format: str
    source_id: str
    now: datetime
    title: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    default_model: str | None = None
    source: Raw = field(default_factory=dict)
    messages: list[NeutralMessage] = field(default_factory=list)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(  # noqa: PLR0913  # the fields of a message
        self,
        *,
        id: str | None,  # noqa: A002  # what it is
        role: Role,
        parts: Iterable[Part],
        parent: str | None = None,
        time: datetime | None = None,
        model: str | None = None,
        cancelled: bool | None = None,
        hidden: bool = False,
        extra: Raw | None = None,
    ) -> NeutralMessage:
        """Add a message; its content is the text of its parts, joined by empty lines.

        Args:
            id: the source's; the message's number if there is none.
            role: who wrote it.
            parts: its parts.
            parent: the id of the message before it.
            time: the time at which it was written.
            model: the model that wrote it.
            cancelled: whether it was stopped before its end.
            hidden: whether the source does not show it.
            extra: the source's fields that have no counterpart here.
        """
        held = [part for part in parts if part["type"] != "text" or part["text"]]
        says_all = all(part["type"] == "text" and "extra" not in part for part in held)
        message = NeutralMessage(
            # An id that cannot be stored, so that another is derived from it.
            source_id=f"#{len(self.messages)}" if id is None else id,
            parent_id=parent,
            role=role,
            content="\n\n".join(part["text"] for part in held if part["type"] == "text"),
            parts=() if says_all else tuple(held),
            timestamp=time,
            model=model,
            cancelled=cancelled,
            hidden=hidden,
            extra=extra or {},
        )
        self.messages.append(message)
        return message

    def attach(self, found: Attachment, **more: Any) -> FilePart:
        """Add an attachment; return the part that refers to it, with the fields `more`."""
        known = self.attachments.get(found.id)
        if known is None or known.state == "absent":
            self.attachments[found.id] = found
        shown = present(
            {
                "type": "file",
                "attachment_id": found.id,
                "name": found.name,
                "mime": found.mime,
                "size": found.size,
                "source_ref": found.source_ref,
                **more,
            }
        )
        return cast("FilePart", shown)

    def _move_out(self, message: NeutralMessage) -> None:
        if move_out(message, self._attach_new):
            self.repairs["held values over 256 KB, which are attachments now"] += 1

    def _attach_new(self, made: Attachment) -> FilePart:
        made.id = self.next_attachment()
        return self.attach(made)

    def next_attachment(self) -> str:
        """Return an id for an attachment that has none."""
        return f"attachment-{len(self.attachments) + 1}"

    def keep_raw(self, kind: object, value: Any, *, is_known: bool = False) -> RawPart:
        """Return a raw part for a value of an unknown kind, and count it by its kind."""
        name = str(kind)[:64] if isinstance(kind, str) and kind else "without a name"
        if not is_known:
            self.unknown[name] += 1
        return {"type": "raw", "source_type": name, "value": value}

    def finish(
        self, *, leaf: str | None = None, links: Mapping[str, str | None] | None = None
    ) -> NeutralConversation:
        """Build the conversation.

        Args:
            leaf: the id of the last message that the source showed.
            links: the parents of nodes in the source that are no messages.

        Raises:
            UnfitError: It cannot be stored.
        """
        tree = build_tree(self.messages, leaf=leaf, links=links)
        self.repairs += tree.repairs
        for number, message in enumerate(tree.messages, 1):
            self._fit(message, number)
            self._move_out(message)
        self._fill_times(tree.messages)
        title = self._title(tree)
        created, updated = self._times(tree)
        is_sound = len(self.source_id) <= MAX_ID and self.source_id.isprintable()
        source_id = self.source_id if is_sound else f"sha256:{digest(self.source_id)}"
        leaf = _give_ids(tree, f"{self.format}:{source_id}")
        self._name_attachments(f"{self.format}:{source_id}")
        if tree.is_leaf_missing:
            self.notes.append("the message shown last is missing; the newest is shown")
        notes = [
            f"{count} message{'s'[: count > 1]}: {repair}" for repair, count in self.repairs.items()
        ]
        return NeutralConversation(
            format=self.format,
            source_id=source_id,
            title=title,
            messages=tree.messages,
            active_leaf=leaf,
            created_at=created,
            updated_at=updated,
            metadata=self._metadata(),
            attachments=tuple(self.attachments.values()),
            notes=(*self.notes, *notes),
            unknown=dict(self.unknown),
        )

    def _name_attachments(self, source: str) -> None:
        """Give attachments ids that fit into a URL's path and are the same at each import."""
        names = {
            each: str(uuid.uuid5(uuid.NAMESPACE_URL, replace_surrogates(f"{source}:{each}")))
            for each in self.attachments
            if not ATTACHMENT_ID.fullmatch(each)
        }
        for known, name in names.items():
            self.attachments[known].id = name
        for message in self.messages if names else ():
            for part in message.parts:
                if part["type"] == "file":
                    part["attachment_id"] = names.get(part["attachment_id"], part["attachment_id"])

    def _title(self, tree: Tree) -> str:
        title = " ".join(replace_surrogates(self.title).split())
        if len(title) > MAX_TITLE:
            self.source["title"] = title
            return f"{title[: MAX_TITLE - 1]}…"
        if title:
            return title
        asked = (
            message.content
            for message in tree.messages
            if message.role == "user" and not message.hidden and message.content.strip()
        )
        return first_line(next(asked, "")) or UNTITLED

    def _times(self, tree: Tree) -> tuple[datetime, datetime]:
        """Return when it was created and last changed; neither is in the future."""
        stamps = [
            message.timestamp
            for message in tree.messages
            if message.timestamp and message.time_source == "exact"
        ]
        now = to_milliseconds(self.now)
        created = self.created_at or (min(stamps) if stamps else now)
        updated = self.updated_at or (max(stamps) if stamps else created)
        if max(created, updated) > now:
            self.notes.append("a time lies in the future; the time of import is used")
        return min(created, now), min(updated, now)

    def _fill_times(self, messages: Iterable[NeutralMessage]) -> None:
        """Give a message without time its parent's, else the first one's, else another."""
        messages = list(messages)
        first = next((each.timestamp for each in messages if each.timestamp), None)
        source: TimeSource = "neighbour"
        if first is None:
            source = "conversation" if self.created_at else "import"
            first = self.created_at or to_milliseconds(self.now)
        by_id = {each.source_id: each for each in messages}
        for message in messages:
            if message.timestamp is None:
                parent = by_id.get(message.parent_id)
                message.timestamp = (parent and parent.timestamp) or first
                message.time_source = source

    def _metadata(self) -> Raw:
        source = {"format": self.format, **without_secrets(present(self.source))}
        found = {"source": source, "default_model": self.default_model}
        found = cast("Raw", self._fit_json(present(found)))
        if check_storable(found, max_bytes=MAX_FREE_BYTES) is not None:
            self.unknown["fields of conversations over 256 KB"] += 1
            found = {"source": {"format": self.format}}
        return found

    def _fit(self, message: NeutralMessage, number: int) -> None:
        """Make a message storable; only values that are far too large are lost."""
        message.extra = without_secrets(message.extra)
        whole = [message.content, message.model, list(message.parts), message.extra]
        if check_storable(whole, max_bytes=MAX_MESSAGE_BYTES) is None:
            return
        message.content = replace_surrogates(message.content)
        message.model = message.model and replace_surrogates(message.model)
        if check_storable(message.content, max_bytes=MAX_MESSAGE_BYTES) is not None:
            most = MAX_MESSAGE_BYTES // 1024**2
            raise UnfitError(f"is larger than {most} MB", place=f"message {number}")
        message.parts = tuple(self._fit_part(part) for part in message.parts)
        message.extra = self._fit_json(message.extra)
        self._move_out(message)
        whole = [message.content, message.model, list(message.parts), message.extra]
        if check_storable(whole, max_bytes=MAX_MESSAGE_BYTES) is not None:
            self.unknown["fields of messages over 8 MB"] += 1
            message.extra, message.parts = {}, ()
        self.repairs["held values that cannot be stored as they are, which were converted"] += 1

    def _fit_part(self, part: Part) -> Part:
        found = self._fit_json(part)
        return found if found.keys() == part.keys() else self.keep_raw(part["type"], found)

    def _fit_json(self, value: Any) -> Any:
        """Return the value, or its JSON as a text where the value cannot be stored."""
        reason = check_storable(value, max_bytes=2 * MAX_MESSAGE_BYTES)
        if reason is None:
            return value
        replaced = replace_surrogates(value)
        if check_storable(replaced, max_bytes=2 * MAX_MESSAGE_BYTES) is None:
            return replaced
        try:
            return {"json": json.dumps(value)}
        except (ValueError, RecursionError):
            self.unknown["values that are no JSON"] += 1
            return {}


def _give_ids(tree: Tree, source: str) -> str | None:
    """Give each message an id that can be stored, the same at each import; return the leaf's."""
    ids: dict[str | None, str] = {}
    for message in tree.messages:
        own = message.source_id or ""
        if not MESSAGE_ID.fullmatch(own):
            own = str(uuid.uuid5(uuid.NAMESPACE_URL, replace_surrogates(f"{source}:{own}")))
        ids[message.source_id] = own
    for message in tree.messages:
        message.source_id = ids[message.source_id]
        message.parent_id = None if message.parent_id is None else ids[message.parent_id]
    return None if tree.active_leaf is None else ids[tree.active_leaf]
