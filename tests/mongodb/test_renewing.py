"""Renewing leases, and telling when MongoDB was away."""

import asyncio

import pytest
from pymongo.errors import NetworkTimeout

from chatvault.mongodb import renewing
from chatvault.mongodb.renewing import LEASE_SECONDS, MAX_GAP, RENEW_EVERY, Contact


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contact(clock: Clock) -> Contact:
    return Contact(clock)


def go_on(contact: Contact, clock: Clock, seconds: float) -> None:
    """Renew as often as it is done, for so long."""
    until = clock.now + seconds
    while clock.now < until:
        clock.now += RENEW_EVERY
        contact.note()


class TestContact:
    def test_is_not_steady_until_each_holder_could_renew(
        self, contact: Contact, clock: Clock
    ) -> None:
        assert not contact.is_steady
        contact.note()
        assert not contact.is_steady
        go_on(contact, clock, LEASE_SECONDS - 2 * RENEW_EVERY)
        assert not contact.is_steady
        go_on(contact, clock, 2 * RENEW_EVERY)
        assert contact.is_steady

    def test_restarts_after_an_outage(self, contact: Contact, clock: Clock) -> None:
        contact.note()
        go_on(contact, clock, 60)

        clock.now += MAX_GAP + 0.1
        assert not contact.is_steady
        contact.note()
        assert not contact.is_steady
        go_on(contact, clock, LEASE_SECONDS)
        assert contact.is_steady

    def test_survives_a_failure_shorter_than_a_lease(self, contact: Contact, clock: Clock) -> None:
        contact.note()
        go_on(contact, clock, 60)

        clock.now += MAX_GAP - 0.1
        contact.note()

        assert contact.is_steady
        assert MAX_GAP + RENEW_EVERY < LEASE_SECONDS


class TestRenewing:
    async def test_is_retried_soon_and_notes_lost_leases(
        self, contact: Contact, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(renewing, "RENEW_EVERY", 60)
        monkeypatch.setattr(renewing, "RETRY_AFTER", 0)
        monkeypatch.setattr(renewing, "LEASE_SECONDS", 0)
        done = asyncio.Event()
        failures = [NetworkTimeout("away")] * 3

        async def renew() -> None:
            assert not contact.is_steady
            if failures:
                raise failures.pop()
            done.set()

        keeping = asyncio.create_task(renewing.keep_renewing(renew, contact))
        async with asyncio.timeout(5):
            await done.wait()
        await asyncio.sleep(0)

        assert contact.is_steady
        keeping.cancel()
        await asyncio.wait({keeping})
