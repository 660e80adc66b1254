"""The index of a user as it is stored: what is in it, and its files in parts."""

from datetime import datetime
from typing import Any, ClassVar, TypedDict

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel

from chatvault.content import Content, Erased
from chatvault.fields import Id
from chatvault.owned import Owned


class FileDoc(TypedDict):
    """A file of an index.

    Attributes:
        file: the id of its parts; another writing of the same name has another one.
        bytes: how many it has.
    """

    name: str
    file: ObjectId
    bytes: int


class SearchIndex(Owned, Document):
    """The index of one user's messages.

    Attributes:
        version: rises with every change; whoever changes another version than the newest fails.
        format: of words and fields; an index of another format is built again.
        files: never changed once stored.
        messages: how many it has.
        bytes: of all files.
        used_at: when it was last searched, to a day.
        purge_at: when it is to be removed, as it has words that are gone elsewhere.
    """

    user_id: Id
    version: int
    format: int
    files: list[dict[str, Any]]
    messages: int
    bytes: int
    used_at: datetime
    purge_at: datetime | None = None

    holds: ClassVar = Content(plain=("files",), backed_up=False)

    class Settings:
        """Beanie's."""

        name = "search_indexes"
        indexes: ClassVar = [
            IndexModel("user_id", unique=True, name="user_unique"),
            IndexModel("used_at"),
            IndexModel(
                "purge_at",
                partialFilterExpression={"purge_at": {"$type": "date"}},
                name="to_purge",
            ),
        ]


class SearchFile(Owned, Document):
    """A part of a file of an index.

    Attributes:
        file: the id of the file.
        no: how many parts are before it.
        data: the bytes, at most 4 MB.
    """

    user_id: Id
    file: Id
    no: int
    data: Any

    holds: ClassVar = Content(
        words=("data",), bound_to=("file", "no"), erased=Erased.WITH_OWNER, backed_up=False
    )

    class Settings:
        """Beanie's."""

        name = "search_files"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("file", 1), ("no", 1)], unique=True, name="part_unique")
        ]


class SearchPending(Owned, Document):
    """A file that is not in an index yet, or no longer, to be deleted by the garbage collection.

    It is written before the first part, and removed by the transaction that puts the file into an
    index, so that a crash in between leaves nothing behind.

    Attributes:
        file: the id of the file.
        due_at: when it is deleted; until then a process may still be reading it.
        swept: whether the deletion has begun, so that it is too late to put it into an index.
    """

    user_id: Id
    file: Id
    due_at: datetime
    swept: bool = False

    holds: ClassVar = Content(backed_up=False)

    class Settings:
        """Beanie's."""

        name = "search_pending"
        indexes: ClassVar = [
            IndexModel("due_at"),
            IndexModel([("user_id", 1), ("file", 1)], name="file"),
        ]
