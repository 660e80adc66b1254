"""The audit entry as an outbox: its details name the changed places of a conversation.

An entry commits with its change, and a change stream shows entries in the order of the commits. So
a follower of the log gets each change, in order, and reads what it needs by place (`seq`). The
details hold places and counts, never message text:

- `version`: the conversation's version after the change.
- `first_seq`, `count`: the messages at `first_seq` up to `first_seq + count - 1` are new, changed
  or removed; a count of 0 is a repeat, which changed nothing.
- `replaced`: true if those are all of the messages, and no earlier ones remain.
- `deleted`: true if the conversation was deleted or put into the trash; one that is restored has
  `replaced` with all of its places.
- `leaf_seq`: the place of the last message of the branch that is shown since, where the change
  chose another branch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatvault.audit.actions import Action
from chatvault.audit.models import Entry

VERSION = frozenset({"version"})
PLACES = frozenset({"version", "first_seq", "count"})
REPLACED = frozenset({"replaced"})
LEAF = frozenset({"version", "leaf_seq"})
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """The names of the details that an action's entries have.

    Attributes:
        always: those in each entry of a change.
        sometimes: those in entries of changes of messages, or of all messages.
    """

    always: frozenset[str]
    sometimes: frozenset[str] = NOTHING


# The actions that change what a reader of a conversation sees; no other action may do so.
CHANGES: Mapping[Action, Row] = {
    Action.CHAT_COMPLETE: Row(VERSION, PLACES),
    Action.COMMAND_APPROVE: Row(PLACES),
    Action.COMMAND_EXECUTE: Row(PLACES),
    Action.COMMAND_EXECUTE_TERMINAL: Row(PLACES),
    Action.COMMAND_PROPOSE: Row(PLACES),
    Action.COMMAND_REJECT: Row(PLACES),
    Action.CONVERSATION_APPEND_MESSAGE: Row(PLACES, LEAF),
    Action.CONVERSATION_APPEND_MESSAGES: Row(PLACES, LEAF),
    Action.CONVERSATION_ARCHIVE: Row(VERSION),
    Action.CONVERSATION_ATTACH: Row(VERSION),
    Action.CONVERSATION_CREATE: Row(PLACES),
    Action.CONVERSATION_DELETE: Row(VERSION | {"deleted"}),
    Action.CONVERSATION_DELETE_MESSAGE: Row(PLACES),
    Action.CONVERSATION_EDIT_MESSAGE: Row(PLACES),
    Action.CONVERSATION_FORK: Row(PLACES),
    Action.CONVERSATION_IMPORT: Row(PLACES, REPLACED | LEAF),
    Action.CONVERSATION_PURGE: Row(VERSION | {"deleted"}),
    Action.CONVERSATION_REPLACE_MESSAGE: Row(PLACES),
    Action.CONVERSATION_RESTORE: Row(VERSION, PLACES | REPLACED),
    Action.CONVERSATION_SHOW_BRANCH: Row(LEAF),
    Action.CONVERSATION_SUMMARIZE: Row(VERSION),
    Action.CONVERSATION_TITLE: Row(VERSION),
    Action.CONVERSATION_TRASH: Row(VERSION | {"deleted"}),
    Action.CONVERSATION_UPDATE: Row(VERSION, PLACES | REPLACED),
    Action.REPLY_CANCEL: Row(VERSION),
    Action.REPLY_CONTINUE: Row(VERSION),
    Action.REPLY_CREATE: Row(VERSION, PLACES),
    Action.REPLY_FINISH: Row(VERSION, PLACES | LEAF),
}


def place(seq: int, *, is_changed: bool = True) -> range:
    """Return the range of one message's place; empty for a repeat, which changed nothing."""
    return range(seq, seq + is_changed)


def all_places(fields: Mapping[str, Any]) -> range:
    """Return the places of all messages of a conversation."""
    return range(fields["first_seq"], fields["next_seq"])


class IncompleteDetails(RuntimeError):
    """A change would be stored that its audit entries do not describe, which is a bug."""


@dataclass(frozen=True, slots=True)
class ChangeDetails:
    """The changes of a conversation that an entry's details name.

    Attributes:
        version: the conversation's version after the change.
        places: the messages that are new, changed or removed; empty if there are none.
        is_replaced: whether no other messages remain.
        is_deleted: whether the conversation was deleted, or put into the trash.
        leaf_seq: the last message of the branch that is shown since, if another one was chosen.
    """

    version: int
    places: range
    is_replaced: bool = False
    is_deleted: bool = False
    leaf_seq: int | None = None

    @classmethod
    def read(cls, details: Mapping[str, Any] | None) -> "ChangeDetails | None":
        """Read an entry's details; None if they do not concern a conversation."""
        if not details or "version" not in details:
            return None
        first = details.get("first_seq", 0)
        return cls(
            version=details["version"],
            places=range(first, first + details.get("count", 0)),
            is_replaced=bool(details.get("replaced")),
            is_deleted=bool(details.get("deleted")),
            leaf_seq=details.get("leaf_seq"),
        )


class Outbox:
    """The audit entries of one conversation's changes, and the changed places they must name.

    Attributes:
        entries: of all changes so far.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._start = 0
        self._changed: list[range] = []
        self._is_replaced = False

    def begin(self) -> None:
        """Begin another change."""
        self._start = len(self.entries)
        self._changed = []
        self._is_replaced = False

    def note(self, first_seq: int, count: int = 1, *, replaces: bool = False) -> None:
        """Record that the change concerns the messages at these places.

        Args:
            first_seq: the first place.
            count: how many places.
            replaces: whether no earlier messages remain.
        """
        if replaces:
            self._changed = []
            self._is_replaced = True
        self._changed.append(range(first_seq, first_seq + count))

    def record(
        self,
        entry: Entry,
        places: range | None = None,
        *,
        replaced: bool = False,
        deleted: bool = False,
    ) -> None:
        """Add an entry; its version is set at the end of the change.

        Args:
            entry: describes a part of this change.
            places: the messages it concerns; an empty range for a repeat.
            replaced: whether they are all of the messages.
            deleted: whether the conversation goes to the trash; a permanent deletion says so
                itself.
        """
        told: dict[str, Any] = dict(entry["details"] or {})
        if places is not None:
            told |= {"first_seq": places.start, "count": len(places)}
        if replaced:
            told["replaced"] = True
        if deleted:
            told["deleted"] = True
        entry["details"] = told
        self.entries.append(entry)

    @property
    def _latest(self) -> list[Entry]:
        """The entries of the change under way."""
        return self.entries[self._start :]

    def end(self, version: int, *, changed: bool, deleted: bool = False) -> None:
        """Complete the entries of a change.

        Args:
            version: the conversation's after it.
            changed: whether the change did anything.
            deleted: whether the conversation was deleted.

        Raises:
            IncompleteDetails: they do not name all changed places.
        """
        told: list[ChangeDetails] = []
        for entry in self._latest:
            entry["details"] |= {"version": version}
            if deleted:
                entry["details"]["deleted"] = True
            if entry["action"] in CHANGES and (read := ChangeDetails.read(entry["details"])):
                told.append(read)
        is_told = (bool(told) or not changed) and all(
            any(_holds(each.places, changed) for each in told) for changed in self._changed
        )
        is_cut_told = not self._is_replaced or any(each.is_replaced for each in told)
        if not (is_told and is_cut_told):
            actions = [entry["action"] for entry in self._latest]
            raise IncompleteDetails(f"places {self._changed} are not told by {actions}")


def _holds(places: range, some: range) -> bool:
    return not some or (places.start <= some.start and some.stop <= places.stop)
