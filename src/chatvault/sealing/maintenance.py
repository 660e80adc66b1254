"""Seal and check the audit log and remove expired entries, in one process at a time."""

import asyncio
import time
import uuid

import structlog
from pymongo.errors import PyMongoError

from chatvault.audit.models import AuditEntry
from chatvault.mongodb import leases
from chatvault.sealing import gaps, retention
from chatvault.sealing.alerts import Alarm, Alert, record_alerts
from chatvault.sealing.gaps import Reason
from chatvault.sealing.monitor import Monitor
from chatvault.sealing.sealer import Sealer
from chatvault.sealing.verify import NotVerified, verify_newest
from chatvault.tasks import run_together

JOB = "audit.seal"
LEASE_SECONDS = 4
PAUSE_SECONDS = 1.0
CHECK_SECONDS = 600.0
log = structlog.get_logger()


class LeaseLost(Exception):
    """Another process took over, as this one was too slow to renew."""


class Maintenance:
    """Waits for the lease, and works until it loses the lease or is cancelled.

    Args:
        retention_days: after how many days entries are removed; 0 keeps them without a limit.
    """

    def __init__(self, *, retention_days: int) -> None:
        self._retention_days = retention_days
        self._keys = AuditEntry.keys()
        # Certified, so that nobody without the keys can imitate a process of the service.
        self._holder = self._keys.certify(uuid.uuid4().hex)
        self._monitor = Monitor(self._seal_now)
        self._stranger_since: float | None = None
        self._finding = ""

    async def run(self) -> None:
        """Do the work until cancelled, whatever fails meanwhile."""
        try:
            await run_together(self._take_turns(), self._monitor.run())
        finally:
            try:
                await leases.release(JOB, holder=self._holder)
            except PyMongoError:
                log.info("audit_lease_ends_by_itself")

    async def _take_turns(self) -> None:
        while True:
            try:
                if await self._take_lease():
                    await self._work()
            except Exception as error:  # noqa: BLE001  # nothing else would start it again
                await self._report(error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _take_lease(self) -> bool:
        """Begin or renew the lease; record a holder without our keys, and work all the same.

        The lease saves work, and decides nothing: of two who seal, each entry gets one block.
        """
        if await leases.take(JOB, holder=self._holder, seconds=LEASE_SECONDS):
            self._stranger_since = None
            return True
        holder = await leases.find_holder(JOB)
        if holder is None or self._keys.is_certified(holder):
            self._stranger_since = None
            return False
        self._stranger_since = self._stranger_since or time.monotonic()
        # A lease that is not renewed expires: an older version left it.
        if time.monotonic() - self._stranger_since <= LEASE_SECONDS:
            return False
        if not await gaps.was_recorded_lately(Reason.STRANGER):
            await gaps.record(Reason.STRANGER, await gaps.find_newest())
        await leases.release(JOB, holder=holder)
        await leases.take(JOB, holder=self._holder, seconds=LEASE_SECONDS)
        # Whether or not the other holder was quicker.
        return True

    async def _work(self) -> None:
        self._monitor.cut.clear()
        await run_together(
            self._renew(),
            Sealer().follow(),
            self._check(),
            retention.run(self._retention_days),
            self._wait_until_cut(),
        )

    async def _wait_until_cut(self) -> None:
        """Return when blocks are missing, so that the work restarts after the remaining ones."""
        await self._monitor.cut.wait()

    async def _seal_now(self) -> None:
        """Seal pending entries, whoever has the lease."""
        try:
            await Sealer().follow(until_idle=True)
        except NotVerified as error:
            await self._report(error)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            if not await self._take_lease():
                raise LeaseLost

    async def _report(self, error: Exception) -> None:
        if isinstance(error, NotVerified):
            await self._alert(error.detail)
        elif isinstance(error, PyMongoError | LeaseLost):
            log.warning("audit_caretaker_waits", error=type(error).__name__)
        else:
            log.error("audit_caretaker_failed", exc_info=error)

    async def _check(self) -> None:
        """Verify the newest blocks periodically, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check_newest()

    async def check_newest(self) -> None:
        """Verify the newest blocks, and raise an alert for a new finding.

        Raises:
            PyMongoError: the database cannot be read.
        """
        try:
            await verify_newest()
        except NotVerified as error:
            await self._alert(error.detail)
        else:
            self._finding = ""

    async def _alert(self, finding: str) -> None:
        if finding != self._finding:
            self._finding = finding
            try:
                await record_alerts([Alert(Alarm.NOT_VERIFIED, {"finding": finding})])
            except PyMongoError:
                self._finding = ""
