"""The newest messages of conversations as JSON, which are shown again and again."""

from dataclasses import dataclass
from operator import attrgetter

from bson import ObjectId
from cachetools import LRUCache

# The limit of cached JSON in a process; each entry takes about OVERHEAD in addition.
KEPT_BYTES = 16 * 1024 * 1024
OVERHEAD = 512
# Of a larger page, encoding is the smaller part.
MOST_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page of messages as JSON, and its position.

    Attributes:
        json: the messages, as an array.
        count: how many they are.
        oldest: the place of the first; None if there are none.
        newest: the place of the last; None if there are none.
    """

    json: bytes
    count: int
    oldest: int | None
    newest: int | None
    total: int
    has_more: bool
    version: int
    first_seq: int
    limit: int
    offset: int | None = None

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.json) + OVERHEAD


class KeptPages:
    """Keeps the newest page of each conversation that was read last, as of its version.

    Whoever takes a page from here has to read the conversation's version first, by owner.
    """

    def __init__(self) -> None:
        self._pages: LRUCache[tuple[ObjectId, ObjectId], RenderedPage] = LRUCache(
            KEPT_BYTES, getsizeof=attrgetter("size")
        )

    def find(
        self, owner_id: ObjectId, conversation_id: ObjectId, limit: int
    ) -> RenderedPage | None:
        """Return the page of this length, if it is kept; it may be out of date."""
        page = self._pages.get((owner_id, conversation_id))
        return page if page is not None and page.limit == limit else None

    def keep(self, owner_id: ObjectId, conversation_id: ObjectId, page: RenderedPage) -> None:
        """Keep a page in place of another one of the same conversation."""
        if len(page.json) <= MOST_BYTES:
            self._pages[owner_id, conversation_id] = page

    def forget(self, owner_id: ObjectId, conversation_id: ObjectId) -> None:
        """Forget the page of a conversation that has changed."""
        self._pages.pop((owner_id, conversation_id), None)

    def forget_owner(self, owner_id: ObjectId) -> None:
        """Forget all of an owner's pages."""
        for key in [key for key in self._pages if key[0] == owner_id]:
            del self._pages[key]
