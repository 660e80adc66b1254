"""Bounds of connections: how many one address may have, and how long a request's head may take."""

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
# A household or a server has a network of this length in IPv6.
IPV6_PREFIX = 64
# One line a while is enough to know of a flood.
LOG_SECONDS = 10.0
log = structlog.get_logger()


class Connection(Protocol):
    """What is watched of a connection.

    Attributes:
        waits_since: when it began to wait for the rest of a head, by the loop's clock; None
            while it does not.
    """

    waits_since: float | None

    def time_out(self) -> None:
        """Say that the head took too long, and close."""


class Connections:
    """The open connections of a process.

    Args:
        most: how many one address may have; 0 for any number.
        trusted: networks of proxies, whose connections are many people's.
    """

    def __init__(self, *, most: int, trusted: tuple[Network, ...]) -> None:
        self._most = most
        self._trusted = trusted
        self._counts: Counter[str] = Counter()
        self._open: dict[Connection, str] = {}
        self._logged_at = -math.inf

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Count a new connection in, unless its address has as many as it may."""
        who = self._name(address)
        if who and self._most and self._counts[who] >= self._most:
            self._log(who)
            return False
        self._counts[who] += 1
        self._open[connection] = who
        return True

    def release(self, connection: Connection) -> None:
        """Count a connection out; one that was not let in does not matter."""
        who = self._open.pop(connection, None)
        if who is not None:
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who]

    def _name(self, address: str | None) -> str:
        """Whose connections are counted together; empty where they are not counted."""
        try:
            parsed = ipaddress.ip_address(address or "")
        except ValueError:
            return ""  # a socket of this machine's own
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
