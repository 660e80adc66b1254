"""Reading and setting one's own preferences."""

from collections.abc import Callable
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.recorder import Recorder
from chatvault.database import transaction
from chatvault.fields import check_merged, count_changed_keys, merge_patch, now
from chatvault.preferences.models import Preferences

Values = dict[str, Any]


async def get(actor: Actor, recorder: Recorder) -> Values:
    """What the actor has set."""
    stored = await Preferences.find_of(actor)
    await recorder.record(audit.entry(actor, Action.PREFERENCES_GET, actor.owner_id))
    return stored.preferences if stored else {}


async def replace(actor: Actor, *, values: Values) -> Values:
    """Set these and nothing else; null counts as not set."""
    given = {key: value for key, value in values.items() if value is not None}
    return await _store(actor, Action.PREFERENCES_UPDATE, lambda _: given)


async def patch(
    actor: Actor, *, values: Values, action: Action = Action.PREFERENCES_UPDATE
) -> Values:
    """Merge these in (RFC 7396).

    Raises:
        InvalidInput: all together they would be too large.
    """
    return await _store(actor, action, lambda before: merge_patch(before, values))


async def _store(actor: Actor, action: Action, change: Callable[[Values], Values]) -> Values:
    async def store(session: AsyncClientSession) -> Values:
        stored = await Preferences.find_of(actor, session)
        before = stored.preferences if stored else {}
        after = check_merged("preferences", change(before))
        await Preferences.store_of(actor, after, now(), session)
        changed = {"keys_changed": count_changed_keys(before, after)}
        entry = audit.entry(actor, action, actor.owner_id, details=changed)
        await AuditEntry.store([entry], session)
        return after

    return await transaction(store)
