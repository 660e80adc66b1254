"""The interface of an export format: a writer that turns pieces into bytes."""

from abc import ABC, abstractmethod
from typing import ClassVar

from chatvault.exporting.records import (
    About,
    Completeness,
    Counts,
    ExportedConversation,
    ExportedMessage,
    Piece,
)


class Writer(ABC):
    """Writes one file of a format; keeps state between calls.

    Attributes:
        media_type: the media type of the file.
        suffix: the suffix of the file's name, with its dot.
        has_branches: whether a file holds the messages of all branches.
        is_document: whether a file holds one conversation, so that several come in a ZIP.
    """

    media_type: ClassVar[str]
    suffix: ClassVar[str]
    is_document: ClassVar[bool] = False
    has_branches: ClassVar[bool] = False

    def write_head(self, about: About) -> bytes:  # noqa: ARG002  # unused in formats without metadata
        """Return the beginning of the file, before the first conversation."""
        return b""

    def write(self, piece: Piece) -> bytes:
        """Return the bytes of a piece."""
        parts = [self.begin(piece.conversation)] if piece.is_first else []
        parts += [self.message(each) for each in piece.messages]
        if piece.end is not None:
            parts.append(self.end(piece.end))
        return b"".join(parts)

    def write_tail(self, counts: Counts) -> bytes:  # noqa: ARG002  # the same
        """Return the end of the file, after the last conversation."""
        return b""

    @abstractmethod
    def begin(self, conversation: ExportedConversation) -> bytes:
        """Return the beginning of a conversation, before its messages."""

    @abstractmethod
    def message(self, message: ExportedMessage) -> bytes:
        """Return one message."""

    @abstractmethod
    def end(self, completeness: Completeness) -> bytes:
        """Return the end of a conversation, after its messages."""
