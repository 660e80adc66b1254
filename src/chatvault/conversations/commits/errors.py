"""Errors for which a change of a conversation is decided again or not committed."""

from chatvault.errors import Busy, ChatvaultError


class RetryAfterMove(ChatvaultError):
    """The decision needs messages that this batch moves or did not read; a later batch decides."""


class NoRoom(RetryAfterMove):
    """Embedded messages have to move to segments before the decision can be made."""


class NeedsTree(RetryAfterMove):
    """The decision needs the tree of all messages, which was not read."""


class Behind(RetryAfterMove):
    """A change of the same conversation, which arrived earlier, is postponed."""


class Conflicted(Busy):
    """Another process changed the same conversation."""


class HalfDecided(RuntimeError):
    """A decision raised after it changed its working copy; nothing of its batch may be stored."""
