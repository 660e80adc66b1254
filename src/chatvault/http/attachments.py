"""Answers that a browser saves as a file."""

import unicodedata
from urllib.parse import quote

# What RFC 8187 lets stand as it is, beside letters and digits.
PLAIN = "!#$&+-.^_`|~"


def content_disposition(name: str) -> str:
    """Return the header's value for a file of this name (RFC 6266, RFC 8187).

    Programs that do not know `filename*` get the name in ASCII.
    """
    stripped = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    fallback = "".join(
        char if char.isprintable() and char not in '"\\%' else "_" for char in stripped
    )
    value = f'attachment; filename="{fallback}"'
    return value if fallback == name else f"{value}; filename*=UTF-8''{quote(name, safe=PLAIN)}"
