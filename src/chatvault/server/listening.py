"""The sockets that the service listens on."""

import contextlib
import errno
import socket
from dataclasses import dataclass
from typing import Self

from chatvault.errors import ChatvaultError
from chatvault.settings import Settings

LOCALHOST = "localhost"
LOOPBACK = ("127.0.0.1", "::1")
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104  # no binding
FREE_PORT_TRIES = 20
BOTH = "CHATVAULT_HOST or CHATVAULT_PORT"


class CannotListen(ChatvaultError):
    """The address is taken or not ours."""

    code = "cannot_listen"


@dataclass(frozen=True, slots=True)
class Listener:
    """The sockets that requests come in by: one for each address family, all on the same port."""

    sockets: tuple[socket.socket, ...]

    @property
    def port(self) -> int:
        """The port of all sockets."""
        port: int = self.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """An address that this machine itself can call."""
        host = self.sockets[0].getsockname()[0]
        host = {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host)  # noqa: S104  # no binding
        return f"http://{_in_url(host)}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        for each in self.sockets:
            each.close()


def listen(settings: Settings) -> Listener:
    """Open the sockets that requests come in by.

    `localhost` means both loopback addresses, or the one that the machine has: a browser may try
    either, and another program must not answer on the other. `::` includes IPv4.

    Raises:
        CannotListen: an address is taken, or not one of this machine.
    """
    if settings.host.lower() == LOCALHOST:
        return Listener(_listen_on_loopback(settings))
    return Listener((open_socket(settings.host, settings.port),))


def _listen_on_loopback(settings: Settings) -> tuple[socket.socket, ...]:
    first, *others = [host for host in LOOPBACK if _has(host)] or LOOPBACK[:1]
    for _ in range(FREE_PORT_TRIES):
        with contextlib.ExitStack() as opened:
            sockets = [opened.enter_context(open_socket(first, settings.port))]
            port = sockets[0].getsockname()[1]
            try:
                sockets += [opened.enter_context(open_socket(host, port)) for host in others]
            except CannotListen:
                if settings.port:
                    raise
                continue  # Free in one family, taken in the other.
            opened.pop_all()
            return tuple(sockets)
    raise CannotListen("No port is free on 127.0.0.1 and on ::1 alike; set CHATVAULT_PORT.")


def _has(host: str) -> bool:
    """Whether the machine has the address."""
    try:
        socket.create_server((host, 0), family=_family(host)).close()
    except OSError as error:
        return error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def open_socket(host: str, port: int, *, setting: str = BOTH) -> socket.socket:
    """Listen on one address.

    Raises:
        CannotListen: it is taken, or not one of this machine; names the setting.
    """
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            (host, port), family=_family(host), backlog=1024, dualstack_ipv6=both
        )
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {_in_url(host)}:{port} ({error.strerror}); "
            f"set {setting} to another address."
        ) from None


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def address_of(listener: Listener, settings: Settings) -> str:
    """Return the URL at which a browser on this machine finds the service."""
    host = LOCALHOST if settings.host in EVERY_ADDRESS else settings.host
    return f"http://{_in_url(host)}:{listener.port}"
