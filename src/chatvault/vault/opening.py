"""Creating the vault of a process, with the master keys of the settings."""

from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.recorder import Recorder
from chatvault.settings import Settings, Switch
from chatvault.vault.collections import Vault
from chatvault.vault.damage import Damage, OnDamage
from chatvault.vault.data_keys import DataKeys
from chatvault.vault.masters import load_master_keys

UNREADABLE = "content_unreadable"


def recording(recorder: Recorder) -> OnDamage:
    """Return a function that records in the audit log what does not open."""

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

    return record


def load_vault(settings: Settings, recorder: Recorder) -> Vault | None:
    """Return the vault of the settings, which records what does not open; None without keys.

    Raises:
        InvalidSettings: the master keys are wrong, or a package that sealing needs is missing.
    """
    masters = load_master_keys(settings)
    if masters is None:
        return None
    seals = settings.sealing is Switch.ON
    return Vault(DataKeys(masters), seals=seals, on_damage=recording(recorder))
