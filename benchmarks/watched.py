"""The service, with a clock on each of its calls of MongoDB; on SIGUSR1 it writes what they took.

The driver's own clock, so what the service's event loop adds counts too. Waiting for the change
stream's next entry is no operation.
"""

import signal
import sys
from collections import defaultdict
from pathlib import Path

import orjson
from pymongo import monitoring

from chatvault.cli import main as cli


class Clock(monitoring.CommandListener):
    """Notes how long each command took, by its name; in milliseconds."""

    def __init__(self) -> None:
        self._took: dict[str, list[float]] = defaultdict(list)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing is known yet."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Note it."""
        if event.command_name != "getMore":
            self._took[event.command_name].append(event.duration_micros / 1000)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Note it as well."""
        self._took[event.command_name].append(event.duration_micros / 1000)

    def write(self, path: Path) -> None:
        """Write what was noted, and begin anew."""
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(orjson.dumps(self._took))
        unfinished.rename(path)
        self._took.clear()


def main() -> None:
    """Serve as `chatvault serve` does, and write into the file that is the first argument."""
    path = Path(sys.argv.pop(1))
    clock = Clock()
    monitoring.register(clock)
    signal.signal(signal.SIGUSR1, lambda *_: clock.write(path))
    sys.argv = ["chatvault", "serve"]
    cli.main()


if __name__ == "__main__":
    main()
