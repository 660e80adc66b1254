"""What imports are made with."""

from dataclasses import dataclass

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
    """

    commits: CommitQueue
    recorder: Recorder
    key: SecretKey
