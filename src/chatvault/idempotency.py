"""Idempotency keys: which requests were carried out, so that a repeat gets the first answer."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, NamedTuple, NoReturn, Self, TypeVar

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry, Entry
from chatvault.content import Content
from chatvault.errors import Busy, InvalidInput
from chatvault.fields import Id, Raw, now
from chatvault.mongodb import leases
from chatvault.mongodb.database import transaction
from chatvault.owned import Personal

T = TypeVar("T")
LIFETIME = timedelta(days=1)


class IdempotencyKey(NamedTuple):
    """A request's Idempotency-Key with its route and the hash of its body.

    Attributes:
        route: method and path.
        key: the client's.
        body_hash: a keyed hash of the body.
    """

    route: str
    key: str
    body_hash: str


class KeyReused(InvalidInput):
    """This Idempotency-Key came with another request before."""

    code = "idempotency_key_reused"


class IdempotencyRecord(Personal, Document):
    """The record that a request was carried out, and of what its answer can be rendered.

    Attributes:
        route: method and path of the request.
        key: the client's.
        body_hash: a keyed hash of the request's body.
        result: ids, counters and version from which the answer is rendered.
        expires_at: MongoDB removes the record some time after it.
    """

    user_id: Id
    route: str
    key: str
    body_hash: str
    result: dict[str, Any]
    expires_at: datetime

    # Of an answer, `result` has ids and counters.
    holds: ClassVar = Content(plain=("route", "key", "body_hash", "result"))

    class Settings:
        """Beanie's."""

        name = "idempotency_records"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("route", 1), ("key", 1)], unique=True, name="key_unique"),
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @classmethod
    async def find_raw(
        cls,
        actor: Actor,
        idempotency_key: IdempotencyKey,
        session: AsyncClientSession | None = None,
    ) -> Raw | None:
        """Return the record of this key on this route, whatever the body was."""
        mine = cls.owned_by(actor, route=idempotency_key.route, key=idempotency_key.key)
        return await cls.get_pymongo_collection().find_one(mine, session=session)


@dataclass(frozen=True, slots=True)
class Idempotent(Generic[T]):
    """The functions that record a request's answer, and render it for a repeat.

    Attributes:
        to_record: returns what to store of an answer: ids and counters, no message text.
        replay: renders the answer from the record, reading in the transaction; it raises `NotFound`
            where something it needs is gone.
        target: the name of the record's id that is the target of the repeat's audit entry.
    """

    idempotency_key: IdempotencyKey
    to_record: Callable[[T], Raw]
    replay: Callable[[Raw, AsyncClientSession], Awaitable[T]]
    target: str = "conversation_id"

    @classmethod
    def by_id(
        cls,
        idempotency_key: IdempotencyKey,
        name: str,
        *,
        id_of: Callable[[T], ObjectId],
        find: Callable[[ObjectId, AsyncClientSession], Awaitable[T]],
        target: str = "conversation_id",
        **beside: ObjectId,
    ) -> Self:
        """Build the usual kind, whose answer is found again by one id.

        Args:
            idempotency_key: the request's key.
            name: the name under which the id is stored.
            id_of: returns the id of an answer.
            find: finds the answer by its id, in the transaction; it raises `NotFound` where that
                is gone.
            target: as for the class.
            beside: further ids to store, by name.
        """

        async def replay(result: Raw, session: AsyncClientSession) -> T:
            return await find(result[name], session)

        return cls(
            idempotency_key,
            to_record=lambda answer: {**beside, name: id_of(answer)},
            replay=replay,
            target=target,
        )

    def record_of(self, actor: Actor, answer: T) -> Raw:
        """Return the record to be stored with the change."""
        return IdempotencyRecord.owned_by(
            actor,
            _id=ObjectId(),
            **self.idempotency_key._asdict(),
            result=self.to_record(answer),
            expires_at=now() + LIFETIME,
        )

    async def answer_again(self, record: Raw, session: AsyncClientSession) -> T:
        """Return the first request's answer.

        Raises:
            KeyReused: the record is of another request.
            NotFound: something in the answer is gone.
        """
        _check_body(record, self.idempotency_key)
        return await self.replay(record["result"], session)

    def entry(self, actor: Actor, action: Action, record: Raw) -> Entry:
        """Return the audit entry of a repeat."""
        target: ObjectId | None = record["result"].get(self.target)
        return audit.entry(actor, action, target, details={"replayed": True})


def _check_body(record: Raw, idempotency_key: IdempotencyKey) -> None:
    """Raise KeyReused if the record is of another request."""
    if record["body_hash"] != idempotency_key.body_hash:
        raise KeyReused


async def was_carried_out(actor: Actor, idempotency_key: IdempotencyKey | None) -> bool:
    """Whether this is a repeat, whose answer `answer_repeat` returns; False without a key.

    Raises:
        KeyReused: the key came with another request.
    """
    if idempotency_key is None:
        return False
    record = await IdempotencyRecord.find_raw(actor, idempotency_key)
    if record is None:
        return False
    _check_body(record, idempotency_key)
    return True


async def answer_repeat(actor: Actor, action: Action, idempotent: Idempotent[T]) -> T:
    """Return the first answer to a repeat, and record the repeat.

    Raises:
        KeyReused: the key came with another request.
        NotFound: something in the answer is gone.
        Busy: the record has expired at this very moment.
    """

    def expired(_session: AsyncClientSession) -> NoReturn:
        raise Busy(retry_after=1)

    return await transaction(lambda session: act_once(actor, action, idempotent, session, expired))


async def act_once(
    actor: Actor,
    action: Action,
    idempotent: Idempotent[T] | None,
    session: AsyncClientSession,
    act: Callable[[AsyncClientSession], Awaitable[T]],
) -> T:
    """Act and remember the answer, or return the remembered answer to a repeat.

    The commit queue does the same for changes of conversations.

    Args:
        actor: who asks.
        action: the action of a repeat's audit entry.
        idempotent: the request's Idempotency-Key, if it has one.
        session: of the transaction; a concurrent repeat conflicts with it and is retried.
        act: makes the change and stores its entry.

    Raises:
        KeyReused: the key came with another request.
        NotFound: this is a repeat, and something in the answer is gone.
    """
    if idempotent is None:
        return await act(session)
    record = await IdempotencyRecord.find_raw(actor, idempotent.idempotency_key, session)
    if record is not None:
        answer = await idempotent.answer_again(record, session)
        await AuditEntry.store([idempotent.entry(actor, action, record)], session)
        return answer
    answer = await act(session)
    await IdempotencyRecord.get_pymongo_collection().insert_one(
        idempotent.record_of(actor, answer), session=session
    )
    return answer


@contextlib.asynccontextmanager
async def key_lock(actor: Actor, idempotency_key: IdempotencyKey | None) -> AsyncIterator[None]:
    """Hold a lock on the key, so that a repeat waits until the first request has ended.

    Requests that only change MongoDB do not need it: their transactions conflict.

    Args:
        actor: who asks.
        idempotency_key: the request's key; without one nobody waits.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    if idempotency_key is None:
        yield
        return
    async with leases.hold(
        f"repeat {actor.owner_id} {idempotency_key.route} {idempotency_key.key}"
    ):
        yield
