"""The part of a conversation that is stored today: the branch that was shown, whole.

Other branches have no place in the store yet.
"""

from collections import Counter
from typing import Final

from chatvault.fields import MAX_FREE_BYTES
from chatvault.importing.neutral import NeutralConversation, NeutralMessage
from chatvault.mongodb.storable import check_storable

OTHER_BRANCHES: Final = "messages on other branches"
CONTENTS: Final = "contents of files"
TOO_LARGE: Final = "fields over 256 KB"


def linearize(
    conversation: NeutralConversation,
) -> tuple[list[NeutralMessage], Counter[str]]:
    """Return the messages to store, in order, and how much of what is left out."""
    kept = list(conversation.active_path())
    left_out: Counter[str] = Counter()
    if others := len(conversation.messages) - len(kept):
        left_out[OTHER_BRANCHES] = others
    if contents := sum(each.state == "present" for each in conversation.attachments):
        left_out[CONTENTS] = contents
    if conversation.active_leaf is not None:
        # As large as what comes over HTTP; those of localStorage are stored as they always were.
        for message in kept:
            if message.extra and check_storable(message.extra, max_bytes=MAX_FREE_BYTES):
                message.extra = {}
                left_out[TOO_LARGE] += 1
    return kept, left_out
