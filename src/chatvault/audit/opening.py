"""What is checked when a process comes to an audit log."""

from typing import Any

from chatvault.audit.blocks import Block
from chatvault.audit.keys import KeyRing, KeysMissing


async def refuse_lost_keys(keys: KeyRing) -> None:
    """Refuse to go on with keys of which none sealed the log: nothing of it could be verified.

    Raises:
        KeysMissing: so it is; a file of keys that was made just now is removed again.
        PyMongoError: the database cannot be read.
    """
    sealed_by = [await _find_key_id(1), await _find_key_id(-1)]
    # What is no id of a key was changed by somebody: verification tells that.
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
    """The id of the key that signed the first block (1) or the last (-1)."""
    blocks = Block.get_pymongo_collection()
    found = await blocks.find_one({}, {"header.key_id": True}, sort=[("_id", direction)])
    header = found and found.get("header")
    return header.get("key_id") if isinstance(header, dict) else None
