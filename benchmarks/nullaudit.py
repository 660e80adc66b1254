"""The service with an audit that keeps nothing: what the real one is compared with.

No setting does this; only a process that replaces parts of the running program can.
"""

import sys
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from chatvault import cli
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder


class Nowhere:
    """The collection of entries, but for what would store one."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def insert_many(self, *_: Any, **__: Any) -> None:
        """Store nothing."""

    async def insert_one(self, *_: Any, **__: Any) -> None:
        """Store nothing."""


def main() -> None:
    """Serve as `chatvault serve` does."""
    real = AuditEntry.get_pymongo_collection

    async def record(_self: Recorder, _entry: Any) -> None:
        return

    sys.argv = ["chatvault", "serve"]
    with ExitStack() as replaced:
        replaced.enter_context(patch.object(Recorder, "record", record))
        replaced.enter_context(
            patch.object(AuditEntry, "get_pymongo_collection", lambda: Nowhere(real()))
        )
        cli.main()


if __name__ == "__main__":
    main()
