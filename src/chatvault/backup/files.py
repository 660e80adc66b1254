"""Write and read the files of a backup: what it is of, the documents, and their counts."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

import bson

from chatvault.audit.keys import KeyRing
from chatvault.audit.models import AWARE
from chatvault.backup.errors import BackupNotWritten
from chatvault.backup.format import FrameReader, FrameWriter, Kind, split
from chatvault.durable import flush_directory
from chatvault.fields import Raw

T = TypeVar("T", "BackupHeader", "BackupEnd")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupHeader:
    """The origin of a file: which backup, when, of which database.

    Attributes:
        id: of the backup; both of its files have it.
        made_at: the time of its moment.
        version: of the chatvault that wrote it.
        mongodb: the version of MongoDB.
        database: its name.
        has_keys: whether this is the second file, with the collections that are kept apart.
        apart: the collections that are in the second file; none without one.
    """

    id: str
    made_at: datetime
    version: str
    mongodb: str
    database: str
    has_keys: bool = False
    apart: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BackupEnd:
    """The counts of a file, and facts of the audit log in it.

    Attributes:
        counts: how many documents each collection has.
        audit_keys: the ids of the keys that the audit log was sealed with.
        checkpoint: the newest block of the audit log, as `Checkpoint` has it; None without one.
    """

    counts: dict[str, int] = field(default_factory=dict)
    audit_keys: list[str] = field(default_factory=list)
    checkpoint: Raw | None = None

    @property
    def documents(self) -> int:
        """The number of documents."""
        return sum(self.counts.values())


class BackupWriter:
    """Writes one file of a backup.

    Args:
        file: written from its beginning.
        header: what it is of.
    """

    def __init__(self, file: BinaryIO, header: BackupHeader) -> None:
        self._frames = FrameWriter(file)
        self._frames.write(Kind.HEADER, _encode(header))
        self._collection = ""
        self.end = BackupEnd()
        self.size = 0

    def begin(self, collection: str) -> None:
        """Begin a collection.

        Raises:
            OSError: the file cannot be written.
        """
        self._collection = collection
        self.end.counts[collection] = 0
        self._frames.write(Kind.COLLECTION, bson.encode({"name": collection}))

    def add(self, documents: bytes) -> None:
        """Write documents of the collection, in BSON.

        Raises:
            OSError: the file cannot be written.
        """
        self.end.counts[self._collection] += sum(1 for _ in split(documents))
        self.size += len(documents)
        self._frames.write(Kind.DOCUMENTS, documents)

    def finish(self, keys: KeyRing) -> None:
        """Write the end and the seal.

        Raises:
            OSError: the file cannot be written.
        """
        self._frames.write(Kind.END, _encode(self.end))
        self._frames.seal(keys)


class BackupReader:
    """Reads one file of a backup, and checks every byte of it.

    Args:
        file: read from its beginning.
        path: names it in errors.
        count: called with how many more bytes were read.

    Attributes:
        header: what it is a backup of.
        end: known once all batches are read.

    Raises:
        NotABackup: the file is none, or one of a newer version.
        BackupDamaged: its beginning was changed.
    """

    def __init__(
        self, file: BinaryIO, path: Path, count: Callable[[int], None] = lambda _: None
    ) -> None:
        self._reader = FrameReader(file, str(path), count)
        self._frames = self._reader.frames()
        self.header = self._parse(BackupHeader, self._next(Kind.HEADER))
        self.end = BackupEnd()
        self._seal: Raw = {}

    @classmethod
    @contextmanager
    def open(cls, path: Path, count: Callable[[int], None] = lambda _: None) -> Iterator[Self]:
        """Open a file for reading.

        Raises:
            NotABackup: as above.
            BackupDamaged: as above.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            yield cls(file, path, count)

    def batches(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield each collection with some documents, or with none where it begins.

        Raises:
            BackupDamaged: the file was cut or changed, or has other counts than it says.
            OSError: it cannot be read.
        """
        counts: dict[str, int] = {}
        name = ""
        for kind, payload in self._frames:
            if kind is Kind.COLLECTION:
                name = str(bson.decode(payload)["name"])
                counts[name] = 0
                yield name, []
            elif kind is Kind.DOCUMENTS and name:
                documents = self._split(payload)
                counts[name] += len(documents)
                yield name, documents
            elif kind is Kind.END:
                self.end = self._parse(BackupEnd, payload)
                self._seal = bson.decode(self._next(Kind.SEAL))
                break
            else:
                raise self._reader.damaged("a part is out of place")
        if next(self._frames, None) is not None or counts != self.end.counts:
            raise self._reader.damaged("the counts differ")

    def is_sealed_by(self, keys: KeyRing) -> bool | None:
        """Return whether one of our audit keys sealed the file; None without its key.

        Call it after the last batch.
        """
        return self._reader.is_sealed_by(keys, self._seal)

    @property
    def key_id(self) -> str:
        """The id of the audit key that sealed the file; known after the last batch."""
        return str(self._seal["key_id"])

    def _next(self, kind: Kind) -> bytes:
        found, payload = next(self._frames, (None, b""))
        if found is not kind:
            raise self._reader.damaged("a part is out of place")
        return payload

    def _split(self, payload: bytes) -> list[bytes]:
        try:
            return list(split(payload))
        except ValueError:
            raise self._reader.damaged("it has no BSON") from None

    @staticmethod
    def _parse(kind: type[T], payload: bytes) -> T:
        """Return the record; fields of later versions of this format are ignored."""
        found = bson.decode(payload, AWARE)
        return kind(**{each.name: found[each.name] for each in fields(kind) if each.name in found})


def _encode(record: BackupHeader | BackupEnd) -> bytes:
    return bson.encode({each.name: getattr(record, each.name) for each in fields(record)})


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Create a file that has its name only once it is whole and on the disk.

    Only its owner can read it. If the context fails, nothing of it remains.

    Raises:
        BackupNotWritten: there is a file of this name, or the disk is full or not writable.
    """
    if path.exists():
        raise BackupNotWritten(f"{path} is there already; choose another name, or remove it")
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        working = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            working.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                working.unlink()
        flush_directory(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackupNotWritten(f"{path} cannot be written: {reason}; nothing was kept") from error
