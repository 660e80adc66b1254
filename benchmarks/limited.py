"""The cost of quotas: processor time of an append with limits, with counts alone, and with neither.

Run by `python benchmarks/limited.py [rounds]`. The three services answer in this process, beside
their client, in turns; so the differences are those of the service, and the whole is more than the
service's. The user of the first has a limit of each kind that an append counts against.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import structlog

from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.conversations.commits.ledger import Reservation
from chatvault.conversations.routes import COMMITS
from chatvault.fields import now
from chatvault.http.limiting import ADMIT, Admit, headers_of
from chatvault.limits import OperationClass
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.quotas.book import QuotaBook
from chatvault.quotas.ledger import QuotaLedger
from chatvault.quotas.models import Quota
from chatvault.quotas.routes import QUOTAS
from chatvault.settings import Settings
from in_process import append_many, start

# Many short turns: what else the machine does changes from second to second.
ROUNDS, APPENDS = int(sys.argv[1]) if sys.argv[1:] else 300, 2
# So many a minute that each lease, a twentieth, holds for some rounds.
LIMITS = {"writes_per_minute": 600_000, "messages_per_day": 10**9, "stored_bytes": 10**15}
CALLS = 20_000
NAMES = ("limits", "counts", "neither")


async def _stay(self: QuotaBook) -> None:  # noqa: ARG001  # a method
    """Read no limits: of three services on one database, one is to have them."""
    await asyncio.Event().wait()


async def main() -> None:
    """Measure, and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    QuotaBook.run = _stay  # type: ignore[method-assign]  # as said
    with tempfile.TemporaryDirectory() as folder, embedded_mongodb(Path(folder)) as url:
        settings = Settings(data_dir=Path(folder), bcrypt_rounds=4)
        sides = [await start(settings, url, name) for name in NAMES]
        apps = [side[0].server.app for side in sides]
        apps[2][COMMITS]._ledger = None  # noqa: SLF001  # no setting does this
        user = await User.find_one({"username": NAMES[0]})
        if user is None:
            raise LookupError(NAMES[0])
        stored = {"_id": str(user.id), "user_id": user.id, "limits": LIMITS, "updated_at": now()}
        await Quota.get_pymongo_collection().insert_one(stored)
        await apps[0][QUOTAS].book.read()
        took: list[list[float]] = [[], [], []]
        for round_no in range(ROUNDS + 3):
            for number in (0, 1, 2) if round_no % 2 else (2, 1, 0):
                seconds = await append_many(*sides[number], APPENDS)
                if round_no >= 3:  # before, caches fill
                    took[number].append(seconds * 1e6)
        _print(took)
        await _print_calls(apps[0][ADMIT], apps[0][QUOTAS].ledger, user)
        for client, _ in sides:
            await client.close()


def _print(took: list[list[float]]) -> None:
    """Print the medians, and the differences of the rounds with their 95 % intervals."""
    whole = statistics.median(took[2])
    print(f"an append with its client: {whole:.0f} us without limits and counts")
    for name, measured in zip(NAMES[:2], took[:2], strict=True):
        differences = sorted(a - b for a, b in zip(measured, took[2], strict=True))
        middle = statistics.median(differences)
        # The median's interval, which a few turns beside other programs do not widen.
        half = min(round(0.98 * ROUNDS**0.5), ROUNDS // 2 - 1)
        low, high = (differences[ROUNDS // 2 + each] for each in (-half, half))
        print(
            f"with {name}: {middle:+.1f} us ({low:+.1f} to {high:+.1f}; {ROUNDS} rounds), "
            f"{middle / whole:+.2%} ({low / whole:+.2%} to {high / whole:+.2%})"
        )


async def _print_calls(admit: Admit, ledger: QuotaLedger, user: User) -> None:
    """Print the cost of the calls alone, which the noise of other programs does not hide."""
    actor = Actor(door=Door.HTTP, user_id=user.id, role=user.role)
    began = time.process_time()
    for _ in range(CALLS):
        headers_of(await admit(actor, OperationClass.WRITE))
        reserved = Reservation(actor, user.id, 1, 500)
        await ledger.reserve(reserved)
        ledger.settle(reserved, 1)
        ledger.note([(actor, 1)], [(user.id, 500)])
    each = (time.process_time() - began) / CALLS * 1e6
    print(f"the calls alone, with leases: {each:.1f} us an append")


if __name__ == "__main__":
    asyncio.run(main())
