"""Record that the log was restored from a backup, and find where it was."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.audit.mark import Mark
from chatvault.audit.models import AuditEntry
from chatvault.audit.service import entry
from chatvault.sealing.gaps import list_genuine


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that an entry records.

    Attributes:
        at: when.
        through_block: the newest block of the backup; -1 if it has none.
        known_block: the newest block that was noted outside MongoDB before; -1 for none.
        has_log: whether the log of the backup was restored, too.
    """

    at: datetime
    through_block: int
    known_block: int
    has_log: bool

    @property
    def sentence(self) -> str:
        """The description of the restore."""
        if not self.has_log:
            what = "without the audit log of before"
        elif self.through_block < 0:
            what = "from before the first block"
        else:
            what = f"with the blocks up to {self.through_block}"
        lost = self.known_block - self.through_block
        until = f"; {lost} later blocks were known here, and are gone" if lost > 0 else ""
        return f"restored from a backup {what}{until}"


async def record_restore(
    actor: Actor, *, backup: str, known: Mark | None, with_log: bool, details: dict[str, Any]
) -> None:
    """Record a restore, once the log of the backup is there.

    Args:
        actor: who restored.
        backup: the id of the backup.
        known: the block that was noted outside MongoDB before; it says what is lost.
        with_log: whether the log of the backup was restored, too.
        details: more facts for the entry.

    Raises:
        PyMongoError: the database cannot be reached.
    """
    newest = AuditEntry.high_water().newest
    told = {"through_block": newest.height, "through_hash": newest.hash.hex()}
    told |= {"with_log": with_log, **details}
    if known is not None:
        told |= {"known_block": known.height, "known_hash": known.hash.hex()}
        told |= {"known_entries": known.count}
    await AuditEntry.store([entry(actor, Action.AUDIT_RESTORE, backup, details=told)])


async def list_restores() -> list[Restore]:
    """Return the restores that genuine entries record, oldest first.

    Raises:
        PyMongoError: the database cannot be read.
    """
    return [
        Restore(
            found["at"],
            int(found["details"]["through_block"]),
            int(found["details"].get("known_block", -1)),
            bool(found["details"]["with_log"]),
        )
        async for found in list_genuine(Action.AUDIT_RESTORE, {})
    ]
