"""Read the bytes of a file as text; the error where the text ends too early."""

import codecs
from collections.abc import Iterator
from typing import Final, Protocol

BLOCK: Final = 1024 * 1024


class Stream(Protocol):
    """A stream of a file's bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most that many bytes; none at the end."""


class NotJsonError(ValueError):
    """The text is not JSON from some place on.

    Attributes:
        reason: one line with the line and column.
        cut: whether the text seems to be cut off rather than malformed.
        place: the element of a list that it is in, if known.
    """

    def __init__(self, reason: str, *, cut: bool = False) -> None:
        self.reason = reason
        self.cut = cut
        self.place = ""
        super().__init__(reason)


def read_text(stream: Stream, *, block: int = BLOCK) -> Iterator[str]:
    """Yield the text of a stream in blocks: UTF-8, or UTF-16 with a byte order mark.

    A character that is cut off at the end becomes U+FFFD. The text before a byte that
    cannot be decoded is yielded before the error is raised.

    Raises:
        NotJsonError: The bytes are neither UTF-8 nor UTF-16.
    """
    # Browsers keep lone surrogates, and some tools write them as they are.
    decoder: codecs.IncrementalDecoder | None = None
    done = 0
    while data := stream.read(block):
        if decoder is None:
            is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8-sig")(
                "surrogatepass"
            )
        waiting = len(decoder.getstate()[0])
        try:
            yield decoder.decode(data)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode(error.encoding, "ignore")
            at = done - waiting + error.start + 1
            raise NotJsonError(
                f"neither UTF-8 nor UTF-16 with a byte order mark (byte {at:,})"
            ) from None
        done += len(data)
    if decoder is not None and decoder.getstate()[0]:
        yield "�"
