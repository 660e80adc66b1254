"""Watching what reaches MongoDB: the driver's own monitoring tells."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from chatvault.audit.models import AuditEntry
from chatvault.documents import DOCUMENTS

OWNED = {"users"} | {
    document.Settings.name
    for document in DOCUMENTS
    if "user_id" in document.model_fields and document is not AuditEntry
}
# What is written without a transaction, by collection and command; `ALONE` says why, by place.
ALONE = {
    ("sessions", "update"),
    ("segments", "insert"),
    ("retired", "insert"),
    ("reply_events", "insert"),
    ("replies", "update"),
    ("replies", "findAndModify"),
    ("commands", "update"),
    ("commands", "findAndModify"),
    ("reply_jobs", "update"),
    ("reply_jobs", "delete"),
    ("reply_jobs", "findAndModify"),
    ("retired", "findAndModify"),
    ("usage", "insert"),
}
# Of these, whose filters name no owner; `OWNERLESS` says why.
OWNERLESS = {
    ("sessions", "update"),
    ("replies", "update"),
    ("replies", "findAndModify"),
    ("commands", "update"),
    ("commands", "findAndModify"),
    ("reply_jobs", "findAndModify"),
    ("retired", "findAndModify"),
}
# An account has no owner beside itself.
OWNER = {"users": "_id"}
# Of what is read, which names no owner.
READ_BY = {
    "sessions": {"token_hash"},  # who knows the secret is its owner
    "users": {"username_key"},  # whoever signs in
    "agents": {"shared"},  # offered to all
    "usage": {"day"},  # administrators count everybody's tokens
    "replies": {"cancel_requested"},  # a process asks for those that it writes itself
}
# What the lane moves to segments by itself, without anybody's seeing a difference.
MOVED = {"messages", "tail_seq", "tail_bytes"}


@dataclass(frozen=True)
class Written:
    """One statement that changed a collection of somebody's data.

    Attributes:
        transaction: session and number; None outside of one.
        filter: None where it inserts.
        fields: that it sets.
    """

    collection: str
    command: str
    transaction: tuple[bytes, int] | None
    filter: dict[str, Any] | None
    fields: frozenset[str] = frozenset()

    @property
    def names_owner(self) -> bool:
        return self.filter is None or OWNER.get(self.collection, "user_id") in self.filter

    @property
    def is_move(self) -> bool:
        return self.collection == "segments" or (
            (self.collection, self.command) == ("conversations", "update")
            and bool(self.fields)
            and self.fields <= MOVED
        )


@dataclass(frozen=True)
class Asked:
    """One query for somebody's data."""

    collection: str
    filter: dict[str, Any]

    @property
    def names_owner(self) -> bool:
        """Whether it asks for one owner's, in each of its alternatives."""
        known = {OWNER.get(self.collection, "user_id")} | READ_BY.get(self.collection, set())
        branches = self.filter.get("$or") or [self.filter]
        return bool(known & self.filter.keys()) or all(known & each.keys() for each in branches)


def _queries(collection: str, name: str, command: Mapping[str, Any]) -> Iterator[Asked]:
    """What a command asks for; of a pipeline, what each of its parts does."""
    if name == "find":
        yield Asked(collection, dict(command.get("filter", {})))
    elif name in {"count", "distinct"}:
        yield Asked(collection, dict(command.get("query", {})))
    elif name == "aggregate":
        stages = command["pipeline"]
        yield Asked(collection, dict(stages[0].get("$match", {})) if stages else {})
        for stage in stages:
            if "$unionWith" in stage:
                whole = stage["$unionWith"]
                yield from _queries(whole["coll"], name, {"pipeline": whole["pipeline"]})
            if "$lookup" in stage or "$graphLookup" in stage:
                yield Asked(collection, {})  # none is needed; one would have to be looked into


def _statements(
    name: str, command: Mapping[str, Any]
) -> list[tuple[dict[str, Any] | None, frozenset[str]]]:
    """The filters of a command, and the fields that each sets."""
    if name == "insert":
        return [(None, frozenset())]
    if name == "delete":
        return [(each["q"], frozenset()) for each in command["deletes"]]
    if name == "findAndModify":
        return [(command["query"], frozenset())]
    changes = [(each["q"], each["u"]) for each in command["updates"]]
    return [
        (filter_, frozenset(change.get("$set", ())) if isinstance(change, dict) else frozenset())
        for filter_, change in changes
    ]


@dataclass
class Watch(CommandListener):
    """All that was written, and which transactions were committed and hold an entry."""

    written: list[Written] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    committed: set[tuple[bytes, int]] = field(default_factory=set)
    recorded: set[tuple[bytes, int]] = field(default_factory=set)
    committing: dict[int, tuple[bytes, int]] = field(default_factory=dict)

    def started(self, event: CommandStartedEvent) -> None:
        command, name = event.command, event.command_name
        transaction = None
        if command.get("autocommit") is False:
            transaction = bytes(command["lsid"]["id"]), int(command["txnNumber"])
        if name == "commitTransaction":
            assert transaction is not None
            self.committing[event.request_id] = transaction
        collection = str(command.get(name))
        self.asked += [
            each for each in _queries(collection, name, command) if each.collection in OWNED
        ]
        if name not in {"insert", "update", "delete", "findAndModify"}:
            return
        if collection == "audit_logs" and transaction is not None:
            self.recorded.add(transaction)
        if collection in OWNED:
            self.written += [
                Written(collection, name, transaction, filter_, fields)
                for filter_, fields in _statements(name, command)
            ]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name == "commitTransaction":
            self.committed.add(self.committing[event.request_id])

    def failed(self, event: CommandFailedEvent) -> None:
        """What failed is seen by what is not committed."""

    def forget(self) -> None:
        for seen in (self.written, self.asked, self.committed, self.recorded):
            seen.clear()

    def wrong(self) -> Iterator[str]:
        """What breaks the rules."""
        for query in self.asked:
            if not query.names_owner:
                yield f"{query.collection} is asked without its owner: {sorted(query.filter)}"
        for write in self.written:
            what = write.collection, write.command
            if not write.names_owner and what not in OWNERLESS:
                yield f"{what} names no owner in {sorted(write.filter or ())}"
            if write.transaction is None and what not in ALONE:
                yield f"{what} is in no transaction"
            if write.transaction in self.committed - self.recorded and not self._is_move(write):
                yield f"{what} is committed without an entry"

    def _is_move(self, write: Written) -> bool:
        beside = [each for each in self.written if each.transaction == write.transaction]
        return all(each.is_move for each in beside)

    @property
    def changes(self) -> set[str]:
        """The collections that were changed in a transaction that was committed."""
        return {each.collection for each in self.written if each.transaction in self.committed}


def listen(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Listen to every connection of the applications that are made from now on."""
    watch = Watch()
    listening = functools.partial(AsyncMongoClient, event_listeners=[watch])
    monkeypatch.setattr("chatvault.mongodb.database.AsyncMongoClient", listening)
    return watch
