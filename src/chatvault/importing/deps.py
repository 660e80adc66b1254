"""The dependencies of imports."""

from dataclasses import dataclass, replace
from typing import Self

from chatvault.attachments.files import FileStore
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.keys import SecretKey


@dataclass(frozen=True, slots=True)
class ImportDeps:
    """The dependencies of imports.

    Attributes:
        commits: takes the changes.
        recorder: takes the audit entries of operations without a change.
        key: the key with which sources of deleted conversations are hashed.
        files: stores the bytes of attachments; None leaves them out.
    """

    commits: CommitQueue
    recorder: Recorder
    key: SecretKey
    files: FileStore | None = None

    def without_files(self) -> Self:
        """Return a copy for an import that leaves out the bytes of attachments."""
        return replace(self, files=None)
