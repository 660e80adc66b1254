"""Store the files that come with imported conversations."""

import asyncio
import base64
import binascii
import contextlib
import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from beanie import Document
from bson import ObjectId
from pymongo import UpdateOne

from chatvault.access import Access
from chatvault.attachments.files import AttachmentLimitReached, FileStore
from chatvault.attachments.models import Attachment as StoredAttachment
from chatvault.errors import TooLarge
from chatvault.fields import Raw
from chatvault.importing.files.containers import DAMAGE
from chatvault.importing.neutral import Attachment, NeutralConversation

WITHOUT: Final = "contents of files"
TOO_LARGE: Final = "contents of files that are too large"
FULL: Final = "contents of files beyond what your attachments may have together"
DAMAGED: Final = "contents of files that are damaged"


@dataclass(slots=True)
class Attached:
    """The attachments of one conversation, ready to be stored.

    Attributes:
        documents: the document of each, without the conversation's id.
        left_out: the number of contents that are not stored, by reason.
    """

    documents: list[Raw] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def writes(
        self, access: Access, conversation_id: ObjectId
    ) -> list[tuple[type[Document], UpdateOne]]:
        """Return the statements that store them.

        A stored attachment keeps its bytes if this import has none of it.
        """
        found: list[tuple[type[Document], UpdateOne]] = []
        for document in self.documents:
            which = StoredAttachment.owned_by(
                access,
                conversation_id=conversation_id,
                attachment_id=document["attachment_id"],
            )
            change = {"$set" if "file" in document else "$setOnInsert": document}
            found.append((StoredAttachment, UpdateOne(which, change, upsert=True)))
        return found


class Contents:
    """Reads the bytes of an import's files and stores them, one file at a time.

    Args:
        files: stores the bytes; None leaves them out.
    """

    def __init__(self, files: FileStore | None) -> None:
        self._files = files
        # One at a time, as a file is held in memory while it is stored.
        self._turn = asyncio.Lock()
        self._archives: dict[Callable[[], io.BufferedIOBase], zipfile.ZipFile] = {}
        self._stack = contextlib.ExitStack()
        self._left_out: Counter[str] = Counter()

    def close(self) -> None:
        """Close the archives that were read from."""
        self._stack.close()

    def note(self, attached: Attached) -> None:
        """Count the files of a stored conversation that are left out."""
        self._left_out += attached.left_out

    def take_left_out(self) -> Counter[str]:
        """Return the number of files left out since the last call, by reason."""
        taken, self._left_out = self._left_out, Counter()
        return taken

    async def store(self, access: Access, conversation: NeutralConversation) -> Attached:
        """Store the bytes of a conversation's files; return their documents."""
        attached = Attached()
        for each in conversation.attachments:
            document: Raw = {
                "attachment_id": each.id,
                "name": each.name,
                "mime": each.mime,
                "size": each.size,
                "source_ref": each.source_ref,
                "state": "absent" if each.state == "present" else each.state,
                "created_at": each.created_at or conversation.created_at,
            }
            if each.state == "present":
                async with self._turn:
                    reason = await self._put(access, each, document)
                if reason is not None:
                    attached.left_out[reason] += 1
            attached.documents.append(document)
        return attached

    async def _put(self, access: Access, found: Attachment, document: Raw) -> str | None:
        """Store the bytes of a file and note them; return the reason if they are left out."""
        if self._files is None:
            return WITHOUT
        try:
            data = await asyncio.to_thread(self._read, found, self._files.max_size)
            if data is None:
                return WITHOUT
            file = await self._files.keep(access, data)
        except TooLarge:
            return TOO_LARGE
        except AttachmentLimitReached:
            return FULL
        except (*DAMAGE, binascii.Error, KeyError):
            return DAMAGED
        document |= {"state": "present", "size": len(data), "file": file}
        return None

    def _read(self, found: Attachment, most: int) -> bytes | None:
        """Return a file's bytes, at most one more than the limit; None if the file is missing."""
        if found.content is not None:
            return found.content
        if found.data is not None:
            return base64.b64decode(found.data)
        if found.member is None or found.archive is None:
            return None
        with self._archive(found.archive).open(found.member) as stream:
            return stream.read(most + 1)

    def _archive(self, reopen: Callable[[], io.BufferedIOBase]) -> zipfile.ZipFile:
        known = self._archives.get(reopen)
        if known is None:
            file = self._stack.enter_context(reopen())
            known = self._stack.enter_context(zipfile.ZipFile(file))
            self._archives[reopen] = known
        return known
