"""Put the messages of a conversation in the order in which they are stored."""

from dataclasses import dataclass

from chatvault.conversations.tree import ROOT, Link
from chatvault.importing.neutral import NeutralConversation, NeutralMessage


@dataclass(frozen=True, slots=True)
class Arranged:
    """Messages in storage order: the branch that was shown, then the others, each after its parent.

    Attributes:
        messages: in this order.
        parents: the place of the message that each follows, or ROOT.
        leaf: the place of the last message of the branch that was shown, or ROOT.
    """

    messages: list[NeutralMessage]
    parents: list[int]
    leaf: int

    @property
    def links(self) -> list[Link]:
        """The parents of the messages whose parent is not the message stored before them."""
        pairs = enumerate(self.parents)
        return [Link(place, parent) for place, parent in pairs if parent != place - 1]


def arrange(conversation: NeutralConversation) -> Arranged:
    """Return a conversation's messages as they are to be stored."""
    path = list(conversation.active_path())
    leaf = len(path) - 1
    if conversation.active_leaf is None:
        return Arranged(path, list(range(-1, leaf)), leaf)
    shown = {message.source_id for message in path}
    messages = path + [each for each in conversation.messages if each.source_id not in shown]
    places = {message.source_id: place for place, message in enumerate(messages)}
    parents = [
        ROOT if message.parent_id is None else places.get(message.parent_id, ROOT)
        for message in messages
    ]
    return Arranged(messages, parents, leaf)
