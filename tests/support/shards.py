"""Checks that each query of the service on a sharded collection has an equality on the shard key.

There is no sharded cluster to test with. A query without the key would ask all shards there, and a
change of one document without it would be refused.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from pymongo import monitoring
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from support.source import ROOT

TESTS = Path(__file__).parent.parent
# Each query walks the stack: comparing text is faster than comparing paths.
OURS, THEIRS = f"{ROOT}/", f"{TESTS}/"
SHARDED = re.compile(r'sh\.shardCollection\("chatvault\.(\w+)",\s*\{(.*?)\}\)')
# What sends the queries of others.
PASSED = "/vault/collections.py"
# Queries that may go to all shards, by package, module or function and by collection; "*" is any.
ANY_SHARD = {
    ("backup", "*"): "everybody's documents, wholly: they are copied, counted, and put back",
    ("sealing", "audit_logs"): "the log is one chain of all users' entries",
    ("conversations/commits/garbage.py", "reply_events"): "one owner's, of a deleted conversation",
    **{
        ("erasure/removal.py", name): "one owner's, of all conversations, for their erasure"
        for name in (
            "attachment_parts",
            "export_parts",
            "grants",
            "link_parts",
            "paths",
            "reply_events",
            "revisions",
            "search_files",
            "segments",
        )
    },
    ("conversations/authors.py: release_shared", "grants"): "those of a deleted conversation",
    ("conversations/grants.py: Grant.list_raw", "grants"): "an owner's list of grants",
    (
        "conversations/commits/batch.py: CommitBatch._apply",
        "grants",
    ): "those of a conversation by one group, which end at once",
    ("conversations/released.py", "revisions"): "one owner's, of all conversations of a hold",
    (
        "conversations/trash/queries.py: list_due",
        "conversations",
    ): "everybody's trash, to be purged",
    **dict.fromkeys(
        (
            ("conversations/converting.py", name)
            for name in (
                "attachment_parts",
                "attachments",
                "conversations",
                "export_parts",
                "reply_events",
                "revisions",
                "search_files",
                "segments",
            )
        ),
        "an operator converts the content of all users",
    ),
    ("administration/readings.py", "audit_logs"): "the oldest unsealed entry of all users",
    ("review/service.py", "audit_logs"): "reviewers ask for all, users for acts of others",
    ("search/files.py", "search_indexes"): "those that nobody used, whose they may be",
    ("usage/review.py", "usage"): "administrators ask for all users' tokens",
    ("usage/review.py", "usage_days"): "the same, of messages and bytes",
    (
        "conversations/store.py: MessageStore.walk_revisions",
        "revisions",
    ): "one owner's, of all conversations, for an export of everything",
}


def _read_shard_keys() -> dict[str, tuple[str, ...]]:
    """Return the shard key of each sharded collection, from docs/operations.md."""
    text = (TESTS.parent / "docs" / "operations.md").read_text()
    return {
        found[1]: tuple(part.partition(":")[0].strip() for part in found[2].split(","))
        for found in SHARDED.finditer(text)
    }


SHARD_KEYS = _read_shard_keys()


def names_key(filter_: Mapping[str, Any], key: tuple[str, ...]) -> bool:
    """Whether a filter has an equality on each field of a shard key."""
    return all(_is_fixed(filter_, name) for name in key)


def _is_fixed(filter_: Mapping[str, Any], name: str) -> bool:
    if name in filter_:
        value = filter_[name]
        is_operator = isinstance(value, Mapping) and any(each.startswith("$") for each in value)
        return not is_operator or "$eq" in value or len(value.get("$in", ())) == 1
    branches = filter_.get("$or", ())
    return any(_is_fixed(each, name) for each in filter_.get("$and", ())) or (
        bool(branches) and all(_is_fixed(each, name) for each in branches)
    )


def _filters(command: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the collections that a command reads or changes, each with the filter."""
    collection = str(command[name])
    match name:
        case "find":
            yield collection, command.get("filter", {})
        case "count" | "distinct" | "findAndModify":
            yield collection, command.get("query", {})
        case "update" | "delete":
            yield from ((collection, each["q"]) for each in command[f"{name}s"])
        case "aggregate":
            yield from _filters_of_pipeline(collection, command["pipeline"])


def _filters_of_pipeline(
    collection: str, stages: list[Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if stages and "$changeStream" in stages[0]:
        return  # every shard needs it
    yield collection, stages[0].get("$match", {}) if stages else {}
    for stage in stages:
        if "$unionWith" in stage:
            other = stage["$unionWith"]
            yield from _filters_of_pipeline(other["coll"], other["pipeline"])
        if "$lookup" in stage or "$graphLookup" in stage:
            yield str(next(iter(stage.values()))["from"]), {}


def _place(frame: FrameType | None) -> tuple[str, str] | None:
    """Return the module and function of the service that sends a query; None for a test."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(OURS) and not path.endswith(PASSED):
            return path.removeprefix(OURS), frame.f_code.co_qualname
        if path.startswith(THEIRS):
            return None
        frame = frame.f_back
    return None


def _may_ask_all(place: tuple[str, str], collection: str) -> bool:
    path, function = place
    rooms = {path, path.partition("/")[0], f"{path}: {function}"}
    return any((room, name) in ANY_SHARD for room in rooms for name in (collection, "*"))


class ShardKeys(CommandListener):
    """Notes each query of the service on a sharded collection that does not name its shard."""

    def __init__(self) -> None:
        self._wrong: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        command, name = event.command, event.command_name
        for collection, filter_ in _filters(command, name):
            key = SHARD_KEYS.get(collection)
            if key is None or names_key(filter_, key):
                continue
            place = _place(sys._getframe(1))
            if place is not None and not _may_ask_all(place, collection):
                self._wrong.append(f"{place}: {name} of {collection} by {sorted(filter_)}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Ignore it."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Ignore it."""

    def take(self) -> list[str]:
        """Return and clear the notes."""
        wrong, self._wrong = self._wrong, []
        return wrong


# It hears every connection made from now on.
WATCH = ShardKeys()
monitoring.register(WATCH)
