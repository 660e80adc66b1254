"""Audit entries, which are inserted and never updated."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Door, Role
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.keys import KeyRing
from chatvault.audit.mark import HighWater
from chatvault.content import Content, Erased
from chatvault.fields import Id

Entry = dict[str, Any]
# Decodes entries as they were when signed: with the times' zone.
AWARE = CodecOptions[dict[str, Any]](tz_aware=True)


class AuditEntry(Document):
    """Who did what to what, when, from where, and how it ended; never any content.

    Attributes:
        at: when the operation ended, in UTC.
        duration_ms: from the arrival of the request to this entry.
        resource_id: the resource's id, as text; None if it has none yet.
        code: the stable error code of what was denied or failed.
        details: small counts, such as how many metadata keys changed.
        api_key_id: the API key that the user used; absent without one.
        owner_id: whose conversation it was, if the user worked with it by a grant; else absent.
        newest_block: the newest block that the writing process knew of; none in older entries.
        key_id: the id of the key that made the MAC.
        mac: HMAC-SHA256 over the BSON of all fields before it.
    """

    RAW: ClassVar = CodecOptions[RawBSONDocument](document_class=RawBSONDocument, tz_aware=True)
    _key_ring: ClassVar[KeyRing | None] = None
    _high_water: ClassVar[HighWater | None] = None

    at: datetime
    action: Action
    outcome: Outcome
    code: str | None = None
    door: Door
    user_id: Id | None = None
    role: Role | None = None
    session_id: Id | None = None
    resource_type: str
    resource_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str
    duration_ms: float
    details: dict[str, Any] | None = None
    api_key_id: Id | None = None
    owner_id: Id | None = None
    newest_block: dict[str, Any] | None = None
    key_id: str
    mac: bytes

    # Entries are sealed and never change; the user's document that an id means may be deleted.
    holds: ClassVar = Content(
        plain=(
            "code", "resource_type", "resource_id", "address", "user_agent", "request_id",
            "details", "newest_block", "key_id",
        ),
        erased=Erased.NEVER,
        exported=True,
    )  # fmt: skip

    class Settings:
        """Beanie's."""

        name = "audit_logs"
        indexes: ClassVar = [
            IndexModel([(key, 1), ("at", DESCENDING), ("_id", DESCENDING)])
            for key in ("user_id", "resource_id", "action", "outcome", "address")
        ] + [
            IndexModel([("at", DESCENDING), ("_id", DESCENDING)]),
            IndexModel("request_id"),
            # Partial, so that entries without an API key cost nothing.
            IndexModel(
                [("api_key_id", 1), ("at", DESCENDING), ("_id", DESCENDING)],
                name="api_key",
                partialFilterExpression={"api_key_id": {"$exists": True}},
            ),
            IndexModel(
                [("owner_id", 1), ("at", DESCENDING), ("_id", DESCENDING)],
                name="of_guests",
                partialFilterExpression={"owner_id": {"$exists": True}},
            ),
        ]

    @classmethod
    def bind_keys(cls, keys: KeyRing, high_water: HighWater | None = None) -> None:
        """Stamp entries with these keys from now on, in this process.

        Args:
            keys: make the MACs.
            high_water: knows the newest block; the default has no note.
        """
        cls._key_ring = keys
        cls._high_water = high_water or HighWater(keys)

    @classmethod
    def keys(cls) -> KeyRing:
        """Return the keys that are bound.

        Raises:
            RuntimeError: none are.
        """
        if cls._key_ring is None:
            raise RuntimeError("no audit keys are bound, so no entry can be stored")
        return cls._key_ring

    @classmethod
    def high_water(cls) -> HighWater:
        """Return the bound high-water mark.

        Raises:
            RuntimeError: no keys are bound.
        """
        if cls._high_water is None:
            raise RuntimeError("no audit keys are bound")
        return cls._high_water

    @classmethod
    async def store(
        cls, entries: Sequence[Entry], session: AsyncClientSession | None = None
    ) -> None:
        """Insert entries, each with its MAC; the only way into the audit log.

        Args:
            entries: at least one, each with its `_id`.
            session: of the transaction that they belong to; without one, each is inserted by
                itself, whether or not others fail.

        Raises:
            BulkWriteError: some are not stored.
            PyMongoError: it is not known whether they are stored.
            RuntimeError: no keys are bound.
        """
        keys = cls.keys()
        newest = cls.high_water().document
        stamped = [keys.stamp(entry, newest_block=newest) for entry in entries]
        await cls.get_pymongo_collection().insert_many(
            stamped, ordered=session is not None, session=session
        )
