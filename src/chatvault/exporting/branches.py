"""Find the parents of messages for an export of all branches."""

from chatvault.access import Access
from chatvault.conversations.reading.paths import leaf_of
from chatvault.conversations.reading.tree import read_ids, read_tree
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import ROOT


class Branches:
    """Adds the parent to messages that do not follow the message exported before them.

    Deleted messages are not exported; their children get the nearest parent that is not deleted.

    Args:
        access: to the owner's data.
        store: reads the messages' ids.
        conversation: the conversation's document.
    """

    def __init__(self, access: Access, store: MessageStore, conversation: ConversationDoc) -> None:
        self._access = access
        self._store = store
        self._conversation = conversation
        self._last = ROOT

    async def open(self) -> str | None:
        """Read the tree; return the id of the last message of the branch that is shown."""
        self._tree = await read_tree(self._access, self._conversation)
        leaf = self._tree.not_deleted(leaf_of(self._conversation))
        found = await self._read_ids({leaf})
        return found.get(leaf)

    async def name_parents(self, run: list[StoredMessage]) -> list[StoredMessage]:
        """Return messages in order, each with a `parent_id` where it needs one."""
        first = self._conversation["first_seq"]
        tree = self._tree
        parents = [tree.not_deleted(tree.parent_of(each.seq - first)) for each in run]
        before = [self._last, *(each.seq - first for each in run)]
        needed = {up for up, last in zip(parents, before, strict=False) if up != last}
        ids = await self._read_ids(needed)
        self._last = before[-1]
        return [
            each._replace(message=_with_parent(each.message, up == last, ids.get(up)))
            for each, up, last in zip(run, parents, before, strict=False)
        ]

    async def _read_ids(self, places: set[int]) -> dict[int, str]:
        return await read_ids(self._access, self._store, self._conversation, places - {ROOT})


def _with_parent(message: MessageDoc, is_next: bool, parent_id: str | None) -> MessageDoc:  # noqa: FBT001  # a column of three
    if is_next:
        if "parent_id" not in message:
            return message
        without = message.copy()
        del without["parent_id"]
        return without
    return {**message, "parent_id": parent_id}
