"""Collections whose declared words are sealed when written and opened when read.

They are bound to the document classes in the place of the driver's, so that no room does anything
for it. Whatever the driver offers beside the methods here neither writes nor returns words.
"""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beanie import Document
from bson import ObjectId
from pymongo import InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor

from chatvault.content import Content
from chatvault.fields import Raw
from chatvault.vault.damage import DamageReports, OnDamage, log_damage
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.envelope import UnknownEpoch
from chatvault.vault.fields import SealedFields
from chatvault.vault.masters import MasterKeys


@dataclass(slots=True)
class Vault:
    """The keys of a process, and how it seals and reports damage.

    Attributes:
        keys: of the users.
        seals: whether what is written is sealed; otherwise it is stored as it is.
        on_damage: records what does not open; by default it is logged only.
        damage: what does not open, until it is recorded.
    """

    keys: DataKeys
    seals: bool = True
    on_damage: OnDamage = log_damage
    damage: DamageReports = field(default_factory=DamageReports)

    @property
    def masters(self) -> MasterKeys:
        """The master keys."""
        return self.keys.masters


class SealedCollection(AsyncCollection[Raw]):
    """A collection with sealed fields.

    Args:
        plain: the driver's.
        vault: seals and opens.
        fields: the sealed fields.
    """

    def __init__(self, plain: AsyncCollection[Raw], vault: Vault, fields: SealedFields) -> None:
        super().__init__(
            plain.database,
            plain.name,
            codec_options=plain.codec_options,
            read_preference=plain.read_preference,
            write_concern=plain.write_concern,
            read_concern=plain.read_concern,
        )
        self.plain = plain
        self.vault = vault
        self.fields = fields

    def with_options(self, *args: Any, **kwargs: Any) -> Any:
        """Return the same with other options of the driver's."""
        return type(self)(self.plain.with_options(*args, **kwargs), self.vault, self.fields)

    def find(self, filter: Any = None, projection: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # the driver's name
        """Return a cursor that opens what it finds."""
        self._check_filter(filter)
        wanted = self.fields.with_identifying(projection)
        return OpeningCursor(self, filter, wanted, *args, **kwargs)

    async def find_one_and_update(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # the driver's name
        """Change a document, and return it opened."""
        sealed = await self._seal_update(filter, update)
        found = await super().find_one_and_update(filter, sealed, *args, **kwargs)
        return None if found is None else (await self.open([found]))[0]

    async def insert_one(self, document: Any, *args: Any, **kwargs: Any) -> Any:
        """Insert a document, sealed."""
        [sealed] = await self.seal([document])
        return await super().insert_one(sealed, *args, **kwargs)

    async def insert_many(self, documents: Any, *args: Any, **kwargs: Any) -> Any:
        """Insert documents, sealed."""
        return await super().insert_many(await self.seal([*documents]), *args, **kwargs)

    async def replace_one(self, filter: Any, replacement: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # the driver's name
        """Replace a document by a sealed one."""
        sealed = await self._seal_replacement(filter, replacement)
        return await super().replace_one(filter, sealed, *args, **kwargs)

    async def update_one(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # the driver's name
        """Change a document, with sealed values."""
        sealed = await self._seal_update(filter, update)
        return await super().update_one(filter, sealed, *args, **kwargs)

    async def update_many(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # the driver's name
        """Change fields that are not sealed in several documents."""
        sealed = await self._seal_update(filter, update, one=False)
        return await super().update_many(filter, sealed, *args, **kwargs)

    async def bulk_write(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
        """Carry out several writes, with sealed values."""
        sealed = [await self._seal_write(each) for each in requests]
        return await super().bulk_write(sealed, *args, **kwargs)

    async def _seal_write(self, write: Any) -> Any:
        # The driver's statements have no public fields, and must stay as they are: a transaction
        # that is tried again takes them again.
        stored: Any = getattr(write, "_doc", None)
        if isinstance(write, InsertOne):
            return InsertOne((await self.seal([stored]))[0])
        if not isinstance(write, ReplaceOne | UpdateOne | UpdateMany):
            return write
        sealed: Any = copy.copy(write)
        which = sealed._filter  # noqa: SLF001  # see above
        if isinstance(write, ReplaceOne):
            sealed._doc = await self._seal_replacement(which, stored)  # noqa: SLF001  # the same
        else:
            one = not isinstance(write, UpdateMany)
            sealed._doc = await self._seal_update(which, stored, one=one)  # noqa: SLF001  # the same
        return sealed

    async def _seal_replacement(self, which: Any, document: Any) -> Raw:
        self._check_filter(which)
        place = _equalities(which)
        await self._fetch_to_seal([{**place, **document}])
        return self.fields.seal(document, place)

    async def seal(self, documents: Sequence[Raw]) -> list[Raw]:
        """Return documents as they are stored; each gets an id, as the driver would give it one."""
        for each in documents:
            each.setdefault("_id", ObjectId())
        await self._fetch_to_seal(documents)
        sealed: list[Raw] = await self._run(lambda: [*map(self.fields.seal, documents)])
        return sealed

    async def _seal_update(self, which: Any, update: Any, *, one: bool = True) -> Any:
        """Return an update as it is sent to MongoDB; one of many documents has no sealed values."""
        self._check_filter(which)
        if not self.fields.changes_any(update):
            return update
        place = _equalities(which) if one else {}
        await self._fetch_to_seal([place])
        return self.fields.seal_update(place, update)

    async def convert(self, stored: Raw) -> tuple[Raw, Raw]:
        """Return what a stored document must still have, and the update that converts it.

        Raises:
            ContentUnreadable: something in it does not open, and stays as it is.
        """
        before = {name: stored[name] for name in self.fields.within if name in stored}
        [opened] = await self.open([copy.deepcopy(stored)])
        self.fields.check_opened(opened)
        [sealed] = await self.seal([opened])
        return before, {"$set": {name: sealed[name] for name in before}}

    async def _fetch_to_seal(self, documents: Sequence[Mapping[str, Any]]) -> None:
        if not self.vault.seals:
            return
        owner = self.fields.owner
        owners = {each[owner] for each in documents if owner in each}
        if missing := self.vault.keys.missing(owners, to_seal=True):
            await self.vault.keys.fetch(missing, to_seal=True)

    async def open(self, documents: list[Raw]) -> list[Raw]:
        """Open documents in place; return them.

        Raises:
            ContentUnreadable: bytes of a file do not open.
            KeysUnavailable: the owner's keys cannot be opened now.
        """
        fields, keys = self.fields, self.vault.keys
        sealed = [each for each in documents if fields.has_sealed(each)]
        if not sealed:
            return documents
        owners = {each[fields.owner] for each in sealed}
        if missing := keys.missing(owners):
            await keys.fetch(missing)

        def decode(*, final: bool) -> None:
            for each in sealed:
                fields.open(each, final=final)

        try:
            try:
                await self._run(lambda: decode(final=False))
            except UnknownEpoch:
                await keys.fetch(owners)
                await self._run(lambda: decode(final=True))
        finally:
            if damage := self.vault.damage.take():
                await self.vault.on_damage(damage)
        return documents

    async def _run(self, work: Callable[[], Any]) -> Any:
        """Seal or open: parts of files in a thread, as they take some milliseconds."""
        return await asyncio.to_thread(work) if self.fields.are_bytes else work()

    def _check_filter(self, which: Any) -> None:
        """Raise if a query looks at what MongoDB cannot see.

        Raises:
            RuntimeError: it does.
        """
        if which and (names := self.fields.sealed_in(which)):
            raise RuntimeError(f"{self.name}: no query can look at {names}, which is sealed")


class OpeningCursor(AsyncCursor[Raw]):
    """A cursor that opens what it returns."""

    async def next(self) -> Raw:
        """Return the next document."""
        found = await super().next()
        return (await self._sealed.open([found]))[0]

    async def to_list(self, length: int | None = None) -> list[Raw]:
        """Return the documents, or the first of them."""
        return await self._sealed.open(await super().to_list(length))

    @property
    def _sealed(self) -> SealedCollection:
        found: Any = self.collection
        sealed: SealedCollection = found
        return sealed


def _equalities(which: Mapping[str, Any]) -> Raw:
    """Return the fields that a filter compares with one value."""
    return {
        name: value
        for name, value in which.items()
        if not name.startswith("$") and not isinstance(value, Mapping)
    }


def list_sealed(documents: Sequence[type[Document]]) -> list[SealedCollection]:
    """Return the collections of these classes that seal."""
    bound: list[Any] = [each.get_pymongo_collection() for each in documents]
    return [each for each in bound if isinstance(each, SealedCollection)]


def bind_sealed(documents: Sequence[type[Document]], vault: Vault) -> None:
    """Let these classes seal the words that they declare, unless a codec of their own does."""
    for document in documents:
        holds: Content = vars(document)["holds"]
        if not holds.words or holds.has_codec:
            continue
        fields = SealedFields(document, vault.keys, vault.damage, seals=vault.seals)
        plain: AsyncCollection[Raw] = document.get_pymongo_collection()
        document.set_collection(SealedCollection(plain, vault, fields))  # type: ignore[no-untyped-call]  # Beanie's
