"""Note the keys and the newest block of the audit log while its blocks are backed up."""

from bson.raw_bson import RawBSONDocument

from chatvault.audit.keys import KeyRing
from chatvault.audit.models import AuditEntry
from chatvault.backup.format import split
from chatvault.fields import Raw
from chatvault.sealing.blocks import Header, header_of
from chatvault.sealing.proofs import Checkpoint


class LogFacts:
    """The keys that sealed the log, and its newest block.

    Args:
        keys: ours; the newest of them counts as one that seals.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._newest: Header | None = None
        self.key_ids = {keys.current.id}

    def see(self, blocks: bytes) -> None:
        """Note the blocks of a batch; one that cannot be read is left to the verification."""
        for raw in split(blocks):
            try:
                header = header_of(RawBSONDocument(raw, AuditEntry.RAW))
            except ValueError:
                continue
            self.key_ids.add(header.key_id)
            if self._newest is None or header.height > self._newest.height:
                self._newest = header

    def checkpoint(self) -> Raw | None:
        """Return the checkpoint of the newest block; None without one that we can sign for."""
        key = None if self._newest is None else self._keys.find(self._newest.key_id)
        if key is None or self._newest is None:
            return None
        return Checkpoint.of(self._newest, key.public).model_dump()
