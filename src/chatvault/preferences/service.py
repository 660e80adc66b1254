"""Reading and setting a user's own preferences."""

from collections.abc import Callable
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.fields import check_merged, count_changed_keys, merge_patch, now
from chatvault.mongodb.database import transaction
from chatvault.preferences.models import Preferences

Values = dict[str, Any]


async def get(actor: Actor, recorder: Recorder) -> Values:
    """Return the actor's preferences."""
    stored = await Preferences.find_of(actor)
    await recorder.record(audit.entry(actor, Action.PREFERENCES_GET, actor.owner_id))
    return stored.preferences if stored else {}


async def replace(actor: Actor, *, values: Values) -> Values:
    """Set exactly these values; null counts as not set."""
    given = {key: value for key, value in values.items() if value is not None}
    return await _store(actor, Action.PREFERENCES_UPDATE, lambda _: given)


async def patch(actor: Actor, *, values: Values) -> Values:
    """Merge these values in (RFC 7396).

    Raises:
        InvalidInput: the merged preferences would be too large.
    """
    return await _store(
        actor, Action.PREFERENCES_UPDATE, lambda before: merge_patch(before, values)
    )


async def take_over(actor: Actor, *, source: str, values: Values, is_repeat: bool) -> bool:
    """Merge in another program's preferences, except those changed here since its last import.

    Args:
        actor: whose preferences they become.
        source: the program's name.
        values: its preferences.
        is_repeat: whether something of this source was imported before. Imports by this version
            record what they set; after an import by an older one, nothing that is set is
            overwritten.

    Returns:
        Whether any were taken over.

    Raises:
        InvalidInput: the merged preferences would be too large.
    """

    async def store(session: AsyncClientSession) -> bool:
        stored = await Preferences.find_of(actor, session)
        before = stored.preferences if stored else {}
        last = stored.imported.get(source) if stored else None
        if last is None:
            last = dict.fromkeys(before.keys() & values.keys()) if is_repeat else {}
        taken = {
            key: value
            for key, value in values.items()
            if key not in last or (key in before and before[key] == last[key])
        }
        after = merge_patch(before, taken)
        given = stored.imported if stored else {}
        imported = {**given, source: last | taken}
        await _save(actor, Action.PREFERENCES_IMPORT, before, after, session, imported)
        return bool(taken)

    return await transaction(store, turn=("preferences", actor.owner_id))


async def _store(actor: Actor, action: Action, change: Callable[[Values], Values]) -> Values:
    async def store(session: AsyncClientSession) -> Values:
        stored = await Preferences.find_of(actor, session)
        before = stored.preferences if stored else {}
        return await _save(actor, action, before, change(before), session)

    return await transaction(store, turn=("preferences", actor.owner_id))


async def _save(
    actor: Actor,
    action: Action,
    before: Values,
    after: Values,
    session: AsyncClientSession,
    imported: dict[str, Values] | None = None,
) -> Values:
    after = check_merged("preferences", after)
    await Preferences.store_of(actor, after, now(), session, imported)
    changed = {"keys_changed": count_changed_keys(before, after)}
    entry = audit.entry(actor, action, actor.owner_id, details=changed)
    await AuditEntry.store([entry], session)
    return after
