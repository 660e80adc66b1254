"""The high-water mark: the newest block seen, stored in every entry and outside MongoDB."""

import asyncio
import hmac
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import bson
import orjson
import structlog
from bson.binary import Binary
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from chatvault.audit.keys import BODY_END, KeyRing
from chatvault.durable import flush_directory
from chatvault.encoding import to_json
from chatvault.fields import now
from chatvault.settings import Settings

FIELD = "newest_block"
_START = b"\x03" + FIELD.encode() + b"\x00"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mark:
    """A block of the chain.

    Attributes:
        height: the block's; -1 before the first.
        hash: of its signed header, which covers all blocks before it; zeros before the first.
        count: how many entries are sealed up to and with it.
    """

    height: int
    hash: bytes
    count: int

    def encode(self) -> bytes:
        """Return the BSON that entries contain; its length is constant."""
        fields = {"height": Int64(self.height), "hash": Binary(self.hash)}
        return bson.encode({**fields, "count": Int64(self.count)})

    @classmethod
    def parse(cls, claim: bytes) -> Self:
        """Return the mark in the bytes that `claim_of` returns."""
        return cls(**bson.decode(claim[len(_START) :]))


NOTHING = Mark(-1, bytes(32), 0)
_LENGTH = len(_START) + len(NOTHING.encode())


def claim_of(raw: bytes) -> bytes:
    """Return the stored mark of a genuine entry; empty if it has none.

    Entries of the versions before marks have none.
    """
    claim = raw[BODY_END - _LENGTH : BODY_END]
    return claim if claim.startswith(_START) else b""


class HighWater:
    """The newest block that this process knows of, and the note of it outside MongoDB.

    An attacker who can only write to MongoDB can cut the log, but can change neither the note nor
    the marks in entries. Processes on one machine share the note; it may stay some blocks behind,
    never ahead.

    Args:
        keys: make the note's MAC.
        path: the note; None keeps none.

    Attributes:
        newest: the mark that new entries contain.
        noted_at: the time since when it is the newest.
        problem: a short reason why the note cannot be read or written; None if it can.
    """

    def __init__(self, keys: KeyRing, path: Path | None = None) -> None:
        self._keys = keys
        self.path = path
        self.problem: str | None = None
        self._written: Mark | None = None
        self._turn = asyncio.Lock()
        self.know(NOTHING)

    @classmethod
    def of(cls, settings: Settings, keys: KeyRing) -> Self:
        """Return the high-water mark of the settings' database, with its note."""
        directory = settings.audit_mark_dir or settings.data_dir
        return cls(keys, directory / f"audit.{settings.mongodb_database}.mark")

    def know(self, mark: Mark, at: datetime | None = None) -> None:
        """Write this mark into entries from now on."""
        self.newest = mark
        self.noted_at = at or now()
        self.document = RawBSONDocument(mark.encode())

    async def note(self, mark: Mark) -> None:
        """Write this mark into entries, and note it, whatever was noted before.

        A note that cannot be written is only logged, once.
        """
        self.know(mark)
        await self._write(mark, may_lower=True)

    async def note_higher(self, mark: Mark) -> None:
        """Write this mark into entries, and note it unless a newer block is already noted."""
        self.know(mark)
        await self._write(mark, may_lower=False)

    def read(self) -> tuple[Mark, datetime] | None:
        """Return the noted mark and its time; None without a note that can be trusted."""
        if self.path is None:
            return None
        try:
            found = orjson.loads(self.path.read_bytes())
            mark = Mark(int(found["height"]), bytes.fromhex(found["hash"]), int(found["count"]))
            key = self._keys.find(str(found["key_id"]))
            message = self._message(mark, found["noted_at"])
            is_ours = key and hmac.compare_digest(key.mac(message).hex(), str(found["mac"]))
            at = datetime.fromisoformat(found["noted_at"])
        except FileNotFoundError:
            self.problem = "nothing is noted yet"
            return None
        except OSError as error:
            self.problem = error.strerror or str(error)
            return None
        except (ValueError, TypeError, KeyError):
            is_ours = False
        if not is_ours:
            self.problem = "what is noted was not noted by our keys, or is damaged"
            return None
        self.problem = None
        return mark, at

    def _message(self, mark: Mark, noted_at: str) -> bytes:
        name = self.path.name if self.path else ""
        told = f"{name} {mark.height} {mark.hash.hex()} {mark.count} {noted_at}"
        return f"chatvault audit mark {told}".encode()

    async def _write(self, mark: Mark, *, may_lower: bool) -> None:
        if self.path is None or mark == self._written:
            return
        async with self._turn:
            try:
                # Flushing the disk takes time.
                await asyncio.to_thread(self._replace, self.path, mark, may_lower=may_lower)
            except OSError as error:
                self._written = None
                if self.problem != error.strerror:
                    self.problem = error.strerror
                    log.warning(
                        "audit_mark_not_kept",
                        directory=str(self.path.parent),
                        error=error.strerror,
                        setting="CHATVAULT_AUDIT_MARK_DIR",
                    )
            else:
                self._written = mark
                self.problem = None

    def _replace(self, path: Path, mark: Mark, *, may_lower: bool) -> None:
        if not may_lower and (found := self.read()) and found[0].height >= mark.height:
            return
        noted_at = now().isoformat()
        note: dict[str, Any] = {
            "height": mark.height,
            "hash": mark.hash.hex(),
            "count": mark.count,
            "noted_at": noted_at,
            "key_id": self._keys.current.id,
            "mac": self._keys.current.mac(self._message(mark, noted_at)).hex(),
        }
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, working = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(to_json(note) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(working).replace(path)
        finally:
            Path(working).unlink(missing_ok=True)
        flush_directory(path.parent)
