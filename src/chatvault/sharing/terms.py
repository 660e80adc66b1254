"""The terms of a grant, to a user or to a group: the role, and until when."""

from dataclasses import dataclass
from datetime import datetime

from chatvault.conversations.grants import GrantRole
from chatvault.errors import InvalidInput
from chatvault.fields import Raw, format_instant, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a grant.

    Attributes:
        expires_at: when it ends by itself; None for never.
        agents: whether an editor may ask agents, at the owner's expense.
    """

    role: GrantRole
    expires_at: datetime | None = None
    agents: bool = False

    def check(self) -> None:
        """Raise unless a grant may be given with these.

        Raises:
            InvalidInput: it would have ended already, or agents are for editors only.
        """
        if self.expires_at is not None and self.expires_at <= now():
            problem = "must be in the future"
            raise InvalidInput.in_field("body", "expires_at", problem=problem, kind="expires_at")
        if self.agents and self.role is not GrantRole.EDITOR:
            problem = "is for editors only"
            raise InvalidInput.in_field("body", "agents", problem=problem, kind="agents")

    def fields(self) -> Raw:
        """Return the fields of a stored grant."""
        return {"role": str(self.role), "expires_at": self.expires_at, "agents": self.agents}

    def details(self) -> Raw:
        """Return what an audit entry says of them; live events go by it."""
        details: Raw = {"role": str(self.role)}
        if self.expires_at is not None:
            details["expires_at"] = format_instant(self.expires_at)
        if self.agents:
            details["agents"] = True
        return details
