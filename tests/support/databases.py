"""Databases that tests share: emptied before each test, their indexes created once a run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from beanie import Document, init_beanie
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

Place = tuple[frozenset[Any], str]
# Deletions are counted apart. Among commands are those that find and change a document, and reads.
WRITES = ("insert", "update", "commands")
# MongoDB answers before the change is in its journal.
UNCONFIRMED = WriteConcern(w=1, j=False)


class Uses(NamedTuple):
    """The numbers of uses of a collection since MongoDB started.

    Attributes:
        writes: all but deletions, and some reads.
        all: reads, writes and deletions.
    """

    writes: int
    all: int


class Cleaner:
    """Empties databases, but for collections that nobody has written to since the last time.

    To look into each collection would take longer than to empty those that a test has used.

    Args:
        client: the tests' own connection.
    """

    def __init__(self, client: MongoClient[dict[str, Any]]) -> None:
        self._client = client
        self._uses: dict[str, Uses] = {}

    def empty(self, name: str) -> Database[dict[str, Any]]:
        """Delete every document, keep the collections with their indexes; return the database."""
        database = self._client[name]
        used = self._look(f"{name}.")
        for each in used[:-1]:
            database.get_collection(each, write_concern=UNCONFIRMED).delete_many({})
        for each in used[-1:]:
            # Once this change is in the journal, so are those before it.
            database[each].delete_many({})
        return database

    def _look(self, prefix: str) -> list[str]:
        """Return the collections that were written to since the last look."""
        totals = self._client.admin.command("top")["totals"]
        used = []
        for name, counts in totals.items():
            if name.startswith(prefix) and not name.startswith(f"{prefix}system."):
                uses = Uses(
                    writes=sum(counts[kind]["count"] for kind in WRITES),
                    all=counts["total"]["count"],
                )
                before = self._uses.get(name)
                # One that was dropped and made again is counted from the beginning.
                if before is None or uses.writes != before.writes or uses.all < before.all:
                    used.append(name.removeprefix(prefix))
                self._uses[name] = uses
        return used


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
