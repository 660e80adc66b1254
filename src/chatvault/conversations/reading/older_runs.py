"""Read the documents with the older runs of the branch that a conversation shows.

A page needs one or two of them, so few are read at first; a query with a limit leaves no cursor.
They come in groups, as the messages of a whole group can be read with one query.
"""

from collections.abc import AsyncGenerator

from bson import CodecOptions, ObjectId
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.access import Access
from chatvault.conversations.paths import PathRuns
from chatvault.conversations.shapes import ConversationDoc, PathRunsDoc
from chatvault.conversations.store import MessageStore
from chatvault.fields import Raw

PATHS: CodecOptions[PathRunsDoc] = CodecOptions(tz_aware=False)
FIRST_DOCUMENTS = 2
MOST_DOCUMENTS = 16


async def walk_from(
    access: Access, generation: ObjectId, place: int
) -> AsyncGenerator[list[PathRunsDoc]]:
    """Yield groups of the documents of older runs that end at a place or later, in order.

    If there is none, the last document is yielded.
    """
    mine, limit = PathRuns.owned_by(access, generation=generation), FIRST_DOCUMENTS
    found = await _list({**mine, "last": {"$gte": place}}, "last", 1, limit)
    yield found or await _list(mine, "last", -1, 1)
    while len(found) == limit:
        limit = min(2 * limit, MOST_DOCUMENTS)
        found = await _list({**mine, "last": {"$gt": found[-1]["last"]}}, "last", 1, limit)
        yield found


async def walk_back(
    access: Access, generation: ObjectId, before: int
) -> AsyncGenerator[list[PathRunsDoc]]:
    """Yield groups of the documents of older runs that begin before a place, newest first."""
    mine, limit = PathRuns.owned_by(access, generation=generation), FIRST_DOCUMENTS
    while True:
        found = await _list({**mine, "first": {"$lt": before}}, "first", -1, limit)
        yield found
        if len(found) < limit:
            return
        before, limit = found[-1]["first"], min(2 * limit, MOST_DOCUMENTS)


async def list_counts(
    access: Access, store: MessageStore, conversation: ConversationDoc
) -> list[PathRunsDoc]:
    """Return the documents of older runs without the runs, in order.

    They are kept until the conversation changes, as the pages of a reader need them again.
    """
    generation = conversation["generation"]
    key = (access.owner_id, generation, conversation["version"])
    if (kept := store.path_counts.get(key)) is not None:
        return kept
    query = PathRuns.owned_by(access, generation=generation)
    found = await _paths().find(query, {"runs": False}).sort("last", 1).to_list()
    # Those of another version would be refused each time.
    fits = len(found) < store.path_counts.maxsize
    if fits and all(each["changed_in"] <= conversation["version"] for each in found):
        store.path_counts[key] = found
    return found


async def _list(query: Raw, key: str, order: int, limit: int) -> list[PathRunsDoc]:
    return await _paths().find(query).sort(key, order).limit(limit).to_list()


def _paths() -> AsyncCollection[PathRunsDoc]:
    return PathRuns.get_pymongo_collection().with_options(codec_options=PATHS)
