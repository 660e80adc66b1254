"""What imports are made with."""

from dataclasses import dataclass, replace
from typing import Self

from chatvault.attachments.files import FileStore
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.keys import SecretKey


@dataclass(frozen=True, slots=True)
class ImportDeps:
    """What imports are made with.

    Attributes:
        commits: takes the changes.
        recorder: takes the entries about what changes nothing.
        key: hashes the sources of deleted conversations.
        files: stores the bytes of attachments; None leaves them out.
    """

    commits: CommitQueue
    recorder: Recorder
    key: SecretKey
    files: FileStore | None = None

    def without_files(self) -> Self:
        """Return the same, for an import that leaves out the bytes of attachments."""
        return replace(self, files=None)
