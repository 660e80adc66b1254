"""Limits on connections: how many an address may have, and how long a request's head may take."""

import asyncio
import ipaddress
import math
import time
from collections import Counter
from typing import Protocol

import structlog

from chatvault.settings import Network

HEAD_SECONDS = 30.0
WATCH_SECONDS = 2.0
# The IPv6 network that a household or a server has.
IPV6_PREFIX = 64
# Seconds between log lines: one is enough to show a flood.
LOG_SECONDS = 10.0
log = structlog.get_logger()


class Connection(Protocol):
    """The state of a connection that is watched.

    Attributes:
        waits_since: when the wait for the rest of a head began, by the loop's clock; None while
            there is none.
    """

    waits_since: float | None

    def time_out(self) -> None:
        """Answer that the head took too long, and close."""


class Connections:
    """The open connections of a process.

    Args:
        most: how many one address may have; 0 for any number.
        trusted: networks of proxies, whose connections carry many clients.
    """

    def __init__(self, *, most: int, trusted: tuple[Network, ...]) -> None:
        self._most = most
        self._trusted = trusted
        self._counts: Counter[str] = Counter()
        self._open: dict[Connection, str] = {}
        self._logged_at = -math.inf

    @property
    def count(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Count a new connection, or return False if its address has as many as it may."""
        who = self._name(address)
        if who and self._most and self._counts[who] >= self._most:
            self._log(who)
            return False
        self._counts[who] += 1
        self._open[connection] = who
        return True

    def release(self, connection: Connection) -> None:
        """Uncount a connection; does nothing if it was not counted."""
        who = self._open.pop(connection, None)
        if who is not None:
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who]

    def _name(self, address: str | None) -> str:
        """Return the key under which connections are counted; empty if they are not."""
        try:
            parsed = ipaddress.ip_address(address or "")
        except ValueError:
            return ""  # a local unix socket
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        if any(plain in network for network in self._trusted):
            return ""
        if plain.version == 4:  # noqa: PLR2004  # of the protocol
            return str(plain)
        return str(ipaddress.ip_network((plain, IPV6_PREFIX), strict=False))

    def _log(self, who: str) -> None:
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning("too_many_connections", address=who, most=self._most)

    async def watch(self) -> None:
        """Close connections whose heads take too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            late = loop.time() - HEAD_SECONDS
            for connection in list(self._open):
                if connection.waits_since is not None and connection.waits_since <= late:
                    connection.time_out()
