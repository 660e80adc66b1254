"""Who somebody is to an identity provider, and how a sign-in with it comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# The most characters of a claim that is stored.
MAX_TEXT: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is, as the provider says.

    Attributes:
        issuer: the provider.
        subject: their id there, which never changes; names and addresses may.
        session: the provider's session, which a logout names; None if it tells none.
        claims: all that it says of them.
    """

    issuer: str
    subject: str
    session: str | None
    claims: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """Return a claim if it is a text of a reasonable length."""
        value = self.claims.get(name)
        is_usable = isinstance(value, str) and 0 < len(value) <= MAX_TEXT
        return value if is_usable else None


@dataclass(frozen=True, slots=True)
class Redirect:
    """The address that a sign-in comes back to, and what ties the answer to the question."""

    uri: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The provider's answer, which the browser brings; `error` in place of a code if it refuses."""

    state: str
    code: str | None = None
    error: str | None = None
    issuer: str | None = None
