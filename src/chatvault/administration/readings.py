"""The state of the work that all processes share on the database: sealing, and jobs."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import pymongo
from beanie import Document
from bson import ObjectId
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from pymongo.errors import PyMongoError

from chatvault.audit.models import AuditEntry
from chatvault.batches.models import BatchJob
from chatvault.erasure.models import Erasure
from chatvault.exporting.jobs.models import ExportJob
from chatvault.fields import Raw, now
from chatvault.importing.models import ImportJob, JobState
from chatvault.replies.models import Job
from chatvault.sealing.blocks import Block

# What was read is used again for that long, however often somebody asks.
KEPT_SECONDS: Final = 5.0
READ_SECONDS: Final = 2.0
AGES_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
# The filter by which each kind of jobs that have not ended is found, in an index.
OPEN: Final[Raw] = {"is_open": True, "due_at": {"$gt": AGES_AGO}}
KINDS: Final[Mapping[str, tuple[type[Document], Raw]]] = {
    "batch": (BatchJob, OPEN),
    "erasure": (Erasure, OPEN),
    "export": (ExportJob, OPEN),
    "import": (ImportJob, {"state": {"$in": [JobState.QUEUED, JobState.RUNNING]}}),
    "reply": (Job, {"due_at": {"$gt": AGES_AGO}}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The state of the work that all processes share.

    Attributes:
        is_up: whether the database answered; the others say nothing if it did not.
        block: the height of the newest block of the audit log; None before the first.
        sealed_at: when that block was made.
        unsealed_seconds: the age of the oldest audit entry after that block; 0 without one.
        jobs: how many jobs of each kind have not ended.
    """

    is_up: bool
    block: int | None = None
    sealed_at: datetime | None = None
    unsealed_seconds: float = 0.0
    jobs: dict[str, int] = field(default_factory=dict)


class Readings:
    """Reads the state, at most once in some seconds."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._newest: Reading | None = None
        self._read_at = 0.0

    async def read(self) -> Reading:
        """Return the state, which may be some seconds old."""
        async with self._lock:
            if self._newest is None or time.monotonic() - self._read_at > KEPT_SECONDS:
                self._newest = await _read()
                self._read_at = time.monotonic()
            return self._newest


async def _read() -> Reading:
    try:
        with pymongo.timeout(READ_SECONDS):
            jobs = {kind: await _count(*which) for kind, which in KINDS.items()}
            newest = await Block.find_header()
            waiting_since = await _find_unsealed(newest.last_at if newest else AGES_AGO)
    except (PyMongoError, ValueError):
        # The sealer reports a block that is none.
        return Reading(is_up=False)
    age = now() - waiting_since if waiting_since else timedelta()
    return Reading(
        is_up=True,
        block=newest.height if newest else None,
        sealed_at=newest.sealed_at if newest else None,
        unsealed_seconds=max(0.0, age.total_seconds()),
        jobs=jobs,
    )


async def _count(kind: type[Document], which: Raw) -> int:
    return await kind.get_pymongo_collection().count_documents(which)


async def _find_unsealed(last_at: datetime) -> datetime | None:
    """Return the time of the oldest entry that is newer than all sealed ones, to a second."""
    after = ObjectId.from_datetime(last_at + timedelta(seconds=1))
    entries = AuditEntry.get_pymongo_collection()
    found = await entries.find_one({"_id": {"$gte": after}}, {"_id": True}, sort=[("_id", 1)])
    return None if found is None else found["_id"].generation_time


def to_text(reading: Reading) -> bytes:
    """Return the state as metrics, which have no worker."""
    registry = CollectorRegistry()

    def show(name: str, about: str, value: float) -> None:
        Gauge(name, about, registry=registry).set(value)

    show("chatvault_database_up", "Whether the database answers.", reading.is_up)
    if not reading.is_up:
        return generate_latest(registry)
    show(
        "chatvault_audit_unsealed_seconds",
        "Age of the oldest audit entry that waits to be sealed.",
        reading.unsealed_seconds,
    )
    jobs = Gauge(
        "chatvault_jobs", "Jobs that have not ended, by kind.", ("kind",), registry=registry
    )
    for kind, count in reading.jobs.items():
        jobs.labels(kind).set(count)
    return generate_latest(registry)
