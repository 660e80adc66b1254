"""Whether a browser takes a page and the service for one site, on which its cookies depend."""

import ipaddress
from urllib.parse import urlsplit


def is_cross_site(origin: str, host: str, declared: str | None) -> bool:
    """Whether a page and the service are two sites for sure, so that no Lax cookie is sent.

    Args:
        origin: the page's, as `http://localhost:5173`.
        host: what the page called, as `127.0.0.1:8000`.
        declared: what the browser itself says in Sec-Fetch-Site; it does so over TLS and on
            loopback addresses only.
    """
    if declared is not None:
        return declared == "cross-site"
    page, called = host_of(origin), host_of(f"//{host}")
    if page == called:
        return False
    if _has_no_domain(page) or _has_no_domain(called):
        return True
    # A site has at least two labels. Which suffixes are public only a long list knows.
    return page.split(".")[-2:] != called.split(".")[-2:]


def host_of(url: str) -> str:
    """Return the host's name or address alone."""
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
