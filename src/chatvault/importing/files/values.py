"""Read values of a foreign file as the expected type, never with an error."""

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import PydanticCustomError

from chatvault.fields import Raw, to_milliseconds
from chatvault.mongodb.storable import MAX_DEPTH

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# As seconds this is the year 5138, as milliseconds it is 1973.
_LEAST_MILLISECONDS = 1e11
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
# The names of fields that may hold secrets of an account or of settings.
_SECRET_ENDINGS: Final = ("apikey", "accesstoken", "refreshtoken", "authtoken", "idtoken", "secret")
_SECRETS: Final = frozenset(
    {
        "accesscode",
        "authorization",
        "bearer",
        "cookie",
        "email",
        "emailaddress",
        "ipaddress",
        "password",
        "phone",
        "phonenumber",
    }
)
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_LETTERS = re.compile(r"[^a-z]")


def parse_time(value: object) -> datetime | None:
    """Read a time as exports write them.

    Args:
        value: ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970.

    Returns:
        The instant in UTC, cut to milliseconds; None if the value is no time.
    """
    try:
        if isinstance(value, str) and _ISO.fullmatch(value):
            return to_milliseconds(datetime.fromisoformat(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            unit = 1 if abs(value) >= _LEAST_MILLISECONDS else 1000
            return _EPOCH + timedelta(milliseconds=round(value * unit))
    except (ValueError, OverflowError, PydanticCustomError):
        pass
    return None


def replace_surrogates(value: Any, *, depth: int = 1) -> Any:
    """Return a copy with U+FFFD for each lone surrogate in a text; keys are not changed."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("�", value)
    if depth <= MAX_DEPTH:
        if isinstance(value, list):
            return [replace_surrogates(item, depth=depth + 1) for item in value]
        if isinstance(value, dict):
            return {key: replace_surrogates(item, depth=depth + 1) for key, item in value.items()}
    return value


def text(value: object) -> str | None:
    """Return the value if it is a text that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def name_of(value: object) -> str | None:
    """Return an id or a name: a text, or an integer as a text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def number(value: object) -> int | None:
    """Return an integer, also from a text of digits; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():  # noqa: PLR2004  # digits of 64 bits
        return int(value)
    return None


def items(value: object) -> list[Any]:
    """Return the value if it is a list, else an empty list."""
    return value if isinstance(value, list) else []


def fields(value: object) -> Raw:
    """Return the value if it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Raw]:
    """Return the objects in a list, or among an object's values."""
    held = value.values() if isinstance(value, dict) else items(value)
    return [each for each in held if isinstance(each, dict)]


def rest(value: Raw, known: Iterable[str]) -> Raw:
    """Return the fields of an object that are not known and neither null nor empty."""
    known = frozenset(known)
    return {
        name: each
        for name, each in value.items()
        if name not in known and each is not None and each not in ("", [], {})
    }


def present(value: Raw) -> Raw:
    """Return the object without fields that are null."""
    return {name: each for name, each in value.items() if each is not None}


def digest(*values: object) -> str:
    """Return the hexadecimal SHA-256 of values as JSON without spaces and with sorted keys."""
    whole = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(whole.encode()).hexdigest()


def without_secrets(value: Any, *, depth: int = 0) -> Any:
    """Return a copy without fields whose names are those of keys, passwords and addresses."""
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            return {
                name: without_secrets(each, depth=depth + 1)
                for name, each in value.items()
                if not _is_secret(name)
            }
        if isinstance(value, list):
            return [without_secrets(each, depth=depth + 1) for each in value]
    return value


def _is_secret(name: object) -> bool:
    letters = _NOT_LETTERS.sub("", str(name).lower())
    return letters in _SECRETS or letters.endswith(_SECRET_ENDINGS)
