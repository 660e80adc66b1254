"""The data keys of users: read, unwrapped, created, and kept in memory for a minute."""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from bson import ObjectId
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pymongo.errors import DuplicateKeyError

from chatvault.errors import Unavailable
from chatvault.fields import Raw, now
from chatvault.vault.envelope import (
    COMPRESSED,
    HEAD_BYTES,
    NONCE_BYTES,
    Compressor,
    DataKey,
    UnknownEpoch,
    Unreadable,
    epoch_of,
)
from chatvault.vault.masters import MasterKeys
from chatvault.vault.models import UserKey
from chatvault.vault.opened import Name, OpenedValues

# Keys are read again after this time, and gone from memory soon after the second.
FRESH_SECONDS: Final = 60.0
HELD_SECONDS: Final = 180.0
MOST_USERS: Final = 10_000
# A key seals for this long. 2^31 seals in that time would need 828 a second.
NONCE_END: Final = HEAD_BYTES + NONCE_BYTES
Opener = Callable[[bytes, bytes], bytes]
SETTING: Final = "CHATVAULT_MASTER_KEYS"
EPOCH: Final = timedelta(days=30)
log = structlog.get_logger()


class KeysUnavailable(Unavailable):
    """The data keys of this account cannot be opened now; nothing was done."""

    code = "keys_unavailable"


@dataclass(slots=True)
class UserKeys:
    """The data keys of one user, by epoch.

    Attributes:
        newest: the key that seals; None if there is none yet.
        newest_at: when it was created.
        ciphers: those of keys, by the beginning of the values that they open.
        broken: epochs whose stored key cannot be unwrapped.
        read_at: when they were read, by the monotonic clock.
    """

    user_id: ObjectId
    read_at: float
    by_epoch: dict[int, DataKey] = field(default_factory=dict)
    newest: DataKey | None = None
    newest_at: datetime | None = None
    ciphers: dict[bytes, AESGCM] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)

    @property
    def may_seal(self) -> bool:
        """Whether there is a key that is young enough to seal."""
        return (
            self.newest is not None
            and self.newest_at is not None
            and now() - self.newest_at < EPOCH
        )


class DataKeys:
    """Holds users' data keys in memory, and reads and creates them.

    Encoding and decoding do not wait: the keys of a read or a change are fetched beside its first
    query, and held until it is done.

    Args:
        masters: wrap and unwrap the data keys.
        clock: returns seconds, monotonic.

    Attributes:
        opened: values that were opened lately, as long as their user's keys are in memory.
    """

    def __init__(self, masters: MasterKeys, clock: Callable[[], float] = time.monotonic) -> None:
        self.masters = masters
        self.compressor = Compressor()
        self.opened = OpenedValues()
        self._clock = clock
        self._held: dict[ObjectId, UserKeys] = {}

    def missing(self, user_ids: Iterable[ObjectId], *, to_seal: bool = False) -> list[ObjectId]:
        """Return those users whose keys must be fetched before they are used."""
        limit = self._clock() - FRESH_SECONDS
        return [
            each
            for each in user_ids
            if (keys := self._held.get(each)) is None
            or keys.read_at < limit
            or (to_seal and not keys.may_seal)
        ]

    async def fetch(self, user_ids: Collection[ObjectId], *, to_seal: bool = False) -> None:
        """Read the keys of these users; with `to_seal`, create one for each that needs a new one.

        Raises:
            KeysUnavailable: a key was wrapped with a master key that this process does not have.
        """
        await self._read(user_ids)
        lacking = [each for each in user_ids if not self._held[each].may_seal] if to_seal else []
        if lacking:
            for user_id in lacking:
                await self._create(self._held[user_id])
            await self._read(lacking)

    def drop(self, user_id: ObjectId) -> None:
        """Remove a user's keys from memory, and what was opened with them."""
        self._held.pop(user_id, None)
        self.opened.drop(user_id)

    def seal(self, user_id: ObjectId, data: bytes, place: bytes) -> bytes:
        """Return the data sealed with the user's newest key, for one place."""
        newest = self._keys_of(user_id).newest
        if newest is None:
            raise KeysUnavailable(retry_after=1)
        return newest.seal(data, place, self.compressor)

    def opener(self, user_id: ObjectId, *, final: bool) -> Opener:
        """Return a function that opens what is sealed with one user's keys.

        It takes the stored bytes and their place. It raises UnknownEpoch if there was no such key
        when the keys were read, and Unreadable if the bytes do not open.

        Args:
            user_id: whose keys.
            final: whether the keys were read after the sealed bytes.
        """
        keys, decompress = self._keys_of(user_id), self.compressor.decompress
        known = keys.ciphers

        def open_sealed(sealed: bytes, place: bytes) -> bytes:
            head = sealed[:HEAD_BYTES]
            cipher = known.get(head) or _find_cipher(keys, sealed, final=final)
            try:
                data = cipher.decrypt(
                    sealed[HEAD_BYTES:NONCE_END], sealed[NONCE_END:], head + place
                )
            except (InvalidTag, ValueError) as error:
                raise Unreadable from error
            return decompress(data) if head[0] == COMPRESSED else data

        return open_sealed

    def open_together(
        self,
        user_id: ObjectId,
        place: bytes,
        values: tuple[Sequence[Name], list[bytes]],
        ending: Callable[[Any], bytes],
        *,
        final: bool,
    ) -> Sequence[bytes | None]:
        """Return what values of one document were opened to, None for each that does not open.

        They are kept in memory, and found there by one look-up.

        Args:
            user_id: whose keys.
            place: the beginning of each value's place.
            values: their names, which may change with the document, and the sealed bytes.
            ending: returns the end of a value's place, by its name.
            final: whether the keys were read after the sealed bytes.

        Raises:
            UnknownEpoch: there was no such key when the keys were read.
        """
        kept = self.opened.find(user_id, place)
        if kept is not None and (found := kept.all_of(*values)) is not None:
            return found
        open_sealed = self.opener(user_id, final=final)
        opened: list[bytes | None] = []
        new: dict[Name, tuple[bytes, bytes]] = {}
        for name, sealed in zip(*values, strict=True):
            value = None if kept is None else kept.find(name, sealed)
            if value is None:
                with suppress(Unreadable):
                    value = open_sealed(sealed, place + ending(name))
                    new[name] = sealed, value
            opened.append(value)
        if new:
            self.opened.keep(user_id, place, new)
        return opened

    def _keys_of(self, user_id: ObjectId) -> UserKeys:
        keys = self._held.get(user_id)
        if keys is None:
            raise KeysUnavailable(retry_after=1)
        return keys

    async def _read(self, user_ids: Collection[ObjectId]) -> None:
        read_at = self._clock()
        found = UserKey.get_pymongo_collection().find({"user_id": {"$in": [*user_ids]}})
        read = {each: UserKeys(each, read_at) for each in user_ids}
        for stored in await found.sort([("user_id", 1), ("epoch", 1)]).to_list():
            self._take(read[stored["user_id"]], stored)
        self._drop_old(read_at - HELD_SECONDS)
        for user_id, keys in read.items():
            # At the end, so that those read first come first.
            before = self._held.pop(user_id, None)
            if before is not None and not before.by_epoch.keys() <= keys.by_epoch.keys():
                self.opened.drop(user_id)
            self._held[user_id] = keys

    def _take(self, keys: UserKeys, stored: Raw) -> None:
        epoch = stored["epoch"]
        if stored["wrapped"] is None:
            keys.broken.add(epoch)
            return
        master = self.masters.find(stored["key_id"])
        if master is None and stored.get("retired_at"):
            keys.broken.add(epoch)
            return
        if master is None:
            log.error(
                "master_key_missing", key_id=stored["key_id"], setting="CHATVAULT_MASTER_KEYS"
            )
            raise KeysUnavailable(retry_after=60)
        root = master.unwrap(bytes(stored["wrapped"]), keys.user_id, epoch)
        if root is None:
            log.error("data_key_unreadable", user_id=str(keys.user_id), epoch=epoch)
            keys.broken.add(epoch)
            return
        keys.by_epoch[epoch] = key = DataKey(root, epoch)
        if not stored.get("retired_at"):
            keys.newest, keys.newest_at = key, stored["created_at"]

    async def _create(self, keys: UserKeys) -> None:
        """Store a new key; another process may be faster, and then its key counts."""
        epoch = max([*keys.by_epoch, *keys.broken], default=0) + 1
        root, master = secrets.token_bytes(32), self.masters.newest
        made: Raw = {
            "user_id": keys.user_id,
            "epoch": epoch,
            "key_id": master.id,
            "wrapped": master.wrap(root, keys.user_id, epoch),
            "created_at": now(),
            "retired_at": None,
            "destroyed_at": None,
        }
        try:
            await UserKey.get_pymongo_collection().insert_one(made)
        except DuplicateKeyError:
            log.info("data_key_made_elsewhere", epoch=epoch)

    def _drop_old(self, limit: float) -> None:
        """Drop the keys that were read before a time, and the oldest if there are too many."""
        too_many = max(0, len(self._held) - MOST_USERS)
        for user_id, keys in [*self._held.items()]:
            if keys.read_at >= limit and too_many <= 0:
                break
            self.drop(user_id)
            too_many -= 1


def _find_cipher(keys: UserKeys, sealed: bytes, *, final: bool) -> AESGCM:
    """Return the cipher of a sealed value that is opened for the first time with these keys."""
    epoch = epoch_of(sealed)
    key = keys.by_epoch.get(epoch)
    if key is None:
        if final or epoch in keys.broken:
            raise Unreadable
        raise UnknownEpoch(keys.user_id)
    keys.ciphers[sealed[:HEAD_BYTES]] = key.content
    return key.content
