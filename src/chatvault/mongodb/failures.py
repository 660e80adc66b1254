"""The driver's errors, for modules that do not import the driver, explained to a person."""

from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from pymongo.uri_parser import parse_uri

from chatvault.errors import Unavailable
from chatvault.mongodb.database import to_domain_error

DriverError = PyMongoError


def explain(error: DriverError, url: str | None) -> str:
    """Return a sentence for a person at the command line about a driver's error.

    Args:
        error: the driver's.
        url: of the MongoDB that the person named, if they named one.
    """
    known = to_domain_error(error)
    if known is None:
        return f"MongoDB refused: {error}"
    if not isinstance(known, Unavailable) or url is None:
        return known.detail
    return f"MongoDB at {hosts_of(url)} cannot be reached: {reason_of(error)}"


def hosts_of(url: str) -> str:
    """Return the hosts of a MongoDB URL, without its user and password."""
    if url.startswith("mongodb+srv://"):
        return url.removeprefix("mongodb+srv://").rpartition("@")[2].partition("/")[0]
    nodes = parse_uri(url)["nodelist"]
    return ", ".join(host if port is None else f"{host}:{port}" for host, port in nodes)


def reason_of(error: DriverError) -> str:
    """Return the first cause in the driver's message, without its advice."""
    text = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
    if isinstance(error, ServerSelectionTimeoutError):
        text = text.partition(": ")[2] or text
    return " ".join(text.split()) or type(error).__name__
