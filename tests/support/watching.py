"""Watching what reaches MongoDB, by the driver's monitoring."""

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
from chatvault.quotas.models import Quota

# Those that have the owner's id under this name.
BY_OWNER_ID = ("groups", "memberships", "group_grants")
# An administrator's, although they name a user.
OF_ADMINISTRATORS = (AuditEntry, Quota)
OWNED = {"users", *BY_OWNER_ID} | {
    document.Settings.name
    for document in DOCUMENTS
    if "user_id" in document.model_fields and document not in OF_ADMINISTRATORS
}
# Writes without a transaction, by collection and command; `ALONE` has the reasons, by place.
ALONE = {
    ("sessions", "update"),
    ("api_keys", "update"),
    ("segments", "insert"),
    ("retired", "insert"),
    ("reply_events", "insert"),
    ("replies", "update"),
    ("usage_days", "update"),
    ("stored_totals", "update"),
    ("replies", "findAndModify"),
    ("commands", "update"),
    ("commands", "findAndModify"),
    ("reply_jobs", "update"),
    ("reply_jobs", "delete"),
    ("reply_jobs", "findAndModify"),
    ("retired", "findAndModify"),
    ("usage", "insert"),
    ("exports", "update"),
    ("exports", "delete"),
    ("exports", "findAndModify"),
    ("batches", "findAndModify"),
    ("group_tasks", "delete"),
    ("claim_tasks", "update"),
    ("claim_tasks", "delete"),
    ("claim_tasks", "findAndModify"),
    ("group_tasks", "findAndModify"),
    ("export_parts", "insert"),
    ("export_parts", "delete"),
    ("attachment_files", "insert"),
    ("attachment_files", "update"),
    ("attachment_files", "findAndModify"),
    ("attachment_parts", "insert"),
    ("link_parts", "insert"),
    ("link_parts", "update"),
    ("link_parts", "delete"),
    # Made before the first change that needs it; a key that nothing is sealed with says nothing.
    ("user_keys", "insert"),
}
# Their documents are counted from others, also by an operation that changes nothing else.
COUNTED = {"tag_counts"}
# Those of them whose filters name no owner; `OWNERLESS` has the reasons.
OWNERLESS = {
    ("holds", "findAndModify"),
    ("retention_policies", "update"),
    ("sessions", "update"),
    ("replies", "update"),
    ("replies", "findAndModify"),
    ("commands", "update"),
    ("commands", "findAndModify"),
    ("reply_jobs", "findAndModify"),
    ("retired", "findAndModify"),
    ("exports", "findAndModify"),
    ("batches", "findAndModify"),
    ("group_tasks", "findAndModify"),
    ("claim_tasks", "findAndModify"),
}
# An account has no owner but itself.
OWNER = {"users": "_id", **dict.fromkeys(BY_OWNER_ID, "owner_id")}
# Reads that name no owner.
READ_BY = {
    "retention_policies": {"role"},  # an operator's, for all with a role
    "holds": {"lifted_at", "_id"},  # auditors ask for all
    "sessions": {"token_hash"},  # who knows the secret is its owner
    "api_keys": {"key_hash"},  # the same
    "links": {"token_hash"},  # whoever has the token may read
    "one_time_tokens": {"token_hash"},  # the same
    "users": {"username_key"},  # whoever signs in
    "agents": {"shared"},  # offered to all
    "usage": {"day"},  # administrators count everybody's tokens
    "groups": {"claim"},  # who signs in looks for those that are bound to their claims
    "memberships": {"member_id", "group_id"},  # a user's own, and those of a group one is in
    "group_grants": {"group_id"},  # what is shared with a group, by whomever
    "usage_days": {"day"},  # the same, of messages and bytes
    "erasures": {"_id"},  # whoever has its token, as its person has no account
    "exports": {"expires_at"},  # a process removes all that expired
    "imports": {"place"},  # a process takes those whose files lie where it runs
    "import_uploads": {"place", "expires_at"},  # the same, and removes what expired
    "replies": {"cancel_requested", "state"},  # a process asks for those that it writes itself
    "attachment_files": {"check_at"},  # a process looks after files that nothing names any more
}
# The messages that the commit queue moves to segments, which no reader notices.
MOVED = {"messages", "tail_seq", "tail_bytes"}


@dataclass(frozen=True)
class Written:
    """One statement that changed a collection with users' data.

    Attributes:
        transaction: session and number; None outside of one.
        filter: None if it inserts.
        fields: the fields that it sets.
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
        return self.collection in {"segments", *COUNTED} or (
            (self.collection, self.command) == ("conversations", "update")
            and bool(self.fields)
            and self.fields <= MOVED
        )


@dataclass(frozen=True)
class Asked:
    """One query of users' data."""

    collection: str
    filter: dict[str, Any]

    @property
    def names_owner(self) -> bool:
        """Whether it names one owner, in each of its alternatives."""
        known = {OWNER.get(self.collection, "user_id")} | READ_BY.get(self.collection, set())
        branches = self.filter.get("$or") or [self.filter]
        return bool(known & self.filter.keys()) or all(known & each.keys() for each in branches)


def _queries(collection: str, name: str, command: Mapping[str, Any]) -> Iterator[Asked]:
    """Yield what a command reads; of a pipeline, what each of its stages does."""
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
                yield Asked(collection, {})  # none is needed; one would have to be checked


def _statements(
    name: str, command: Mapping[str, Any]
) -> list[tuple[dict[str, Any] | None, frozenset[str]]]:
    """Return the filters of a command, and the fields that each sets."""
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
    """All writes, and which transactions were committed and have an audit entry."""

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
        """Ignore it: a failed transaction is not committed."""

    def forget(self) -> None:
        for seen in (self.written, self.asked, self.committed, self.recorded):
            seen.clear()

    def wrong(self) -> Iterator[str]:
        """Yield the breaches of the rules."""
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
        """The collections that committed transactions changed."""
        committed = {each.collection for each in self.written if each.transaction in self.committed}
        return committed - COUNTED


def listen(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Listen to every connection that the applications make from now on."""
    watch = Watch()
    listening = functools.partial(AsyncMongoClient, event_listeners=[watch])
    monkeypatch.setattr("chatvault.mongodb.database.AsyncMongoClient", listening)
    return watch
