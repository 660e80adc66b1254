"""Attachments in the API's shape."""

from typing import Final

from chatvault.fields import Raw

_NAMES: Final = ("name", "mime", "size", "source_ref", "state", "created_at")


def attachment_wire(stored: Raw) -> Raw:
    """Return a stored attachment as the API shows it."""
    return {"id": stored["attachment_id"], **{name: stored.get(name) for name in _NAMES}}
