"""The live events that entries of the audit log cause, and their change stream."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.timestamp import Timestamp

from chatvault.audit.actions import Action
from chatvault.audit.outbox import CHANGES, ChangeDetails
from chatvault.fields import Raw
from chatvault.mongodb.changes import Change

CREATED = "conversation.created"
UPDATED = "conversation.updated"
ARCHIVED = "conversation.archived"
DELETED = "conversation.deleted"
TRASHED = "conversation.trashed"
RESTORED = "conversation.restored"
APPENDED = "message.appended"
EDITED = "message.edited"
REMOVED = "message.removed"
COMMAND = "command.updated"
STARTED = "reply.started"
ENDED = "reply.ended"
PREFERENCES = "preferences.updated"
AGENT_CREATED = "agent.created"
AGENT_UPDATED = "agent.updated"
AGENT_DELETED = "agent.deleted"
KEY_CREATED = "api_key.created"
KEY_REVOKED = "api_key.revoked"
EXPORT_DELETED = "export.deleted"
SHARED = "conversation.shared"
UNSHARED = "conversation.unshared"
NOTE_CREATED = "note.created"
NOTE_UPDATED = "note.updated"
NOTE_DELETED = "note.deleted"
# The kinds of jobs whose progress is reported.
IMPORT = "import"
EXPORT = "export"
CATEGORIES = "categories.updated"
# The type of the event that an action's entries cause.
TYPES: Mapping[Action, str] = {
    Action.CATEGORY_CREATE: CATEGORIES,
    Action.CATEGORY_DELETE: CATEGORIES,
    Action.CATEGORY_UPDATE: CATEGORIES,
    Action.CHAT_COMPLETE: APPENDED,
    Action.COMMAND_APPROVE: COMMAND,
    Action.COMMAND_EXECUTE: COMMAND,
    Action.COMMAND_EXECUTE_TERMINAL: COMMAND,
    Action.COMMAND_PROPOSE: COMMAND,
    Action.COMMAND_REJECT: COMMAND,
    Action.CONVERSATION_APPEND_MESSAGE: APPENDED,
    Action.CONVERSATION_APPEND_MESSAGES: APPENDED,
    Action.CONVERSATION_ARCHIVE: ARCHIVED,
    Action.CONVERSATION_ATTACH: UPDATED,
    Action.CONVERSATION_CREATE: CREATED,
    Action.CONVERSATION_FORK: CREATED,
    Action.CONVERSATION_DELETE: DELETED,
    Action.CONVERSATION_DELETE_MESSAGE: REMOVED,
    Action.CONVERSATION_EDIT_MESSAGE: EDITED,
    Action.CONVERSATION_IMPORT: UPDATED,
    Action.CONVERSATION_PURGE: DELETED,
    Action.CONVERSATION_REPLACE_MESSAGE: EDITED,
    Action.CONVERSATION_RESTORE: RESTORED,
    Action.CONVERSATION_SHARE: SHARED,
    Action.CONVERSATION_SHOW_BRANCH: UPDATED,
    Action.CONVERSATION_SUMMARIZE: UPDATED,
    Action.CONVERSATION_TITLE: UPDATED,
    Action.CONVERSATION_TRASH: TRASHED,
    Action.CONVERSATION_UNSHARE: UNSHARED,
    Action.CONVERSATION_UPDATE: UPDATED,
    Action.NOTE_CREATE: NOTE_CREATED,
    Action.NOTE_DELETE: NOTE_DELETED,
    Action.NOTE_UPDATE: NOTE_UPDATED,
    Action.REPLY_CANCEL: UPDATED,
    Action.REPLY_CONTINUE: STARTED,
    Action.REPLY_CREATE: STARTED,
    Action.REPLY_FINISH: ENDED,
    Action.PREFERENCES_IMPORT: PREFERENCES,
    Action.PREFERENCES_UPDATE: PREFERENCES,
    Action.AGENT_CREATE: AGENT_CREATED,
    Action.AGENT_DELETE: AGENT_DELETED,
    Action.AGENT_UPDATE: AGENT_UPDATED,
    Action.API_KEY_CREATE: KEY_CREATED,
    Action.API_KEY_REVOKE: KEY_REVOKED,
    Action.API_KEY_REVOKE_ALL: KEY_REVOKED,
    Action.EXPORT_DELETE: EXPORT_DELETED,
}
# The jobs that begin with an entry.
STARTS: Mapping[Action, str] = {Action.IMPORT_START: IMPORT, Action.EXPORT_CREATE: EXPORT}
# What an update is about, where the entry does not name the fields.
FIELDS: Mapping[Action, list[str]] = {
    Action.CONVERSATION_ARCHIVE: ["status"],
    Action.CONVERSATION_ATTACH: ["attachments"],
    Action.CONVERSATION_SHOW_BRANCH: ["active_leaf"],
    Action.CONVERSATION_SUMMARIZE: ["summary"],
    Action.CONVERSATION_TITLE: ["title"],
    Action.REPLY_CANCEL: ["active_reply_id"],
}
# After these, some sessions of the acting user are gone.
ENDS_OWN_SESSIONS = {
    Action.SESSION_LOGIN,
    Action.SESSION_LOGOUT,
    Action.SESSION_REVOKE,
    Action.SESSION_REVOKE_OTHERS,
}
# After these, some sessions of the user that they name are gone.
ENDS_SESSIONS_OF = {
    Action.USER_DEACTIVATE,
    Action.USER_END_SESSIONS,
    Action.USER_ERASE,
    Action.USER_PASSWORD,
    Action.USER_RESET_PASSWORD,
    Action.USER_ROLE,
    Action.USER_UPDATE,
}
OTHERS = {
    *(TYPES.keys() - CHANGES.keys()),
    *STARTS,
    *ENDS_OWN_SESSIONS,
    *ENDS_SESSIONS_OF,
}
# Those of an entry's details that a frame has too.
SHOWN_DETAILS = (
    "fields",
    "reply_id",
    "command_id",
    "status",
    "state",
    "grantee_id",
    "role",
    "group_id",
    "note_id",
)
PIPELINE: list[dict[str, Any]] = [
    {
        "$match": {
            "operationType": "insert",
            "$or": [
                {
                    "fullDocument.action": {"$in": sorted(CHANGES)},
                    "fullDocument.details.version": {"$exists": True},
                },
                {"fullDocument.action": {"$in": sorted(OTHERS)}, "fullDocument.outcome": "success"},
            ],
        }
    },
    {
        "$project": {
            f"fullDocument.{name}": 1
            for name in ("user_id", "owner_id", "action", "resource_id", "details", "request_id")
        }
        | {"wallTime": 1}
    },
]
# The fields of the order in which its owner keeps a conversation, which guests do not see.
ORDER = frozenset({"tags", "category_id", "pinned", "pinned_at"})
# A resume token: the time of its commit, and further bytes that order what has the same time.
ID_PATTERN = re.compile(r"82(?P<seconds>[0-9A-F]{8})[0-9A-F]{8,500}")


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that happened, by place; its messages are read when it is sent.

    Attributes:
        id: the resume token of its audit entry, which orders events as text.
        user_id: whose data changed.
        places: of the messages that are new, changed or removed.
        more: further fields of its frame.
    """

    id: str
    user_id: ObjectId
    type: str
    conversation_id: str | None
    version: int | None
    places: range
    request_id: str
    more: Raw

    @property
    def merges_with(self) -> str:
        """The key of events that are merged for a client that is too slow for each."""
        if self.conversation_id is None or self.is_of_grant:
            return f"{self.type} {self.conversation_id} {self.more}"
        return self.conversation_id

    @property
    def is_of_grant(self) -> bool:
        """Whether it is about who may see a conversation, not about what is in it."""
        return self.type in {SHARED, UNSHARED}

    def seen_by_guest(self) -> "LiveEvent | None":
        """Return the event as guests of the conversation see it, who learn whose it is.

        None if it is only about the order in which the owner keeps conversations.
        """
        more = {**self.more, "owner_id": str(self.user_id)}
        if "fields" in more:
            more["fields"] = [each for each in more["fields"] if each not in ORDER]
            if not more["fields"] and not self.places:
                return None
        return replace(self, more=more)


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """Some sessions of a user may have ended."""

    user_id: ObjectId


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job in the background began, such as an import."""

    user_id: ObjectId
    kind: str
    job_id: ObjectId


@dataclass(frozen=True, slots=True)
class GrantChanged:
    """Grants of a conversation were given, altered or ended.

    Attributes:
        event: tells it to the owner, and to those whom it concerns.
        grantee_ids: those who have the grant, or had it.
        role: what it allows since; None if it has ended.
        expires_at: when it ends by itself; None for never.
        via_group: the group by which they have it; None for a grant to a user alone.
        is_of_all: whether everybody who had it by the group has lost it, named or not.
    """

    event: LiveEvent
    grantee_ids: tuple[ObjectId, ...]
    role: str | None
    expires_at: datetime | None
    via_group: ObjectId | None
    is_of_all: bool


def read_change(change: Change) -> LiveEvent | SessionsEnded | JobStarted | GrantChanged | None:
    """Return what an entry means to followers; None if it means nothing to them."""
    entry = change["fullDocument"]
    action, user_id, target = Action(entry["action"]), _owner_of(entry), entry["resource_id"]
    if action in ENDS_SESSIONS_OF:
        return SessionsEnded(ObjectId(target))
    if user_id is None:
        return None
    if action in ENDS_OWN_SESSIONS:
        return SessionsEnded(user_id)
    if action in STARTS:
        return JobStarted(user_id, STARTS[action], ObjectId(target))
    event = _read_event(change["_id"]["_data"], action, entry)
    if event is not None and event.type in {SHARED, UNSHARED}:
        return _read_grant(event, entry["details"])
    return event


def _read_grant(event: LiveEvent, details: Mapping[str, Any]) -> GrantChanged:
    """Return what an entry about grants says; those by a group name several users."""
    alone, expires_at = details.get("grantee_id"), details.get("expires_at")
    group_id = details.get("group_id")
    grantee_ids = details.get("grantees", ()) if alone is None else (alone,)
    return GrantChanged(
        event=event,
        grantee_ids=tuple(map(ObjectId, grantee_ids)),
        is_of_all=event.type == UNSHARED and alone is None,
        role=details["role"] if event.type == SHARED else None,
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        via_group=None if group_id is None else ObjectId(group_id),
    )


def _owner_of(entry: Mapping[str, Any]) -> ObjectId | None:
    """Return whose data an entry is about; who acted may be a guest."""
    owner_id: ObjectId | None = entry.get("owner_id") or entry.get("user_id")
    return owner_id


def _read_event(event_id: str, action: Action, entry: Mapping[str, Any]) -> LiveEvent | None:
    details = entry.get("details") or {}
    told = ChangeDetails.read(details)
    kind, more = TYPES[action], {name: details[name] for name in SHOWN_DETAILS if name in details}
    if told is None:
        if details.get("replayed"):
            return None
        if action not in CHANGES and entry["resource_id"]:
            more[f"{action.resource_type}_id"] = entry["resource_id"]
        return _event(event_id, kind, entry, None, more)
    if kind in {APPENDED, EDITED, REMOVED} and not told.places:
        return None  # a repeat, which changed nothing
    if action == Action.CONVERSATION_ARCHIVE and not details.get("archived"):
        kind = UPDATED
    if action == Action.CONVERSATION_IMPORT:
        kind = _kind_of_import(told)
    return _event(event_id, kind, entry, told, more | _shown_change(action, told))


def _shown_change(action: Action, told: ChangeDetails) -> Raw:
    """Return the members of an event that say how a conversation changed."""
    more: Raw = {"fields": FIELDS[action]} if action in FIELDS else {}
    if told.is_deleted:
        more["deleted"] = True
    if told.is_replaced:
        more["replaced"] = True
    if told.leaf_seq is not None:
        more["leaf_seq"] = told.leaf_seq
    return more


def _kind_of_import(told: ChangeDetails) -> str:
    if told.version == 1:
        return CREATED
    return UPDATED if told.is_replaced or not told.places else APPENDED


def _event(
    event_id: str, kind: str, entry: Mapping[str, Any], told: ChangeDetails | None, more: Raw
) -> LiveEvent:
    return LiveEvent(
        id=event_id,
        user_id=entry.get("owner_id") or entry["user_id"],
        type=kind,
        conversation_id=entry["resource_id"] if told else None,
        version=told.version if told else None,
        places=told.places if told else range(0),
        request_id=entry["request_id"],
        more=more,
    )


def first_id(since: Timestamp, *, later: int = 0) -> str:
    """Return what orders before the ids of all events from a time on, and after earlier ones.

    Args:
        since: the time, by MongoDB's clock.
        later: the seconds after it.
    """
    return f"82{since.time + later:08X}{since.inc:08X}"


def time_of(event_id: str) -> datetime | None:
    """Return when an event was committed, in whole seconds; None if it is not an event's id."""
    found = ID_PATTERN.fullmatch(event_id)
    return found and datetime.fromtimestamp(int(found["seconds"], 16), UTC)
