"""Read source files and members of ZIP and gzip archives, with limits against bombs."""

import contextlib
import io
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from chatvault.importing.conversations import ImportRejected, Skipped, one_line
from chatvault.importing.files.cutzip import found_files
from chatvault.importing.files.gunzip import MAGIC as GZIP
from chatvault.importing.files.gunzip import Gunzipped
from chatvault.importing.files.streams import NotJsonError, Stream

MAX_ENTRIES: Final = 200_000
# The central directory of an archive is held in memory as a whole.
MAX_DIRECTORY: Final = 16 * 1024 * 1024
MAX_UNPACKED: Final = 64 * 1024**3
# Text compresses about ten times; five hundred times means a ZIP bomb.
MAX_RATIO: Final = 500
_RATIO_FROM: Final = 64 * 1024 * 1024
_NESTED: Final = 3
# The end record of a ZIP with the longest comment, after two records of ZIP64.
_LONGEST_END: Final = 22 + 65_535 + 20 + 56
_IN_ZIP64: Final = 0xFFFFFFFF
_UNKNOWN: Final = 2**63
_MAGIC: Final = b"PK\x03\x04"
_EMPTY: Final = b"PK\x05\x06"
_BLOCK: Final = 1024 * 1024
_SUFFIXES: Final = frozenset({"", ".json", ".jsonl", ".ndjson", ".html", ".htm", ".txt", ".gz"})
_DIGITS = re.compile(r"(\d+)")
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError,
           struct.error, ValueError)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to import, which can be opened more than once.

    Attributes:
        name: what to call it in an error; one line.
        open: gives its bytes, to be closed by the caller.
        size: its length in bytes.
    """

    name: str
    open: Callable[[], io.BufferedIOBase]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A plain file: the source itself, or one of its archive.

    Attributes:
        name: its path in the archive; empty for the source itself.
        stream: its bytes; readable until the next member is requested.
        beside: the names of all files of the archive.
    """

    name: str
    stream: Stream
    beside: Collection[str] = field(default=())


@dataclass(slots=True)
class Guard:
    """Limits how many bytes are unpacked from one source."""

    name: str
    most: int = MAX_UNPACKED
    unpacked: int = 0

    def count(self, size: int, unpacked: int, packed: int) -> None:
        """Add to the count of unpacked bytes.

        Raises:
            ImportRejected: The limit is exceeded.
        """
        self.unpacked += size
        if unpacked > _RATIO_FROM and unpacked > MAX_RATIO * max(packed, 1):
            raise ImportRejected(f"{self.name}: is packed so densely that it seems made to harm")
        if self.unpacked > self.most:
            raise ImportRejected(f"{self.name}: unpacks to more than {self.most / 1024**3:,.0f} GB")


class _Guarded:
    """The stream of a member: counts its bytes and raises only NotJsonError."""

    def __init__(self, stream: Stream, guard: Guard, *, name: str, packed: int) -> None:
        self._stream = stream
        self._guard = guard
        self._name = name
        self._packed = packed
        self._got = 0

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._stream.read(size)
        except NotJsonError:
            raise
        except DAMAGE as error:
            raise NotJsonError(f"{self._name}: {_damage_of(error)}", cut=True) from None
        self._got += len(data)
        self._guard.count(len(data), self._got, self._packed)
        return data


def source_of_path(path: Path) -> Source:
    """Return a file on disk as a source."""

    def reopen() -> io.BufferedIOBase:
        return cast("io.BufferedIOBase", path.open("rb"))

    return Source(name=one_line(path.name), open=reopen, size=path.stat().st_size)


def source_of_bytes(data: bytes, *, name: str) -> Source:
    """Return bytes as a source."""
    return Source(name=one_line(name), open=lambda: io.BytesIO(data), size=len(data))


def members(
    source: Source, *, salvage: bool = False, most: int = MAX_UNPACKED
) -> Iterator[Member | Skipped]:
    """Yield the files of a source that may hold conversations, those of an archive by name.

    Args:
        source: a plain file, one packed with gzip, or a ZIP, which may hold others.
        salvage: of a ZIP without its end, yield what can be found.
        most: how many bytes may be unpacked.

    Raises:
        ImportRejected: It is a ZIP that cannot be read, or that is made to harm.
    """
    guard = Guard(source.name, most)
    with source.open() as file:
        head = file.read(4)
        file.seek(0)
        if head in (_MAGIC, _EMPTY):
            yield from _unpacked(file, guard, "", salvage=salvage, depth=1)
        elif head.startswith(GZIP):
            unpacked = _Guarded(Gunzipped(file), guard, name=source.name, packed=source.size)
            yield Member(name="", stream=unpacked)
        else:
            yield Member(name="", stream=file)


def _unpacked(
    file: Any, guard: Guard, within: str, *, salvage: bool, depth: int
) -> Iterator[Member | Skipped]:
    if _directory_size(file) > MAX_DIRECTORY:
        raise ImportRejected(f"{guard.name}: holds more than {MAX_ENTRIES:,} files")
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGE:
        if not salvage:
            raise ImportRejected(
                f"{guard.name}: the ZIP has no end: it seems cut off, so download it again;"
                " --salvage imports what can be found in it"
            ) from None
        yield from _without_directory(file, guard, within)
        return
    with archive:
        infos = [each for each in archive.infolist() if not each.is_dir()]
        if len(infos) > MAX_ENTRIES:
            raise ImportRejected(f"{guard.name}: holds more than {MAX_ENTRIES:,} files")
        beside = frozenset(each.filename for each in infos)
        infos = [
            each
            for each in infos
            if not (_is_of_system(each.filename) or _is_attachment(each.filename, beside))
        ]
        for info in sorted(infos, key=lambda each: _natural(each.filename)):
            name = f"{within}{one_line(info.filename)}"
            if reason := _refusal(info):
                yield Skipped(place=name, reason=reason)
            elif _suffix(info.filename) == ".zip" and depth < _NESTED:
                yield from _nested(archive, info, guard, name, salvage=salvage, depth=depth)
            elif _suffix(info.filename) in _SUFFIXES:
                with _opened(archive, info, name) as stream:
                    packed = info.compress_size
                    guarded = _Guarded(stream, guard, name=name, packed=packed)
                    if _suffix(info.filename) == ".gz":
                        unpacked = Gunzipped(guarded, name)
                        guarded = _Guarded(unpacked, guard, name=name, packed=info.file_size)
                    yield Member(name=name, stream=guarded, beside=beside)


def _directory_size(file: Any) -> int:
    """Return the size of an archive's central directory as its end record gives it; 0 for none."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    end = file.read()
    at = end.rfind(_EMPTY)
    if at < 0 or len(end) < at + 22:
        return 0
    (listed,) = struct.unpack_from("<I", end, at + 12)
    if listed != _IN_ZIP64:
        return int(listed)
    at = end.rfind(b"PK\x06\x06")
    if at < 0 or len(end) < at + 48:
        return 0
    (listed,) = struct.unpack_from("<Q", end, at + 40)
    return int(listed)


@contextlib.contextmanager
def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Iterator[Stream]:
    try:
        stream = archive.open(info)
    except DAMAGE as error:
        raise NotJsonError(f"{name}: {_damage_of(error)}", cut=True) from None
    with stream:
        yield stream


def _nested(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    guard: Guard,
    name: str,
    *,
    salvage: bool,
    depth: int,
) -> Iterator[Member | Skipped]:
    """Unpack an archive within an archive into a temporary file, as ZIPs need a seekable file."""
    with _opened(archive, info, name) as packed, tempfile.TemporaryFile() as file:
        guarded = _Guarded(packed, guard, name=name, packed=info.compress_size)
        while block := guarded.read(_BLOCK):
            file.write(block)
        file.seek(0)
        yield from _unpacked(file, guard, f"{name}/", salvage=salvage, depth=depth + 1)


def _without_directory(file: Any, guard: Guard, within: str) -> Iterator[Member]:
    """Yield the files of a ZIP whose central directory is missing."""
    # The ratio is unknown here; the sum is not, and includes skipped files.
    for name, stream in found_files(file, lambda size: guard.count(size, size, _UNKNOWN)):
        if _suffix(name) in _SUFFIXES and not (_is_of_system(name) or _escapes(name)):
            yield Member(name=f"{within}{one_line(name)}", stream=stream)


def _refusal(info: zipfile.ZipInfo) -> str | None:
    if _escapes(info.filename):
        return "its name leads out of the archive"
    return "is encrypted" if info.flag_bits & 1 else None


def _damage_of(error: BaseException) -> str:
    if isinstance(error, NotImplementedError):
        return "is packed in a way that cannot be unpacked"
    return "is damaged in the ZIP"


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_of_system(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"


def _is_attachment(name: str, beside: Collection[str]) -> bool:
    """Return whether a file is one beside conversations of chatvault's own export."""
    return name.startswith("attachments/") and "export.json" in beside


def _escapes(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." in parts or name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":")


def _natural(name: str) -> tuple[Any, ...]:
    """Return a key by which `-9` comes before `-10`."""
    return tuple(
        (0, int(each), "") if each.isdecimal() else (1, 0, each) for each in _DIGITS.split(name)
    )
