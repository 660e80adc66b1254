"""Clients' IP addresses, and who holds them."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What a provider gives to one household or machine: within it, addresses cost nothing.
IPV6_PREFIX = 64
MAPPED = "::ffff:"
NOT_FROM_A_NETWORK = "local"


def parse(text: str) -> Address | None:
    """Return the address, or None if the text is none.

    A socket for both families shows IPv4 addresses as ::ffff:192.0.2.1; they become IPv4 again.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def plain(address: str | None) -> str | None:
    """Return an IPv4 address that came within an IPv6 one as itself, and all else as it is."""
    if address and address[: len(MAPPED)].lower() == MAPPED:
        return str(parse(address) or address)
    return address


def holder_of(address: str | None) -> str:
    """Return what stands for everybody at an address in a count: IPv6 addresses by their /64."""
    parsed = parse(address or "")
    if isinstance(parsed, ipaddress.IPv6Address):
        first = int(parsed) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)
        return str(ipaddress.IPv6Network((first, IPV6_PREFIX)))
    return str(parsed or address or NOT_FROM_A_NETWORK)
