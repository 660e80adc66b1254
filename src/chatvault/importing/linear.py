"""The part of a conversation that is stored today: the branch that was shown, whole.

Other branches have no place in the store yet.
"""

from collections import Counter
from typing import Final

from chatvault.importing.neutral import NeutralConversation, NeutralMessage

OTHER_BRANCHES: Final = "messages on other branches"


def linearize(
    conversation: NeutralConversation,
) -> tuple[list[NeutralMessage], Counter[str]]:
    """Return the messages to store, in order, and how much of what is left out."""
    kept = list(conversation.active_path())
    left_out: Counter[str] = Counter()
    if others := len(conversation.messages) - len(kept):
        left_out[OTHER_BRANCHES] = others
    return kept, left_out
