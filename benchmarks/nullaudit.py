"""The service with an audit log that stores nothing, for comparison with the real one.

No setting does this; only a process that replaces parts of the running program can.
"""

import asyncio
import sys
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.cli import main as cli
from chatvault.sealing.maintenance import Maintenance


def main() -> None:
    """Serve as `chatvault serve` does."""

    async def keep_nothing(*_: Any) -> None:
        return

    async def seal_nothing(*_: Any) -> None:
        # With keys of its own it would seal, and call forged, what the real service writes.
        await asyncio.Event().wait()

    sys.argv = ["chatvault", "serve"]
    with ExitStack() as replaced:
        replaced.enter_context(patch.object(Recorder, "record", keep_nothing))
        replaced.enter_context(patch.object(AuditEntry, "store", keep_nothing))
        replaced.enter_context(patch.object(Maintenance, "run", seal_nothing))
        cli.main()


if __name__ == "__main__":
    main()
