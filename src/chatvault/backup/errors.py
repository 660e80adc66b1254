"""The errors of backups; all of them end a command, none an HTTP request."""

from chatvault.errors import Conflict, InvalidInput, Unavailable


class NotABackup(InvalidInput):
    """The file is no backup of chatvault, or one that this version cannot read."""

    code = "not_a_backup"


class BackupDamaged(Conflict):
    """The backup is not whole: it was cut or changed."""

    code = "backup_damaged"


class BackupNotWritten(Unavailable):
    """The file of the backup cannot be written; nothing of it was kept."""

    code = "backup_not_written"


class SnapshotLost(Unavailable):
    """MongoDB no longer shows the moment that the backup is of; nothing of it was kept."""

    code = "snapshot_lost"


class NotRestorable(Conflict):
    """The backup cannot be restored here; nothing was changed."""

    code = "not_restorable"
