"""Open an audit log: check its keys and read its newest block."""

from typing import Any

from chatvault.audit.keys import KeyRing, KeysMissing
from chatvault.audit.mark import HighWater
from chatvault.sealing.blocks import Block
from chatvault.sealing.gaps import is_cut


async def open_log(keys: KeyRing, high_water: HighWater) -> None:
    """Read the newest block, so that this process's entries name it.

    The note takes precedence over MongoDB if the two contradict each other.

    Raises:
        KeysMissing: the log was sealed with other keys.
        PyMongoError: the database cannot be read.
    """
    await refuse_lost_keys(keys)
    noted = high_water.read()
    if noted is not None:
        high_water.know(*noted)
    try:
        newest = await Block.find_header()
    except ValueError:
        return
    key = keys.find(newest.key_id) if newest else None
    if newest is None or key is None or not newest.is_signed_by(key.public):
        return
    if noted is None or not await is_cut(noted[0], newest):
        high_water.know(await Block.find_mark(newest))


async def refuse_lost_keys(keys: KeyRing) -> None:
    """Raise if none of the keys sealed the log, which then could not be verified.

    Raises:
        KeysMissing: none did; a key file that has just been created is removed again.
        PyMongoError: the database cannot be read.
    """
    sealed_by = [await _find_key_id(1), await _find_key_id(-1)]
    # An invalid key id was changed by somebody: verification reports that.
    if not all(isinstance(each, str) for each in sealed_by) or any(map(keys.find, sealed_by)):
        return
    newest = sealed_by[-1]
    if keys.path is None:
        how = "add the old keys to CHATVAULT_AUDIT_KEYS, behind the newest"
    elif keys.is_new:
        keys.path.unlink(missing_ok=True)
        how = f"{keys.path} is missing: put your copy of it back"
    else:
        how = f"add the old keys to {keys.path}, below the newest, from your copy of it"
    raise KeysMissing(
        f"The audit log was sealed with the key {newest}, which is not there; {how}. "
        "Without it nothing can be verified; only an empty CHATVAULT_MONGODB_DATABASE begins anew."
    )


async def _find_key_id(direction: int) -> Any:
    """Return the id of the key that signed the first block (1) or the last (-1)."""
    blocks = Block.get_pymongo_collection()
    found = await blocks.find_one({}, {"header.key_id": True}, sort=[("_id", direction)])
    header = found and found.get("header")
    return header.get("key_id") if isinstance(header, dict) else None
