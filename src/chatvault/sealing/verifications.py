"""Verify the audit log in the background, and store the progress."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

import structlog
from beanie import Document
from bson import ObjectId
from pymongo import DESCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.audit.service import entry
from chatvault.content import Content, Erased
from chatvault.errors import ChatvaultError
from chatvault.fields import Id, now
from chatvault.idempotency import IdempotencyKey, Idempotent, act_once
from chatvault.mongodb.database import transaction
from chatvault.sealing.service import require_reviewer, verify_log
from chatvault.sealing.verify import NotVerified
from chatvault.tasks import stop

Raw = dict[str, Any]
# Entries in one step, so few that other tasks run in between.
GROUP_SIZE = 250
PROGRESS_SECONDS = 0.5
# The process of a verification without progress for this long has ended.
MAX_SILENCE = timedelta(seconds=30)
LISTED = 20
log = structlog.get_logger()


class VerificationState(StrEnum):
    """The state of a verification."""

    RUNNING = "running"
    VERIFIED = "verified"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Verification(Document):
    """One verification of the audit log.

    Attributes:
        started_by: the user who requested it.
        told_at: when its process last reported its progress.
        done: how many blocks are verified; `total` is how many are known so far.
        entries: how many sealed entries are there and unchanged.
        finding: the first difference from the seals.
    """

    started_by: Id
    started_at: datetime
    told_at: datetime
    ended_at: datetime | None = None
    state: VerificationState = VerificationState.RUNNING
    done: int = 0
    total: int = 0
    entries: int = 0
    removed: int = 0
    unsealed: int = 0
    finding: str | None = None

    holds: ClassVar = Content(plain=("finding",), erased=Erased.NEVER)

    class Settings:
        """Beanie's."""

        name = "audit_verifications"
        indexes: ClassVar = ["started_at"]


@dataclass(slots=True)
class _Progress:
    done: int = 0
    total: int = 0

    def update(self, done: int, total: int) -> None:
        self.done, self.total = done, total


class Verifier:
    """Verifies the audit log in the background.

    Args:
        recorder: stores the audit entries about it.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, actor: Actor, *, idempotency_key: IdempotencyKey | None) -> ObjectId:
        """Start a verification and return its id, or return the id of the running one.

        Raises:
            Denied: the actor is neither auditor nor admin.
        """
        require_reviewer(actor)
        begun: list[ObjectId] = []

        async def begin(session: AsyncClientSession) -> ObjectId:
            begun.clear()
            collection, at = Verification.get_pymongo_collection(), now()
            under_way = {
                "state": VerificationState.RUNNING.value,
                "told_at": {"$gt": at - MAX_SILENCE},
            }
            found = await collection.find_one(under_way, {"_id": True}, session=session)
            key: ObjectId = found["_id"] if found else ObjectId()
            if found is None:
                new = Verification(started_by=actor.owner_id, started_at=at, told_at=at)
                document = {"_id": key, **new.model_dump(mode="python", exclude={"id"})}
                await collection.insert_one(document, session=session)
                begun.append(key)
            details = {"started": found is None}
            await AuditEntry.store(
                [entry(actor, Action.AUDIT_START_VERIFICATION, key, details=details)], session
            )
            return key

        known = idempotency_key and _idempotent(idempotency_key)
        key = await transaction(
            lambda session: act_once(actor, Action.AUDIT_START_VERIFICATION, known, session, begin),
            turn="audit verification",
        )
        if key in begun:
            task = asyncio.create_task(self._run(actor, key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return key

    async def close(self) -> None:
        """Stop the running verification."""
        await stop(*self._tasks)

    async def _run(self, actor: Actor, key: ObjectId) -> None:
        progress = _Progress()
        ended: Raw = {"state": VerificationState.INTERRUPTED.value}
        storing = asyncio.create_task(_keep_storing(key, progress))
        try:
            report = await verify_log(
                actor, self._recorder, on_progress=progress.update, group_size=GROUP_SIZE
            )
            ended = {
                "state": VerificationState.VERIFIED.value,
                "entries": report.entries,
                "removed": report.removed,
                "unsealed": report.unsealed,
            }
        except NotVerified as error:
            ended = {"state": VerificationState.FAILED.value, "finding": error.detail}
        except (ChatvaultError, PyMongoError):
            log.warning("verification_interrupted", exc_info=True)
        finally:
            await stop(storing)
            with contextlib.suppress(PyMongoError):
                await _store_progress(key, progress, ended_at=now(), **ended)


async def start_verification(
    actor: Actor, verifier: Verifier, *, idempotency_key: IdempotencyKey | None
) -> ObjectId:
    """Start a verification in the background and return its id; see `Verifier.start`."""
    return await verifier.start(actor, idempotency_key=idempotency_key)


async def list_verifications(actor: Actor, recorder: Recorder) -> list[Raw]:
    """Return the newest verifications, the newest first.

    Raises:
        Denied: the actor is neither auditor nor admin.
    """
    require_reviewer(actor)
    found = Verification.get_pymongo_collection().find({}).sort("started_at", DESCENDING)
    newest = await found.limit(LISTED).to_list()
    for each in newest:
        if each["state"] == VerificationState.RUNNING and each["told_at"] < now() - MAX_SILENCE:
            each["state"] = VerificationState.INTERRUPTED.value
    await recorder.record(entry(actor, Action.AUDIT_LIST_VERIFICATIONS))
    return newest


async def _keep_storing(key: ObjectId, progress: _Progress) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        with contextlib.suppress(PyMongoError):
            await _store_progress(key, progress)


async def _store_progress(key: ObjectId, progress: _Progress, **more: Any) -> None:
    fields = {"done": progress.done, "total": progress.total, "told_at": now(), **more}
    await Verification.get_pymongo_collection().update_one({"_id": key}, {"$set": fields})


def _idempotent(idempotency_key: IdempotencyKey) -> Idempotent[ObjectId]:
    async def find(verification_id: ObjectId, _session: AsyncClientSession) -> ObjectId:
        return verification_id  # they are never removed

    return Idempotent.by_id(
        idempotency_key,
        "verification_id",
        id_of=lambda key: key,
        find=find,
        target="verification_id",
    )
