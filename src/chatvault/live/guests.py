"""The conversations that others share with connected users, kept in memory for live events.

They are read once for each connection. From then on the entries of the audit log change them, in
the order in which the changes of the conversations come, so that an event costs no query.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.grants import access_by, is_in_force, list_held
from chatvault.fields import Raw
from chatvault.live.events import GrantChanged

# A grantee, a conversation's id as text, and the group by which it is shared, if any.
GrantKey = tuple[ObjectId, str, ObjectId | None]


@dataclass(slots=True, eq=False)
class _Held:
    """The grants of one user.

    Attributes:
        grants: by conversation, and by the group that they come by.
        missed: for each reading that is under way, the changes since it began.
    """

    grants: dict[str, dict[ObjectId | None, Raw]] = field(default_factory=dict)
    missed: list[list[GrantChanged]] = field(default_factory=list)


class Guests:
    """The users who are connected, as guests of conversations."""

    def __init__(self) -> None:
        self._users: dict[ObjectId, _Held] = {}
        self._holders: dict[str, set[ObjectId]] = {}
        # Ended by this process, while the log has not told it yet.
        self._ending: set[GrantKey] = set()

    async def load(self, user_id: ObjectId) -> None:
        """Read the grants of a user who connects, and follow their changes until `drop`.

        Raises:
            PyMongoError: the database cannot be reached.
        """
        held = self._users.setdefault(user_id, _Held())
        missed: list[GrantChanged] = []
        held.missed.append(missed)
        try:
            found = await list_held(Actor(door=Door.BACKGROUND, user_id=user_id))
        finally:
            held.missed.remove(missed)
        if self._users.get(user_id) is not held:
            return  # Dropped meanwhile.
        self._clear(user_id, held)
        for grant in found:
            self._set(user_id, str(grant["conversation_id"]), grant.get("via_group"), grant)
        for change in missed:
            self._apply_to(user_id, change)

    def drop(self, user_id: ObjectId) -> None:
        """Forget a user who is no longer connected."""
        held = self._users.pop(user_id, None)
        if held is not None:
            self._clear(user_id, held)
            self._ending = {key for key in self._ending if key[0] != user_id}

    async def reload(self) -> None:
        """Read all grants again, as changes may have been missed; until then there are none.

        Raises:
            PyMongoError: the database cannot be reached; call it again.
        """
        self._ending.clear()
        for user_id, held in self._users.items():
            self._clear(user_id, held)
        for user_id in [*self._users]:
            if user_id in self._users:
                await self.load(user_id)

    def apply(self, change: GrantChanged) -> set[ObjectId]:
        """Take over a change of grants; return the connected users whom it concerns."""
        conversation, via_group = str(change.event.conversation_id), change.via_group
        concerned = {each for each in change.grantee_ids if each in self._users}
        if change.is_of_all:
            concerned |= self._holders_by(conversation, via_group)
        for user_id in concerned:
            for missed in self._users[user_id].missed:
                missed.append(change)
            self._apply_to(user_id, change)
        if change.role is None:
            for user_id in concerned:
                self._ending.discard((user_id, conversation, via_group))
        return concerned

    def _apply_to(self, user_id: ObjectId, change: GrantChanged) -> None:
        conversation, via_group = str(change.event.conversation_id), change.via_group
        if change.role is None:
            self._remove(user_id, conversation, via_group)
        else:
            grant = {
                "owner_id": change.event.user_id,
                "role": change.role,
                "expires_at": change.expires_at,
            }
            self._set(user_id, conversation, via_group, grant)

    def end(
        self,
        conversation_id: ObjectId,
        via_group: ObjectId | None,
        grantee_ids: Collection[ObjectId] | None,
    ) -> None:
        """End grants at once, before the log tells it.

        Args:
            conversation_id: what was shared.
            via_group: the group by which it was.
            grantee_ids: with whom; None for all who have it by the group.
        """
        conversation = str(conversation_id)
        if grantee_ids is None:
            grantee_ids = self._holders_by(conversation, via_group)
        self._ending |= {
            (each, conversation, via_group) for each in grantee_ids if each in self._users
        }

    def _holders_by(self, conversation: str, via_group: ObjectId | None) -> set[ObjectId]:
        return {
            each
            for each in self._holders.get(conversation, ())
            if via_group in self._users[each].grants[conversation]
        }

    def forget_conversation(self, conversation: str) -> None:
        """Forget the grants of a conversation that is deleted."""
        for user_id in self._holders.pop(conversation, ()):
            del self._users[user_id].grants[conversation]

    def find_access(self, user_id: ObjectId, conversation: str) -> Access | None:
        """Return a user's access to a conversation that is shared with them; None if none is."""
        held = self._users.get(user_id)
        for via_group, grant in (held.grants.get(conversation, {}) if held else {}).items():
            is_ending = (user_id, conversation, via_group) in self._ending
            if not is_ending and is_in_force(grant):
                return access_by(user_id, grant)
        return None

    def list_holders(self, conversation: str) -> list[ObjectId]:
        """Return the connected users with whom a conversation is shared now."""
        holders = self._holders.get(conversation)
        if holders is None:
            return []
        return [each for each in holders if self.find_access(each, conversation) is not None]

    def list_shared(self, user_id: ObjectId) -> Mapping[ObjectId, Collection[str]]:
        """Return the conversations that are shared with a user now, by their owners."""
        shared: dict[ObjectId, set[str]] = {}
        held = self._users.get(user_id)
        for conversation in held.grants if held else ():
            access = self.find_access(user_id, conversation)
            if access is not None:
                shared.setdefault(access.owner_id, set()).add(conversation)
        return shared

    def _set(
        self, user_id: ObjectId, conversation: str, via_group: ObjectId | None, grant: Raw
    ) -> None:
        self._users[user_id].grants.setdefault(conversation, {})[via_group] = grant
        self._holders.setdefault(conversation, set()).add(user_id)

    def _remove(self, user_id: ObjectId, conversation: str, via_group: ObjectId | None) -> None:
        grants = self._users[user_id].grants
        held = grants.get(conversation, {})
        held.pop(via_group, None)
        if conversation in grants and not held:
            del grants[conversation]
            self._unlist(user_id, conversation)

    def _clear(self, user_id: ObjectId, held: _Held) -> None:
        for conversation in held.grants:
            self._unlist(user_id, conversation)
        held.grants.clear()

    def _unlist(self, user_id: ObjectId, conversation: str) -> None:
        holders = self._holders.get(conversation, set())
        holders.discard(user_id)
        if not holders:
            self._holders.pop(conversation, None)
