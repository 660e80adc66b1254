"""The dependencies of links."""

from dataclasses import dataclass

from chatvault.accounts.passwords import PasswordHasher
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.forking.queue import ForkQueue
from chatvault.keys import SecretKey
from chatvault.links.throttle import LinkThrottle
from chatvault.mongodb.rates import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDeps:
    """The dependencies of links.

    Attributes:
        is_on: whether links can be made and opened.
        commits: takes the changes, and reads conversations.
        recorder: takes the audit entries of reads.
        hasher: hashes and checks passwords.
        throttle: limits who opens links.
        rate: limits how many a user makes.
        forks: admits copies.
        key: signs the passes that stand for a password that was right.
    """

    is_on: bool
    commits: CommitQueue
    recorder: Recorder
    hasher: PasswordHasher
    throttle: LinkThrottle
    rate: Rate
    forks: ForkQueue
    key: SecretKey
