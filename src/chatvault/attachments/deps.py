"""What attachments are stored and read with."""

from dataclasses import dataclass

from chatvault.attachments.files import FileStore
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue


@dataclass(frozen=True, slots=True)
class AttachmentDeps:
    """What attachments are stored and read with.

    Attributes:
        commits: takes the changes.
        recorder: takes the entries about reads.
        files: keeps the bytes.
    """

    commits: CommitQueue
    recorder: Recorder
    files: FileStore
