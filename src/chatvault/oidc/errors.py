"""Refusals of signing in with OpenID Connect."""

from chatvault.errors import Conflict, Denied, InvalidInput, NotFound, Unavailable


class NoOidc(NotFound):
    """Nobody signs in with OpenID Connect here; see CHATVAULT_OIDC."""

    code = "oidc_off"


class SignInExpired(Denied):
    """The sign-in was not begun in this browser, or took longer than ten minutes; begin again."""

    code = "sign_in_expired"


class SignInRefused(Denied):
    """The identity provider did not sign you in."""

    code = "sign_in_refused"


class InvalidIdentity(Denied):
    """The answer of the identity provider does not prove who you are."""

    code = "invalid_identity"


class ProviderUnavailable(Unavailable):
    """The identity provider cannot be reached; try again shortly."""

    code = "identity_provider_unavailable"


class EmailInUse(Conflict):
    """An account has your email address; sign in to it, and link it in its settings."""

    code = "email_in_use"


class IdentityInUse(Conflict):
    """This identity belongs to another account."""

    code = "identity_in_use"


class AlreadyLinked(Conflict):
    """The account is linked to an identity already; unlink that one first."""

    code = "already_linked"


class NoPassword(Conflict):
    """The account has no password: without its identity nobody could sign in to it."""

    code = "no_password"


class InvalidLogoutToken(InvalidInput):
    """The logout token is not valid."""

    code = "invalid_logout_token"
