"""Read the documents with the older runs of the branch that a conversation shows.

A page needs one or two of them, so few are read at first; a query with a limit leaves no cursor.
They come in groups, as the messages of a whole group can be read with one query. Those of the last
pages are kept until the conversation changes, as the next page needs them again.
"""

from collections.abc import AsyncGenerator

from bson import CodecOptions
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.access import Access
from chatvault.conversations.paths import PathRuns
from chatvault.conversations.shapes import ConversationDoc, PathRunsDoc
from chatvault.conversations.store import MessageStore, PathVersion
from chatvault.fields import Raw

PATHS: CodecOptions[PathRunsDoc] = CodecOptions(tz_aware=False)
FIRST_DOCUMENTS = 2
MOST_DOCUMENTS = 16


async def walk_from(
    access: Access, store: MessageStore, conversation: ConversationDoc, place: int
) -> AsyncGenerator[list[PathRunsDoc]]:
    """Yield groups of the documents of older runs that end at a place or later, in order.

    If there is none, the last document is yielded.
    """
    mine = PathRuns.owned_by(access, generation=conversation["generation"])
    key, limit = _version(access, conversation), FIRST_DOCUMENTS
    while True:
        found = _kept_from(store.path_runs.get(key, []), place)[:limit]
        if not found:
            found = await _list({**mine, "last": {"$gte": place}}, "last", 1, limit)
            found = found or await _list(mine, "last", -1, 1)
            _keep(store, key, found)
        yield found
        if not found or _is_end(found[-1], conversation):
            return
        place, limit = found[-1]["last"] + 1, min(2 * limit, MOST_DOCUMENTS)


async def walk_back(
    access: Access, store: MessageStore, conversation: ConversationDoc, before: int
) -> AsyncGenerator[list[PathRunsDoc]]:
    """Yield groups of the documents of older runs that begin before a place, in order.

    The newest group comes first.
    """
    mine = PathRuns.owned_by(access, generation=conversation["generation"])
    key, limit = _version(access, conversation), FIRST_DOCUMENTS
    while True:
        kept = store.path_runs.get(key, [])
        found = _kept_before(kept, before, conversation)[-limit:]
        if not found:
            found = await _list({**mine, "first": {"$lt": before}}, "first", -1, limit)
            found.reverse()
            _keep(store, key, found)
        yield found
        if not found or not found[0]["start"]:
            return
        before, limit = found[0]["first"], min(2 * limit, MOST_DOCUMENTS)


def _kept_from(kept: list[PathRunsDoc], place: int) -> list[PathRunsDoc]:
    """Return the documents that end at a place or later; none if one may be missing."""
    found = [each for each in kept if each["last"] >= place]
    is_first = len(found) < len(kept)
    return found if is_first or (found and found[0]["first"] <= place) else []


def _kept_before(
    kept: list[PathRunsDoc], before: int, conversation: ConversationDoc
) -> list[PathRunsDoc]:
    """Return the documents that begin before a place; none if one may be missing."""
    found = [each for each in kept if each["first"] < before]
    is_last = len(found) < len(kept) or (found and _is_end(found[-1], conversation))
    return found if is_last or (found and found[-1]["last"] >= before - 1) else []


def _is_end(runs: PathRunsDoc, conversation: ConversationDoc) -> bool:
    path = conversation.get("path")
    return path is None or runs["start"] + len(runs["runs"]) >= path["older"]


def _keep(store: MessageStore, key: PathVersion, found: list[PathRunsDoc]) -> None:
    """Keep documents, with those that were read just before or after them, up to a number."""
    # Those of another version would be refused each time.
    if not found or any(each["changed_in"] > key[2] for each in found):
        return
    kept = store.path_runs.get(key, [])
    if kept and _follows(kept[-1], found[0]):
        found = [*kept, *found][-MOST_DOCUMENTS:]
    elif kept and _follows(found[-1], kept[0]):
        found = [*found, *kept][:MOST_DOCUMENTS]
    store.path_runs[key] = found


def _follows(one: PathRunsDoc, other: PathRunsDoc) -> bool:
    return one["start"] + len(one["runs"]) == other["start"]


async def list_counts(
    access: Access, store: MessageStore, conversation: ConversationDoc
) -> list[PathRunsDoc]:
    """Return the documents of older runs without the runs, in order.

    They are kept until the conversation changes, as the pages of a reader need them again.
    """
    key = _version(access, conversation)
    if (kept := store.path_counts.get(key)) is not None:
        return kept
    query = PathRuns.owned_by(access, generation=conversation["generation"])
    found = await _paths().find(query, {"runs": False}).sort("last", 1).to_list()
    # Those of another version would be refused each time.
    fits = len(found) < store.path_counts.maxsize
    if fits and all(each["changed_in"] <= conversation["version"] for each in found):
        store.path_counts[key] = found
    return found


def _version(access: Access, conversation: ConversationDoc) -> PathVersion:
    return access.owner_id, conversation["generation"], conversation["version"]


async def _list(query: Raw, key: str, order: int, limit: int) -> list[PathRunsDoc]:
    return await _paths().find(query).sort(key, order).limit(limit).to_list()


def _paths() -> AsyncCollection[PathRunsDoc]:
    return PathRuns.get_pymongo_collection().with_options(codec_options=PATHS)
