"""The actor of an operation: who acts, by which door, under which request id."""

import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from bson import ObjectId

from chatvault.errors import Denied, InsufficientScope, NotAuthenticated


class Role(StrEnum):
    """The rights of a user beyond their own data; the command line and admins grant them."""

    USER = "user"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Scope(StrEnum):
    """A permission of an API key, within those of its user."""

    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"
    AGENTS_RUN = "agents:run"
    EXPORT = "export"
    AUDIT_READ = "audit:read"
    ADMIN = "admin"


class Door(StrEnum):
    """The way by which an operation came in."""

    HTTP = "http"
    CLI = "cli"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One caller of one operation: anonymous while `user_id` is None.

    Attributes:
        user_id: the authenticated user, or the one a command-line tool acts for.
        role: the role that the session was opened with, or that the key's user has now.
        session_id: the session document's id; never the cookie.
        key_id: the id of the API key that was used; never its secret.
        scopes: the scopes of that key; None without a key, which is limited by the role alone.
        request_id: ours, or the client's where it is well-formed.
        address: the client's IP address, behind trusted proxies the forwarded one.
        user_agent: at most 256 characters.
        started: `time.perf_counter()` when the operation came in.
    """

    door: Door
    user_id: ObjectId | None = None
    role: Role | None = None
    session_id: ObjectId | None = None
    key_id: ObjectId | None = None
    scopes: frozenset[Scope] | None = None
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    address: str | None = None
    user_agent: str | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def owner_id(self) -> ObjectId:
        """Return the user whose data this actor may touch.

        Raises:
            NotAuthenticated: nobody is signed in.
        """
        if self.user_id is None:
            raise NotAuthenticated
        return self.user_id

    def require_role(self, *roles: Role) -> None:
        """Raise unless the actor has one of these roles.

        Raises:
            NotAuthenticated: nobody is signed in.
            Denied: the user has another role.
        """
        if self.owner_id and self.role not in roles:
            raise Denied

    def require_scope(self, scope: Scope) -> None:
        """Raise if the actor uses an API key without this scope.

        Raises:
            InsufficientScope: the key lacks it.
        """
        if self.scopes is not None and scope not in self.scopes:
            raise InsufficientScope(scope)
