"""Creating the message store of a process, with the codec that the settings ask for."""

from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.recorder import Recorder
from chatvault.conversations.codec import ContentCodec, Damage, PlainCodec
from chatvault.conversations.sealed import SealedCodec
from chatvault.conversations.store import MessageStore
from chatvault.settings import Sealing, Settings
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.masters import load_master_keys

UNREADABLE = "content_unreadable"


def load_codec(settings: Settings) -> ContentCodec:
    """Return the codec that seals with the master keys of the settings, or the plain one.

    Raises:
        InvalidSettings: the master keys are wrong, or a package that sealing needs is missing.
    """
    masters = load_master_keys(settings)
    if masters is None:
        return PlainCodec()
    return SealedCodec(DataKeys(masters), seals=settings.sealing is Sealing.ON)


def load_store(settings: Settings, recorder: Recorder) -> MessageStore:
    """Return a message store that records in the audit log what does not open.

    Raises:
        InvalidSettings: the master keys are wrong, or a package that sealing needs is missing.
    """

    async def record(damage: list[Damage]) -> None:
        for each in damage:
            entry = audit.entry(
                Actor(door=Door.BACKGROUND, user_id=each.user_id),
                Action.VAULT_DAMAGE,
                each.document_id,
                outcome=Outcome.FAILED,
                code=UNREADABLE,
                details={"collection": each.collection},
            )
            await recorder.record(entry)

    return MessageStore(load_codec(settings), record)
