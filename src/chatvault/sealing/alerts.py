"""Detect entries that need attention while they are sealed."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from chatvault.actor import Actor, Door
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.models import AuditEntry, Entry
from chatvault.audit.service import entry
from chatvault.errors import InvalidCredentials, NotFound, Throttled

WINDOW = timedelta(minutes=10)
FAILED_LOGINS_OF_ACCOUNT = 10
FAILED_LOGINS_OF_ADDRESS = 30
FOREIGN_IDS = 20
MAX_SUBJECTS = 10_000
NAMED_ENTRIES = 10
log = structlog.get_logger()


class Alarm(StrEnum):
    """The kind of an alert."""

    FAILED_LOGINS = "failed_logins"
    FOREIGN_IDS = "foreign_ids"
    FORGED = "forged_entry"
    TAMPERED = "tampered_entry"
    DROPPED = "log_dropped"
    NOT_VERIFIED = "not_verified"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert; `details` and `address` are copied from the entry."""

    alarm: Alarm
    details: dict[str, Any] = field(default_factory=dict)
    address: str | None = None


@dataclass(slots=True)
class _Window:
    began: datetime
    seen: set[str] = field(default_factory=set)
    count: int = 0
    is_reported: bool = False


class Watch:
    """Counts by account, address and user over ten minutes of the entries' own time.

    A subject that reaches its limit causes one alert in each window. At most 10,000 subjects are
    remembered.
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def see(self, seen: Mapping[str, Any]) -> list[Alert]:
        """Count one entry; return the alerts that it causes."""
        if seen["outcome"] == Outcome.SUCCESS:
            return []
        if seen["action"] == Action.SESSION_LOGIN:
            return self._see_login(seen)
        if seen["user_id"] is not None and seen["code"] == NotFound.code:
            return self._see_foreign(seen)
        return []

    def _see_login(self, seen: Mapping[str, Any]) -> list[Alert]:
        if seen["code"] not in {InvalidCredentials.code, Throttled.code}:
            return []
        details = seen["details"] or {}
        times = int(details.get("count", 1))
        account = seen["resource_id"] or details.get("name_hash")
        subjects = (
            ("account", account, FAILED_LOGINS_OF_ACCOUNT),
            ("address", seen["address"], FAILED_LOGINS_OF_ADDRESS),
        )
        alerts = []
        for kind, subject, bound in subjects:
            if subject is None:
                continue
            window = self._window((kind, subject), seen["at"])
            window.count += times
            if window.count >= bound and not window.is_reported:
                window.is_reported = True
                about = {"account": subject} if kind == "account" else {}
                counted = {"by": kind, **about, "count": window.count}
                alerts.append(Alert(Alarm.FAILED_LOGINS, counted, seen["address"]))
        return alerts

    def _see_foreign(self, seen: Mapping[str, Any]) -> list[Alert]:
        user = str(seen["user_id"])
        window = self._window(("user", user), seen["at"])
        if seen["resource_id"] is not None and not window.is_reported:
            window.seen.add(seen["resource_id"])
        if len(window.seen) < FOREIGN_IDS:
            return []
        counted = {"user_id": user, "ids": len(window.seen)}
        window.is_reported = True
        window.seen.clear()
        return [Alert(Alarm.FOREIGN_IDS, counted, seen["address"])]

    def _window(self, subject: tuple[str, str], at: datetime) -> _Window:
        window = self._windows.get(subject)
        # Entries arrive slightly out of order; a clock that was set back far starts a new window.
        if window is None or not abs(at - window.began) < WINDOW:
            window = _Window(at)
        self._windows[subject] = window
        self._windows.move_to_end(subject)
        if len(self._windows) > MAX_SUBJECTS:
            self._windows.popitem(last=False)
        return window


async def record_alerts(alerts: list[Alert]) -> None:
    """Store an entry for each alert, and log it.

    Raises:
        PyMongoError: they could not be stored.
    """
    if not alerts:
        return
    entries = [_entry(alert) for alert in alerts]
    await AuditEntry.store(entries)
    for alert in alerts:
        log.warning("audit_alert", alarm=alert.alarm.value, address=alert.address, **alert.details)


async def alert_forged_counts(ids: list[Any]) -> None:
    """Record that counts of refusals were written without the service's keys.

    Raises:
        PyMongoError: it could not be stored.
    """
    await record_alerts([name_entries(Alarm.FORGED, ids, pending=True)])


def _entry(alert: Alert) -> Entry:
    watcher = Actor(door=Door.BACKGROUND, address=alert.address)
    details = {"alarm": alert.alarm.value, **alert.details}
    return entry(watcher, Action.AUDIT_ALERT, details=details)


def name_entries(alarm: Alarm, ids: list[Any], **more: Any) -> Alert:
    """Return an alert about entries that names the first ten of them."""
    named = [str(each) for each in ids[:NAMED_ENTRIES]]
    return Alert(alarm, {"entries": named, "count": len(ids), **more})
