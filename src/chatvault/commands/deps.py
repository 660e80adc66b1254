"""What commands are run with."""

from dataclasses import dataclass

from chatvault.audit.recorder import Recorder
from chatvault.commands.runner import Runner
from chatvault.commands.servers import Servers
from chatvault.conversations.commits.queue import Lane
from chatvault.mongodb.rates import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """What commands are run with."""

    lane: Lane
    recorder: Recorder
    servers: Servers
    runner: Runner
    rate: Rate
