"""The dependencies of attachments."""

from dataclasses import dataclass

from chatvault.attachments.files import FileStore
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue


@dataclass(frozen=True, slots=True)
class AttachmentDeps:
    """The dependencies of attachments.

    Attributes:
        commits: takes the changes.
        recorder: takes the audit entries about reads.
        files: stores the bytes.
    """

    commits: CommitQueue
    recorder: Recorder
    files: FileStore
