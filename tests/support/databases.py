"""Databases that tests share: emptied before each test, their indexes created once a run."""

from collections.abc import Sequence
from typing import Any

from beanie import Document, init_beanie
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.client_session import ClientSession
from pymongo.database import Database

Place = tuple[frozenset[Any], str]


def empty(database: Database[dict[str, Any]]) -> None:
    """Delete every document, and keep the collections with their indexes.

    One transaction, as each delete by itself would wait for the journal.
    """
    names = _used(database)
    if not names:
        return

    def delete(session: ClientSession) -> None:
        for name in names:
            database[name].delete_many({}, session=session)

    with database.client.start_session() as session:
        session.with_transaction(delete)


def _used(database: Database[dict[str, Any]]) -> list[str]:
    """Return the collections that have a document, found in one request."""
    looks = [
        {
            "$unionWith": {
                "coll": name,
                "pipeline": [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}],
            }
        }
        for name in database.list_collection_names()
    ]
    return [found["name"] for found in database.aggregate([{"$documents": []}, *looks])]


class BindOnce:
    """Replaces Beanie's `init_beanie`: does all of its work once for each database.

    Afterwards the documents are only bound to the new connection, unless a collection was dropped.
    """

    def __init__(self) -> None:
        self._bound: dict[Place, set[str]] = {}

    async def __call__(
        self, database: AsyncDatabase[dict[str, Any]], document_models: Sequence[type[Document]]
    ) -> None:
        """Bind the documents to the database."""
        seeds = frozenset(database.client.topology_description.server_descriptions())
        place = (seeds, database.name)
        before = self._bound.get(place)
        if before is not None and before <= set(await database.list_collection_names()):
            for model in document_models:
                collection = database[str(model.get_collection_name())]
                model.set_database(database)  # type: ignore[no-untyped-call]  # Beanie's
                model.set_collection(collection)  # type: ignore[no-untyped-call]  # the same
            return
        await init_beanie(database=database, document_models=document_models)
        self._bound[place] = set(await database.list_collection_names())
