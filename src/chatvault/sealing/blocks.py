"""The blocks that the audit log is sealed into: a chain of signed headers over hash trees."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import bson
from beanie import Document
from bson import ObjectId
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from chatvault.audit.keys import KeyRing, is_signed
from chatvault.audit.mark import NOTHING, Mark
from chatvault.audit.models import AWARE, AuditEntry
from chatvault.content import Content, Erased
from chatvault.errors import Busy
from chatvault.fields import now
from chatvault.sealing.merkle import root_of

# The most entries in a block, which then takes some 100 KB and a few milliseconds.
MAX_LEAVES = 2_000
HASH_BYTES = 32
BEFORE_ALL = bytes(HASH_BYTES)


class Overtaken(Busy):
    """Another process sealed a block of this height."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry's place in a block."""

    entry_id: ObjectId
    hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Header:
    """The signed part of a block.

    Attributes:
        signed: its canonical BSON, which is hashed and signed.
        count: how many entries the block holds.
        root: of the tree over their hashes.
        ids_hash: SHA-256 over their ids, in order.
        previous: the hash of the header before, zeros for the first.
        resume_token: of the change stream after the last entry; None for blocks of a scan.
        first_at: the earliest time of an entry.
        last_at: the latest.
        total: how many entries are sealed up to and with this block; None in older blocks.
    """

    signed: bytes
    signature: bytes
    height: int
    count: int
    root: bytes
    ids_hash: bytes
    previous: bytes
    resume_token: dict[str, Any] | None
    sealed_at: datetime
    first_at: datetime
    last_at: datetime
    key_id: str
    total: int | None = None

    @classmethod
    def parse(cls, signed: bytes, signature: bytes) -> Self:
        """Parse a header.

        Raises:
            ValueError: the bytes are no header.
        """
        try:
            return cls(signed, signature, **bson.decode(signed, AWARE))
        except (TypeError, bson.errors.BSONError) as error:
            raise ValueError("no header of a block") from error

    @property
    def hash(self) -> bytes:
        """The hash that the next header calls `previous`."""
        return hashlib.sha256(self.signed).digest()

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the owner of this Ed25519 key signed it."""
        return is_signed(public, self.signed, self.signature)


class Block(Document):
    """Some entries, in the order in which they were committed, sealed together; never updated.

    Attributes:
        id: the height, from 0; of two sealers of the same height, one wins.
        leaf_hashes: SHA-256(0x00 ‖ stored BSON) of each entry, one after another.
    """

    id: int  # type: ignore[assignment]  # the height
    header: dict[str, Any]
    signature: bytes
    entry_ids: list[Any]
    leaf_hashes: bytes

    holds: ClassVar = Content(plain=("header", "entry_ids"), erased=Erased.NEVER)

    class Settings:
        """Beanie's."""

        name = "audit_blocks"
        indexes: ClassVar = [IndexModel("entry_ids"), IndexModel("header.last_at")]

    @classmethod
    async def find_header(cls, height: int | None = None) -> Header | None:
        """Return the header at a height, or the newest."""
        found = await cls._raw().find_one(
            {} if height is None else {"_id": height},
            {"header": True, "signature": True},
            sort=[("_id", -1)],
        )
        return None if found is None else header_of(found)

    @classmethod
    async def append(
        cls,
        keys: KeyRing,
        newest: Header | None,
        leaves: Sequence[Leaf],
        resume_token: dict[str, Any] | None,
    ) -> Header:
        """Seal a block after the newest, in one insert.

        Raises:
            Overtaken: another process sealed after that one.
        """
        before = await cls.find_mark(newest)
        document = build(keys, newest, leaves, resume_token, before=before.count)
        try:
            await cls.get_pymongo_collection().insert_one(document)
        except DuplicateKeyError:
            raise Overtaken from None
        return Header.parse(bson.encode(document["header"]), document["signature"])

    @classmethod
    async def find_mark(cls, header: Header | None) -> Mark:
        """Return the mark of a header; for an older one, without a total, entries are counted."""
        if header is None:
            return NOTHING
        total = header.total
        if total is None:
            counting: list[dict[str, Any]] = [
                {"$match": {"_id": {"$lte": header.height}}},
                {"$group": {"_id": None, "total": {"$sum": "$header.count"}}},
            ]
            found = await (await cls.get_pymongo_collection().aggregate(counting)).to_list()
            total = int(found[0]["total"]) if found else 0
        return Mark(header.height, header.hash, total)

    @classmethod
    async def find_held(cls, ids: Iterable[Any], *, through: int | None = None) -> set[Any]:
        """Return which of these entries are in a block, at most of this height."""
        wanted = set(ids)
        where: dict[str, Any] = {"entry_ids": {"$in": list(wanted)}}
        if through is not None:
            where["_id"] = {"$lte": through}
        held: set[Any] = set()
        async for block in cls.get_pymongo_collection().find(where, {"entry_ids": True}):
            held.update(wanted.intersection(block["entry_ids"]))
        return held

    @classmethod
    def _raw(cls) -> Any:
        return cls.get_pymongo_collection().with_options(codec_options=AuditEntry.RAW)


def build(
    keys: KeyRing,
    newest: Header | None,
    leaves: Sequence[Leaf],
    token: dict[str, Any] | None,
    *,
    before: int = 0,
) -> dict[str, Any]:
    """Return the block after the newest, as it is stored."""
    hashes = [leaf.hash for leaf in leaves]
    header = {
        "height": newest.height + 1 if newest else 0,
        "count": len(leaves),
        "root": root_of(hashes),
        "ids_hash": hash_ids(leaf.entry_id for leaf in leaves),
        "previous": newest.hash if newest else BEFORE_ALL,
        "resume_token": token,
        "sealed_at": now(),
        "first_at": min(leaf.at for leaf in leaves),
        "last_at": max(leaf.at for leaf in leaves),
        "key_id": keys.current.id,
        "total": before + len(leaves),
    }
    return {
        "_id": header["height"],
        "header": header,
        "signature": Binary(keys.current.sign(bson.encode(header))),
        "entry_ids": [leaf.entry_id for leaf in leaves],
        "leaf_hashes": Binary(b"".join(hashes)),
    }


def hash_ids(ids: Iterable[ObjectId]) -> bytes:
    """Return the SHA-256 of the concatenated ids."""
    return hashlib.sha256(b"".join(each.binary for each in ids)).digest()


def header_of(stored: RawBSONDocument) -> Header:
    """Return the header of a stored block, in the very bytes that are stored.

    Raises:
        ValueError: it is no header any more.
    """
    try:
        return Header.parse(bytes(stored["header"].raw), bytes(stored["signature"]))
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError("no header of a block") from error


def split_hashes(joined: bytes) -> list[bytes]:
    """Return the leaf hashes of a stored block."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]
