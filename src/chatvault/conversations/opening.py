"""Creating the message store of a process, with the codec that its vault asks for."""

from chatvault.audit.recorder import Recorder
from chatvault.conversations.sealed import SealedCodec
from chatvault.conversations.store import MessageStore
from chatvault.settings import Settings
from chatvault.vault.collections import Vault
from chatvault.vault.opening import load_vault, recording


def store_with(vault: Vault | None, recorder: Recorder) -> MessageStore:
    """Return a message store that seals with a vault; one that stores readably without one."""
    if vault is None:
        return MessageStore(on_damage=recording(recorder))
    codec = SealedCodec(vault.keys, seals=vault.seals, damage=vault.damage)
    return MessageStore(codec, vault.on_damage)


def load_store(settings: Settings, recorder: Recorder) -> MessageStore:
    """Return a message store that records in the audit log what does not open.

    Raises:
        InvalidSettings: the master keys are wrong, or a package that sealing needs is missing.
    """
    return store_with(load_vault(settings, recorder), recorder)
