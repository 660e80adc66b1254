"""Clients' IP addresses, and the networks that one holder has."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The network that a provider gives to one household or machine; addresses within it cost nothing.
IPV6_PREFIX = 64
MAPPED = "::ffff:"
NOT_FROM_A_NETWORK = "local"


def parse(text: str) -> Address | None:
    """Return the address, or None if the text is not one.

    A dual-stack socket shows IPv4 addresses as ::ffff:192.0.2.1; they are returned as IPv4.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def plain(address: str | None) -> str | None:
    """Return an IPv4-mapped IPv6 address as IPv4, and any other text unchanged."""
    if address and address[: len(MAPPED)].lower() == MAPPED:
        return str(parse(address) or address)
    return address


def holder_of(address: str | None) -> str:
    """Return the key under which an address is counted: IPv6 addresses share that of their /64."""
    parsed = parse(address or "")
    if isinstance(parsed, ipaddress.IPv6Address):
        first = int(parsed) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)
        return str(ipaddress.IPv6Network((first, IPV6_PREFIX)))
    return str(parsed or address or NOT_FROM_A_NETWORK)
