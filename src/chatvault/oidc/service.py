"""Signing in with the identity provider, and linking an account to an identity there."""

import asyncio
import hmac
import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from chatvault.accounts import identities
from chatvault.accounts.identities import Person
from chatvault.accounts.models import User
from chatvault.accounts.sessions import Session
from chatvault.actor import Actor, Role
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.errors import InvalidCredentials, RegistrationClosed
from chatvault.fields import Raw
from chatvault.groups import claims
from chatvault.keys import SecretKey
from chatvault.mongodb.rates import Rate
from chatvault.oidc import cookies
from chatvault.oidc.cookies import Pending
from chatvault.oidc.errors import (
    AlreadyLinked,
    EmailInUse,
    IdentityInUse,
    NoOidc,
    NoPassword,
    SignInExpired,
    SignInRefused,
)
from chatvault.oidc.identity import MAX_TEXT, Answer, Identity, Redirect
from chatvault.sessions import service as sessions
from chatvault.sessions.service import SignedIn

if TYPE_CHECKING:
    from chatvault.oidc.provider import IdentityProvider

# Stronger roles come first.
_STRENGTH: Final = (Role.ADMIN, Role.AUDITOR, Role.USER)
# The reasons of RFC 6749 and OpenID Connect for which a provider does not sign somebody in.
_REASONS: Final = frozenset(
    {
        *("access_denied", "invalid_request", "unauthorized_client", "unsupported_response_type"),
        *("invalid_scope", "server_error", "temporarily_unavailable", "interaction_required"),
        *("login_required", "account_selection_required", "consent_required"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcDeps:
    """The dependencies of signing in with the identity provider.

    Attributes:
        provider: None if the settings name none.
        key: seals the cookies of sign-ins that have begun.
        lifetime: of sessions.
        rate: limits how often an address may begin a sign-in.
        recorder: takes the audit entries of what changes nothing in the database.
        claims_due: set when somebody's groups may have to be brought in line.
    """

    provider: "IdentityProvider | None"
    key: SecretKey
    lifetime: timedelta
    rate: Rate
    recorder: Recorder
    claims_due: asyncio.Event = field(default_factory=asyncio.Event)

    def require(self) -> "IdentityProvider":
        """Return the provider.

        Raises:
            NoOidc: there is none.
        """
        if self.provider is None:
            raise NoOidc
        return self.provider


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that began: where the browser goes now, and the cookie that it brings back."""

    location: str
    cookie: str


async def begin(actor: Actor, deps: OidcDeps, *, return_to: str, redirect_uri: str) -> Begun:
    """Begin to sign somebody in.

    Raises:
        NoOidc: the settings name no provider.
        Throttled: too many from this address.
        ProviderUnavailable: the provider cannot be reached.
    """
    provider = deps.require()
    await deps.rate.admit(f"address {actor.address}")
    return await _begin(deps, provider, return_to, redirect_uri, None)


async def begin_link(actor: Actor, deps: OidcDeps, *, return_to: str, redirect_uri: str) -> Begun:
    """Begin to link the actor's account to an identity.

    Raises:
        NoOidc: the settings name no provider.
        AlreadyLinked: it has one.
        Throttled: too many.
        ProviderUnavailable: the provider cannot be reached.
    """
    provider = deps.require()
    await deps.rate.admit(f"user {actor.owner_id}")
    user = await User.get(actor.owner_id)
    if user is None or user.oidc_subject is not None:
        raise AlreadyLinked
    begun = await _begin(deps, provider, return_to, redirect_uri, actor.owner_id)
    await deps.recorder.record(audit.entry(actor, Action.USER_BEGIN_LINK, actor.owner_id))
    return begun


async def _begin(
    deps: OidcDeps,
    provider: "IdentityProvider",
    return_to: str,
    redirect_uri: str,
    user_id: ObjectId | None,
) -> Begun:
    state, nonce, verifier = (secrets.token_urlsafe(36) for _ in range(3))
    uri = provider.config.redirect_uri or redirect_uri
    redirect = Redirect(uri=uri, state=state, nonce=nonce, verifier=verifier)
    location = await provider.authorization_url(redirect)
    return Begun(location, cookies.seal(deps.key, Pending(redirect, return_to, user_id)))


async def finish(
    actor: Actor, deps: OidcDeps, *, pending: Pending | None, answer: Answer
) -> SignedIn:
    """Sign in whom the provider says, or link the actor's account to that identity.

    Args:
        actor: the caller; the session that it came with ends.
        deps: the dependencies.
        pending: the sign-in that this browser began.
        answer: what the provider sent back with the browser.

    Raises:
        NoOidc: the settings name no provider.
        SignInExpired: this browser began no such sign-in, or too long ago.
        SignInRefused: the provider does not sign them in.
        Throttled: too many from this address.
        InvalidIdentity: what it sent proves nothing.
        RegistrationClosed, EmailInUse: there is no account yet, and none is made.
        InvalidCredentials: the account is closed.
        IdentityInUse, AlreadyLinked: the account cannot be linked to this identity.
        ProviderUnavailable: the provider cannot be reached.
    """
    provider = deps.require()
    given = answer.state.encode("utf-8", "surrogatepass")
    if pending is None or not hmac.compare_digest(pending.redirect.state.encode(), given):
        raise SignInExpired
    if answer.code is None:
        reason = answer.error if answer.error in _REASONS else "other"
        raise SignInRefused(recorded={"reason": reason})
    await deps.rate.admit(f"finish {actor.address}")
    identity = await provider.redeem(answer.code, answer.issuer, pending.redirect)
    if pending.user_id is not None:
        user = await _link(actor, identity, pending.user_id)
    else:
        user = await _find_or_make(actor, provider, identity)
        if not user.is_active:
            raise InvalidCredentials("The account is closed", resource_id=str(user.id))
        if provider.config.roles:
            user = await identities.take_role(actor, user, _role(provider, identity))
        await claims.leave_task(user.id, _groups(provider, identity))
        deps.claims_due.set()
    return await sessions.open_for(actor, user, deps.lifetime, oidc_session=identity.session or "")


async def _link(actor: Actor, identity: Identity, user_id: ObjectId) -> User:
    if actor.user_id != user_id:
        raise SignInExpired
    try:
        linked = await identities.link(actor, issuer=identity.issuer, subject=identity.subject)
    except DuplicateKeyError:
        raise IdentityInUse from None
    if linked is None:
        raise AlreadyLinked
    return linked


async def _find_or_make(actor: Actor, provider: "IdentityProvider", identity: Identity) -> User:
    user = await identities.find_by_identity(identity.issuer, identity.subject)
    if user is not None:
        return user
    if not provider.config.registration:
        raise RegistrationClosed
    # An address that the provider does not vouch for may be another person's.
    is_known = identity.claims.get("email_verified") is not False
    email = identities.usable_email(identity.text("email")) if is_known else None
    if email is not None and await identities.has_email(email):
        raise EmailInUse
    names = (identity.text("preferred_username"), email and email.partition("@")[0])
    person = Person(
        issuer=identity.issuer,
        subject=identity.subject,
        names=tuple(name for name in names if name),
        email=email,
        full_name=identity.text("name"),
    )
    role = _role(provider, identity) if provider.config.roles else Role.USER
    return await identities.create(actor, person, role)


def _role(provider: "IdentityProvider", identity: Identity) -> Role:
    """Return the strongest role that the provider's groups or roles of somebody stand for."""
    roles = provider.config.roles
    given = {roles[each] for each in _groups(provider, identity) if each in roles}
    return next((role for role in _STRENGTH if role in given), Role.USER)


def _groups(provider: "IdentityProvider", identity: Identity) -> list[str]:
    """Return the groups or roles that the provider says somebody has."""
    told = identity.claims.get(provider.config.roles_claim)
    groups = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    return [each for each in groups if isinstance(each, str) and len(each) <= MAX_TEXT]


async def unlink(actor: Actor, deps: OidcDeps) -> User:
    """Take the identity from the actor's account, and with it the groups that came by it.

    Raises:
        NoOidc: the settings name no provider.
        NoPassword: the account has no password.
    """
    deps.require()
    unlinked = await identities.unlink(actor, partial(claims.leave_task, actor.owner_id, ()))
    if unlinked is None:
        raise NoPassword
    deps.claims_due.set()
    return unlinked


async def end_sessions(actor: Actor, deps: OidcDeps, *, logout_token: str) -> int:
    """End the sessions that the provider has ended; return how many.

    Raises:
        NoOidc: the settings name no provider.
        Throttled: too many from this address.
        InvalidLogoutToken: the token is not the provider's.
    """
    provider = deps.require()
    await deps.rate.admit(f"logout {actor.address}")
    subject, session_id = await provider.check_logout(logout_token)
    by_session: Raw = {} if session_id is None else {"oidc_session": session_id}
    if subject is None:
        found = await Session.find(by_session).to_list()
        user_ids = {each.user_id for each in found}
    else:
        user = await identities.find_by_identity(provider.config.issuer, subject)
        user_ids = set() if user is None else {user.id}
    ended = 0
    for user_id in user_ids:
        owner = replace(actor, user_id=user_id)
        ended += await sessions.end_by_provider(owner, by_session)
    return ended
