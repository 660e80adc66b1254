"""Listing the conversations that others share with a user."""

import asyncio
from dataclasses import dataclass

from bson import ObjectId

from chatvault.access import Guest
from chatvault.accounts.names import find_names
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.grants import GrantRole, list_given, pick_strongest, without_order
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.cursors import Cursor
from chatvault.fields import Raw


@dataclass(frozen=True, slots=True)
class SharedPage:
    """Some conversations that are shared with a user, those granted last first.

    Attributes:
        conversations: their documents without messages, each with its grant.
        names: the usernames of their owners.
        following: where the next page begins; None where there is none.
    """

    conversations: list[tuple[ConversationDoc, Raw]]
    names: dict[ObjectId, str]
    following: Cursor | None


async def read_shared(
    actor: Actor, store: MessageStore, recorder: Recorder, limit: int, after: Cursor | None
) -> SharedPage:
    """Return a page of what is shared with the actor, after a grant if one is named.

    Each owner's part is recorded with the owner, as other reads of guests are. What is in the trash
    is left out, so that a page may be shorter than the limit, and others still follow.
    """
    listed = await list_given(actor, limit, after)
    given = await pick_strongest(actor, listed) if listed else []
    found = await asyncio.gather(
        *(store.find_summary(guest.access, guest.conversation_id) for guest, _ in given)
    )
    both = zip(given, found, strict=True)
    there = [(guest, stored, grant) for (guest, grant), stored in both if stored is not None]
    guests = [guest for guest, *_ in there]
    await asyncio.gather(*(recorder.record(each) for each in _entries(guests)))
    last = listed[-1][1] if len(listed) == limit else None
    shown = [(without_order(stored), grant) for _, stored, grant in there]
    names = await find_names(guest.access.owner_id for guest in guests)
    return SharedPage(shown, names, None if last is None else (last["at"], last["_id"]))


def _entries(guests: list[Guest]) -> list[Raw]:
    """Return an audit entry for each owner whose conversations are listed."""
    counts: dict[object, tuple[Guest, int]] = {}
    for guest in guests:
        _, count = counts.get(guest.access.owner_id, (guest, 0))
        counts[guest.access.owner_id] = guest, count + 1
    return [
        audit.entry(guest, Action.CONVERSATION_LIST, details={"conversations": count})
        for guest, count in counts.values()
    ]


def role_of(grant: Raw, names: dict[ObjectId, str]) -> Raw:
    """Return what a list says of a grant.

    Args:
        grant: the grant.
        names: the usernames of owners.
    """
    return {
        "owner": names.get(grant["owner_id"]),
        "role": GrantRole(grant["role"]),
        "shared_at": grant["at"],
        "expires_at": grant.get("expires_at"),
    }
