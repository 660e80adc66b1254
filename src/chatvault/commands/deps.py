"""The dependencies of commands."""

from dataclasses import dataclass

from chatvault.audit.recorder import Recorder
from chatvault.commands.runner import CommandRunner
from chatvault.commands.servers import Servers
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.store import MessageStore
from chatvault.mongodb.rates import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDeps:
    """The dependencies of commands."""

    commits: CommitQueue
    store: MessageStore
    recorder: Recorder
    servers: Servers
    runner: CommandRunner
    rate: Rate
