"""Carry out erasures in the background, in whatever process is there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from chatvault.accounts.models import User
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.content import Content
from chatvault.erasure.finality import expect_passed, has_passed, read_clock
from chatvault.erasure.key_destruction import destroy_keys
from chatvault.erasure.models import Erasure, ErasureState, Step
from chatvault.erasure.removal import Removal
from chatvault.erasure.service import background_actor
from chatvault.erasure.stopping import stop_work
from chatvault.errors import ChatvaultError
from chatvault.fields import Raw, format_instant, now
from chatvault.importing.models import UPLOAD_TTL
from chatvault.importing.uploads.files import UploadFiles
from chatvault.mongodb.database import Client, transact

POLL: Final = 5.0
# MongoDB ends a transaction after 60 seconds; keys are forgotten, and requests end, by then too.
WAIT_SECONDS = 70.0
# Between two looks while something is still found, or files of another machine are awaited.
LOOK_SECONDS = 30.0
# Between two looks at the oplog, and for late writes.
WATCH_SECONDS = 600.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EraserDeps:
    """The dependencies of carrying out erasures.

    Attributes:
        client: the connection to MongoDB.
        database: the name of the database.
        holds: the declaration of each collection.
        files: the uploaded files of this machine.
        remove_authored: removes what a user wrote in conversations of others.
        forget: drops what this process keeps in memory of a user.
        due: set when an erasure begins here.
    """

    client: Client
    database: str
    holds: Mapping[str, Content]
    files: UploadFiles
    remove_authored: Callable[[ObjectId], Awaitable[int]]
    forget: Callable[[ObjectId], None]
    due: asyncio.Event


class Eraser:
    """Carries out the erasures, one step at a time.

    Each step ends with one write of the erasure's document, so that another process repeats at most
    one step after a crash; and a repeated step finds nothing left to do.

    Args:
        deps: its dependencies.
    """

    def __init__(self, deps: EraserDeps) -> None:
        self._deps = deps
        self._removal = Removal(deps.client[deps.database], deps.holds)
        # The step at which this process dropped what it kept in memory, by erasure.
        self._forgotten: dict[ObjectId, str] = {}
        self._steps = {
            Step.STOP: self._stop,
            Step.REMOVE: self._remove,
            Step.LOOK: self._look,
            Step.WATCH: self._watch,
        }

    async def run(self) -> None:
        """Carry out erasures until cancelled."""
        while True:
            try:
                await self.work()
            except (PyMongoError, ChatvaultError) as error:
                log.warning("erasures_not_done_yet", error=type(error).__name__)
            self._deps.due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._deps.due.wait()

    async def work(self) -> None:
        """Drop what this process has of erased users, and do the steps that are due."""
        is_open = await Erasure.list_open()
        for each in is_open:
            await self._clean_process(each)
        for ended in self._forgotten.keys() - {each["_id"] for each in is_open}:
            del self._forgotten[ended]
        while erasure := await Erasure.take():
            await self._steps[Step(erasure["step"])](erasure)
            if stored := await Erasure.find_raw(erasure["_id"]):
                await self._clean_process(stored)

    async def _clean_process(self, erasure: Raw) -> None:
        """Drop what this process and this machine's disk have of the user.

        A request that was under way may write an uploaded file again, so it is removed each time.
        """
        if self._forgotten.get(erasure["_id"]) != erasure["step"]:
            self._deps.forget(erasure["user_id"])
            self._forgotten[erasure["_id"]] = erasure["step"]
        files = self._deps.files
        place = await asyncio.to_thread(files.place_if_any) if erasure["uploads"] else None
        for upload in erasure["uploads"]:
            if upload["place"] != place:
                continue
            await asyncio.to_thread(files.remove, upload["upload_id"])
            if not upload["is_removed"]:
                await Erasure.note_removed_file(erasure, upload["upload_id"])

    async def _stop(self, erasure: Raw) -> None:
        await stop_work(erasure["user_id"])
        await destroy_keys(erasure["user_id"])
        await Erasure.move(erasure, Step.REMOVE, WAIT_SECONDS)

    async def _remove(self, erasure: Raw) -> None:
        # Again: something may have begun at the very moment of the end of the account.
        await stop_work(erasure["user_id"])
        if await self._remove_all(erasure):
            await Erasure.move(erasure, Step.REMOVE, 0)
        else:
            await Erasure.move(erasure, Step.LOOK, LOOK_SECONDS)

    async def _remove_all(self, erasure: Raw) -> int:
        # First in others' conversations: the rest has the note of which these are.
        authored = await self._deps.remove_authored(erasure["user_id"])
        return authored + await self._removal.remove_all(erasure)

    async def _look(self, erasure: Raw) -> None:
        """Look for late writes; without any, remove the account and store the receipt."""
        found = await self._remove_all(erasure)
        is_late = now() - erasure["started_at"] > UPLOAD_TTL + timedelta(hours=1)
        awaited = not is_late and any(not each["is_removed"] for each in erasure["uploads"])
        if found or awaited:
            await Erasure.move(erasure, Step.LOOK, LOOK_SECONDS)
            return
        at = await read_clock(self._deps.client)
        expected = await expect_passed(self._deps.client, at)
        await transact(lambda session: self._store_receipt(erasure, at, expected, session))

    async def _store_receipt(
        self, erasure: Raw, at: object, expected: object, session: AsyncClientSession
    ) -> None:
        times = {"removed_at": now(), "removed_after": at, "final_at": expected}
        pending = {"state": ErasureState.PENDING.value, **times}
        if not await Erasure.move(erasure, Step.WATCH, WATCH_SECONDS, session, **pending):
            return
        mine = {"_id": erasure["user_id"]}
        removed = await User.get_pymongo_collection().delete_many(mine, session=session)
        count = {"$inc": {"counts.users": removed.deleted_count}}
        same = {"_id": erasure["_id"], "user_id": erasure["user_id"]}
        stored = await Erasure.get_pymongo_collection().find_one_and_update(
            same, count, session=session, return_document=True
        )
        await _record(stored, Action.USER_ERASE_RECEIPT, session)

    async def _watch(self, erasure: Raw) -> None:
        """Look for late writes, and whether the oplog still has what was removed."""
        if await self._remove_all(erasure):
            at = await read_clock(self._deps.client)
            await Erasure.move(
                erasure,
                Step.WATCH,
                WATCH_SECONDS,
                removed_after=at,
                final_at=await expect_passed(self._deps.client, at),
            )
            return
        followed = Erasure.get_pymongo_collection()
        if not await has_passed(self._deps.client, followed, erasure["removed_after"]):
            expected = await expect_passed(self._deps.client, erasure["removed_after"])
            await Erasure.move(erasure, Step.WATCH, WATCH_SECONDS, final_at=expected)
            return
        await transact(lambda session: self._finish(erasure, session))

    @staticmethod
    async def _finish(erasure: Raw, session: AsyncClientSession) -> None:
        ended = {"state": ErasureState.FINAL.value, "is_open": False, "ended_at": now()}
        if not await Erasure.move(erasure, Step.DONE, 0, session, **ended):
            return
        stored = await Erasure.get_pymongo_collection().find_one(
            {"_id": erasure["_id"]}, session=session
        )
        await _record(stored, Action.USER_ERASE_FINISH, session)


async def _record(erasure: Raw | None, action: Action, session: AsyncClientSession) -> None:
    """Store the audit entry with the receipt: counts and times."""
    if erasure is None:
        return
    times = ("started_at", "removed_at", "final_at", "ended_at")
    details: Raw = {
        "erasure": str(erasure["_id"]),
        "state": erasure["state"],
        "counts": erasure["counts"],
        "files": sum(each["is_removed"] for each in erasure["uploads"]),
        "files_left": sum(not each["is_removed"] for each in erasure["uploads"]),
        **{name: format_instant(erasure[name]) for name in times if erasure.get(name)},
    }
    entry = audit.entry(background_actor(), action, erasure["user_id"], details=details)
    await AuditEntry.store([entry], session)
