"""A crowd of strangers that registers, beside people who sign in, at the real cost of a hash."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from support.running import PASSWORD, Service, ask

CONNECTIONS = 75
SIGN_INS = 5
# What one thread hashes in two seconds.
HASHES_IN_TWO_SECONDS = 8


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("busy") / "data"
    with Service(data_dir, bcrypt_rounds=12, trusted_proxies="127.0.0.1,::1") as service:
        yield service
        # What waits to be hashed need not be answered.
        service.kill()


class Flood:
    """Registers new names without a pause, over many connections.

    Args:
        service: what is flooded.
        addresses: how many the flood seems to come from.
    """

    def __init__(self, service: Service, addresses: int) -> None:
        self.service = service
        self.addresses = addresses
        self.answers: Counter[int] = Counter()
        self._answered = asyncio.Condition()
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as session:
            tasks = [
                asyncio.create_task(self._register(session, place)) for place in range(CONNECTIONS)
            ]
            try:
                await self.await_answer(200)
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def await_answer(self, status: int) -> None:
        """Return once a registration was answered so."""
        async with self._answered, asyncio.timeout(60):
            await self._answered.wait_for(lambda: self.answers[status])

    async def _register(self, session: aiohttp.ClientSession, place: int) -> None:
        address = f"10.{self.addresses}.0.{place % self.addresses}"
        while True:
            name = f"flood-{self.addresses}-{next(self._numbers)}"
            account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            async with session.post(
                f"{self.service.url}/auth/register",
                json=account,
                headers={"X-Forwarded-For": address},
            ) as answer:
                self.answers[answer.status] += 1
            async with self._answered:
                self._answered.notify_all()


class TestFloodOfRegistrations:
    @pytest.mark.parametrize(
        "addresses",
        [
            pytest.param(1, id="one address", marks=pytest.mark.long),
            pytest.param(CONNECTIONS, id="many addresses"),
        ],
    )
    async def test_does_not_block_sign_in(self, busy: Service, addresses: int) -> None:
        username = f"alice-{addresses}"
        account = {"username": username, "password": PASSWORD}
        flood = Flood(busy, addresses)
        async with busy.browser() as browser:
            await busy.sign_in(browser, username)
            async with flood.run():
                for _ in range(SIGN_INS):
                    before = flood.answers[200]
                    answer, _ = await ask(browser, "POST", f"{busy.url}/auth/login", account)

                    # Seconds depend on what else the machine does; the hashes it makes do too.
                    assert answer.status == 200
                    assert flood.answers[200] - before < HASHES_IN_TWO_SECONDS

        assert flood.answers.keys() <= {200, 429, 503}
