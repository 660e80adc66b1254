"""Whether a browser treats a page and the service as one site, which decides about cookies."""

import ipaddress
from urllib.parse import urlsplit


def is_cross_site(origin: str, host: str, declared: str | None) -> bool:
    """Whether a page and the service are certainly two sites, so that no Lax cookie is sent.

    Args:
        origin: the page's, such as `http://localhost:5173`.
        host: the host that the page called, such as `127.0.0.1:8000`.
        declared: the browser's Sec-Fetch-Site, sent over TLS and to loopback addresses only.
    """
    if declared is not None:
        return declared == "cross-site"
    page, called = host_of(origin), host_of(f"//{host}")
    if page == called:
        return False
    if _has_no_domain(page) or _has_no_domain(called):
        return True
    # A site has at least two labels; only a long list would tell which suffixes are public.
    return page.split(".")[-2:] != called.split(".")[-2:]


def host_of(url: str) -> str:
    """Return the host's name or address without the port."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _has_no_domain(host: str) -> bool:
    if "." not in host:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
