"""The errors of the domain: six kinds with stable codes, independent of HTTP.

Each door (HTTP, command line, …) has one table that says what a kind means there.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from chatvault.limits import RateState


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its place, a sentence about it, and pydantic's error type."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class ChatvaultError(Exception):
    """The base of all errors that a client may see.

    Attributes:
        code: stable and machine-readable; clients branch on it.
        detail: one readable sentence; the class docstring's first line, without its full stop, by
            default.
        errors: the wrong fields, where the input was at fault; not all of them if they are many.
        more_errors: how many were found beside these.
        retry_after: seconds after which a repeat makes sense, or None.
        resource_id: what was acted on, where the request itself does not say; for the audit.
        recorded: small facts for the audit entry alone; never shown, and never secret.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        more_errors: int = 0,
        retry_after: float | None = None,
        resource_id: str | None = None,
        recorded: dict[str, str] | None = None,
    ) -> None:
        self.detail = detail or (self.__doc__ or "").partition("\n")[0].removesuffix(".")
        self.errors = errors
        self.more_errors = more_errors
        self.retry_after = retry_after
        self.resource_id = resource_id
        self.recorded = recorded
        super().__init__(self.detail)


class InvalidInput(ChatvaultError):
    """The request is not valid."""

    code = "invalid_input"

    @classmethod
    def in_field(cls, *place: str | int, problem: str, kind: str) -> Self:
        """Return the error about one wrong field.

        Args:
            *place: where it is: `body`, `query`, `path` or `header`, and the names within.
            problem: what is wrong with it, to be read after its name.
            kind: the error's type, which clients can branch on.
        """
        name = ".".join(map(str, place[1:]))
        return cls(f"{name}: {problem}", errors=(FieldError(place, problem, kind),))


class Malformed(InvalidInput):
    """The request cannot be read."""

    code = "malformed"


class UnsupportedMediaType(InvalidInput):
    """The body must be JSON and say so: Content-Type: application/json."""

    code = "unsupported_media_type"


class TooLarge(InvalidInput):
    """The request is larger than what can be stored."""

    code = "too_large"


class TooSlow(InvalidInput):
    """The request did not arrive in time."""

    code = "too_slow"


class UpgradeRequired(InvalidInput):
    """This is a WebSocket; connect to it with one."""

    code = "upgrade_required"


class RangeNotSatisfiable(InvalidInput):
    """The file ends before the range of bytes that is asked for."""

    code = "range_not_satisfiable"


class NotAuthenticated(ChatvaultError):
    """Authentication required."""

    code = "authentication_required"


class InvalidCredentials(NotAuthenticated):
    """Invalid username or password."""

    code = "invalid_credentials"


class InvalidApiKey(NotAuthenticated):
    """The API key is wrong, has expired or was revoked, or its account is closed."""

    code = "invalid_api_key"


class CookieWithheld(NotAuthenticated):
    """Your browser sends no session cookie here; call the service under your page's host name."""

    code = "cookie_withheld"


class Denied(ChatvaultError):
    """You may not do this."""

    code = "permission_denied"


class InsufficientScope(Denied):
    """The API key lacks the scope that this needs.

    Args:
        scope: the missing scope.
    """

    code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The API key lacks the scope {scope}, which this needs.")
        self.scope = scope


class SessionRequired(Denied):
    """This needs a signed-in session; an API key may not do it."""

    code = "session_required"


class ForeignOrigin(Denied):
    """Requests from this origin may not change anything."""

    code = "foreign_origin"


class PasswordsOff(Denied):
    """Nobody signs in with a password here; sign in with the identity provider."""

    code = "passwords_off"


class SignInAgain(Denied):
    """Your account has no password: sign in again, and repeat this within ten minutes."""

    code = "sign_in_again"


class RegistrationClosed(Denied):
    """Registration is closed; ask an administrator for an account."""

    code = "registration_closed"


class Throttled(Denied):
    """Too many attempts; try again later."""

    code = "too_many_requests"


class TooManyConnections(Throttled):
    """This address has too many connections; close some of them."""

    code = "too_many_connections"


class LimitReached(Throttled):
    """A limit of the account's is reached; try again later.

    Args:
        detail: says which, and when there is more.
        limit: the name of the limit.
        retry_after: seconds until there is more.
    """

    def __init__(self, detail: str | None = None, *, limit: str, retry_after: float) -> None:
        super().__init__(detail, retry_after=retry_after, recorded={"limit": limit})
        self.limit = limit


class RateReached(LimitReached):
    """The requests of this minute are used up; try again shortly.

    Args:
        limit: the name of the limit.
        states: the limits after the request; the last one is reached.
    """

    def __init__(self, limit: str, states: tuple[RateState, ...]) -> None:
        refused = states[-1]
        wait = max(1.0, refused.resets_in)
        super().__init__(
            f"At most {refused.amount} requests a minute ({limit}); try again in {wait:.0f} "
            f"seconds.",
            limit=limit,
            retry_after=wait,
        )
        self.states = states


class DailyLimitReached(LimitReached):
    """A limit of the account's for today is reached; there is more tomorrow (UTC)."""

    code = "daily_limit_reached"


class StorageFull(TooLarge):
    """The account may store no more; delete something first, the trash included."""

    code = "storage_full"
    limit = "stored_bytes"


# What adding to an account may be refused with.
OF_QUOTAS = (DailyLimitReached, StorageFull)


class NotFound(ChatvaultError):
    """There is nothing here."""

    code = "not_found"


class Conflict(ChatvaultError):
    """This contradicts what is stored."""

    code = "conflict"


class AlreadyTaken(Conflict):
    """The name is taken."""

    code = "already_taken"


class BeingErased(Conflict):
    """The account is being erased; nothing of it can be changed any more."""

    code = "being_erased"


class MessageIdTaken(Conflict):
    """Another message of this conversation has this id."""

    code = "message_id_taken"


class ConversationArchived(Conflict):
    """The conversation is archived; bring it back first."""

    code = "conversation_archived"


class StaleVersion(Conflict):
    """It was changed since you read it; read it again and repeat your change."""

    code = "stale_version"


class NotLastAnswer(Conflict):
    """Only the last message, if it is an assistant's, can be replaced by a new answer."""

    code = "not_last_answer"


class PreconditionRequired(Conflict):
    """The conversation is longer than one answer shows: say with If-Match which one you saw."""

    code = "precondition_required"


class Unavailable(ChatvaultError):
    """The service cannot do this now; try again shortly."""

    code = "unavailable"


class Busy(Unavailable):
    """Too many changes at the same time; try again shortly."""

    code = "busy"


class StoredNotShown(Unavailable):
    """The change was stored, but what came of it cannot be shown now; read it again shortly."""

    code = "stored_not_shown"


class OutcomeUnknown(Unavailable):
    """The connection broke while the change was being stored; it may have happened or not."""

    code = "outcome_unknown"
