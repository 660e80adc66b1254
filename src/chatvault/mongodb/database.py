"""The connection to MongoDB, transactions, and the driver's errors as errors of the domain."""

import asyncio
import contextlib
import itertools
import random
import sys
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Any, TypeVar

import pymongo
import pymongo.lock
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chatvault.errors import (
    Busy,
    ChatvaultError,
    OutcomeUnknown,
    StoredNotShown,
    TooLarge,
    Unavailable,
)
from chatvault.mongodb.leases import Lease
from chatvault.outcome import has_stored, note_stored
from chatvault.settings import Settings

T = TypeVar("T")
Client = AsyncMongoClient[dict[str, Any]]

SNAPSHOT = ReadConcern("snapshot")
DURABLE = WriteConcern("majority", j=True)
TRANSIENT = "TransientTransactionError"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"
RETRY_AFTER = 1.0
# An upper bound for the pause, so that a transaction retried for long has the same chance as a new
# one.
MAX_BACKOFF = 0.1
PATIENCE = 10.0
TOO_LARGE_CODES = {10334, 17419, 17420, 10003}
# MaxTimeMSExpired, interrupted or stepping-down servers: the request itself is valid.
UNAVAILABLE_CODES = {50, 91, 189, 202, 262, 10107, 11600, 11602, 13435, 13436}


async def _wait_for(work: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109  # asyncio's
    async with asyncio.timeout(timeout):
        return await work


if sys.version_info < (3, 12):
    # Python 3.11's `wait_for` does the work in another task. A cancellation at the wrong moment
    # leaves that task alone with the driver's lock: nothing reaches the database until a restart.
    pymongo.lock.wait_for = _wait_for  # type: ignore[attr-defined,assignment]  # an import of its own


def connect(url: str, settings: Settings) -> Client:
    """Return a client whose writes are majority-acknowledged and journaled.

    Every operation fails after the setting `mongodb_timeout`, in seconds.
    """
    timeout_ms = int(settings.mongodb_timeout * 1000)
    return AsyncMongoClient(
        url,
        tz_aware=True,
        w="majority",
        journal=True,
        readConcernLevel="majority",
        readPreference="primary",
        retryWrites=True,
        timeoutMS=timeout_ms,
        # Closing also selects a server, and has no other limit.
        serverSelectionTimeoutMS=timeout_ms,
        appname="chatvault",
    )


async def transaction(
    body: Callable[[AsyncClientSession], Awaitable[T]],
    *,
    turn: Hashable = None,
    attempts: int | None = None,
) -> T:
    """Run `body` in one transaction, as part of the current operation.

    Args:
        body: as for `transact`.
        turn: the key of what is changed; within this process, changes with one key are made one at
            a time.
        attempts: as for `transact`.

    Raises:
        Busy: the turn did not come, or the conflicts did not end; nothing was done.
        OutcomeUnknown: the connection broke in the commit.
    """
    async with Lease.turns.take(turn):
        result = await transact(body, attempts=attempts)
    note_stored()
    return result


async def transact(
    body: Callable[[AsyncClientSession], Awaitable[T]], *, attempts: int | None = None
) -> T:
    """Run `body` in one transaction, on the bound database.

    Args:
        body: may run several times, after conflicts with other transactions; nothing of a failed
            run remains.
        attempts: how often it may run; None for as often as ten seconds allow.

    Raises:
        Busy: the conflicts did not end; nothing was done.
        OutcomeUnknown: the connection broke in the commit.
    """
    client: Client = Lease.get_pymongo_collection().database.client
    deadline = time.monotonic() + PATIENCE
    async with client.start_session() as session:
        for attempt in itertools.count() if attempts is None else range(attempts):
            if attempt:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(random.random() * min(0.005 * 2**attempt, MAX_BACKOFF))  # noqa: S311  # jitter
            await session.start_transaction(SNAPSHOT, DURABLE)
            try:
                result = await body(session)
            except BaseException as error:
                await session.abort_transaction()
                if isinstance(error, PyMongoError) and is_conflict(error):
                    continue
                raise
            if await _commit(session):
                return result
    raise Busy(retry_after=RETRY_AFTER)


async def _commit(session: AsyncClientSession) -> bool:
    """Commit; False where the whole transaction has to be run again."""
    timeout = session.client.options.timeout or 5.0
    deadline = time.monotonic() + timeout
    while True:
        try:
            with pymongo.timeout(max(0.001, deadline - time.monotonic())):
                await session.commit_transaction()
        except PyMongoError as error:
            if error.has_error_label(UNKNOWN_COMMIT) or isinstance(error, ConnectionFailure):
                if time.monotonic() < deadline:
                    await asyncio.sleep(0.05)
                    continue
                raise OutcomeUnknown(retry_after=RETRY_AFTER) from error
            if error.has_error_label(TRANSIENT):
                return False
            raise
        return True


def is_conflict(error: PyMongoError) -> bool:
    """Whether the error is a conflict with another transaction, so that a retry makes sense."""
    return error.has_error_label(TRANSIENT) and not isinstance(error, ConnectionFailure)


def to_domain_error(error: Exception) -> ChatvaultError | None:
    """Return the domain's error for a driver's error.

    None for a bug of ours, and for other errors.
    """
    # The driver's own refusal is not a PyMongoError.
    if isinstance(error, DocumentTooLarge) or (
        isinstance(error, OperationFailure) and error.code in TOO_LARGE_CODES
    ):
        return TooLarge("The conversation would be larger than MongoDB's 16 MB a document.")
    if not isinstance(error, PyMongoError):
        return None
    if (
        isinstance(error, ConnectionFailure | ExecutionTimeout)
        or error.timeout
        or (isinstance(error, OperationFailure) and error.code in UNAVAILABLE_CODES)
        or error.has_error_label(TRANSIENT)
    ):
        if has_stored():
            return StoredNotShown(retry_after=RETRY_AFTER)
        return Unavailable(
            "The database cannot be reached; nothing was done. Try again shortly.",
            retry_after=RETRY_AFTER,
        )
    return None


@contextlib.contextmanager
def many_changes(detail: str) -> Iterator[None]:
    """Raise OutcomeUnknown if MongoDB fails within an operation of several separate changes.

    Args:
        detail: a sentence about what may be stored, and what to do now.

    Raises:
        OutcomeUnknown: MongoDB went away after the first of them.
    """
    try:
        yield
    except (PyMongoError, Unavailable) as error:
        known = to_domain_error(error) or error
        if has_stored() and isinstance(known, Unavailable):
            raise OutcomeUnknown(detail, retry_after=RETRY_AFTER) from error
        raise


async def check_writable(client: Client, name: str) -> str | None:
    """Return why the database cannot take writes now, or None when it can."""
    try:
        hello = await client[name].command("hello")
    except PyMongoError as error:
        return f"the database cannot be reached ({type(error).__name__})"
    if not hello.get("isWritablePrimary"):
        return "the database has no writable primary"
    return None
