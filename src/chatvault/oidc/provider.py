"""The identity provider: where it signs people in, and what its tokens say.

Facts: OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss` in answers), and
OpenID Connect Back-Channel Logout 1.0.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]  # it carries none
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]  # it carries none
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # it carries none
from authlib.oidc.discovery import get_well_known_url  # type: ignore[import-untyped]  # it carries none
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chatvault.external import Oidc
from chatvault.fields import Raw
from chatvault.oidc.errors import InvalidIdentity, InvalidLogoutToken, ProviderUnavailable
from chatvault.oidc.identity import MAX_TEXT, Identity, Redirect

SECONDS: Final = 10.0
# The provider's metadata is read again after this time; its keys, if a key is unknown.
METADATA_SECONDS: Final = 3600.0
# No request asks again this soon after a failure, so that none waits for those of others.
REST_SECONDS: Final = 5.0
KEYS_SECONDS: Final = 60.0
LEEWAY: Final = 60
LOGOUT_SECONDS: Final = 300
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
# Signatures with a key that only the provider has.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)


@dataclass(slots=True)
class _Known:
    """The metadata and keys that the provider publishes, and when they were read."""

    metadata: Raw = field(default_factory=dict)
    at: float = 0.0
    failed_at: float = -REST_SECONDS
    keys: KeySet | None = None
    keys_at: float = 0.0


class IdentityProvider:
    """The provider that the settings name.

    Args:
        config: its address, and who we are to it.
    """

    def __init__(self, config: Oidc) -> None:
        self.config = config
        self._known = _Known()
        self._turn = asyncio.Lock()
        self._tls: ssl.SSLContext | None = None

    async def authorization_url(self, redirect: Redirect) -> str:
        """Return where a browser goes to sign in.

        Raises:
            ProviderUnavailable: the provider cannot be reached.
        """
        metadata = await self._metadata()
        async with self._client(redirect_uri=redirect.uri) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=redirect.state,
                nonce=redirect.nonce,
                code_verifier=redirect.verifier,
            )
        return str(url)

    async def redeem(self, code: str, issuer: str | None, redirect: Redirect) -> Identity:
        """Exchange the code of a sign-in for who it is.

        Args:
            code: what the browser brought.
            issuer: the provider that sent it, if it says so (RFC 9207).
            redirect: as the sign-in began.

        Raises:
            InvalidIdentity: another provider sent it, or the tokens prove nothing.
            ProviderUnavailable: the provider cannot be reached.
        """
        metadata = await self._metadata()
        is_told = metadata.get("authorization_response_iss_parameter_supported") is True
        if issuer != metadata["issuer"] and (issuer is not None or is_told):
            raise InvalidIdentity
        async with self._client(redirect_uri=redirect.uri) as client:
            tokens = await client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=redirect.verifier,
            )
            params = {
                "nonce": redirect.nonce,
                "client_id": self.config.client_id,
                "access_token": tokens.get("access_token"),
            }
            claims = await self._check(tokens.get("id_token"), params)
            more = await self._user_info(client, metadata)
        # Another's would be mixed with this one's (Core 1.0, 5.3.2).
        if more and more.get("sub") != claims["sub"]:
            raise InvalidIdentity
        return self._identity({**more, **claims})

    async def check_logout(self, token: str) -> tuple[str | None, str | None]:
        """Return whose sessions a logout token ends: a subject, and a session of the provider.

        Raises:
            InvalidLogoutToken: it is not the provider's, not for us, or not of now.
            ProviderUnavailable: the provider cannot be reached.
        """
        try:
            decoded = await self._decode(token)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY,
                iss={"essential": True, "value": self.config.issuer},
                aud={"essential": True, "value": self.config.client_id},
                iat={"essential": True},
            ).validate(decoded.claims)
            is_old = time.time() - decoded.claims["iat"] > LOGOUT_SECONDS
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidLogoutToken from error
        claims = decoded.claims
        events = claims.get("events")
        is_logout = isinstance(events, dict) and LOGOUT_EVENT in events
        subject, session = claims.get("sub"), claims.get("sid")
        is_told = all(isinstance(each, str | None) for each in (subject, session))
        is_empty = subject is None and session is None
        if not is_logout or is_old or "nonce" in claims or not is_told or is_empty:
            raise InvalidLogoutToken
        return subject, session

    def _identity(self, claims: Raw) -> Identity:
        subject, session = claims["sub"], claims.get("sid")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_TEXT:
            raise InvalidIdentity
        return Identity(
            issuer=self.config.issuer,
            subject=subject,
            session=session if isinstance(session, str) and len(session) <= MAX_TEXT else None,
            claims=claims,
        )

    async def _check(self, token: Any, params: Raw) -> Raw:
        """Return the claims of an ID token.

        Raises:
            InvalidIdentity: it is not the provider's, not for us, too old, or of another sign-in.
        """
        try:
            decoded = await self._decode(token)
            expected = {
                "iss": {"essential": True, "value": self.config.issuer},
                "aud": {"essential": True, "value": self.config.client_id},
                "nonce": {"essential": True},
            }
            checked = CodeIDToken(decoded.claims, decoded.header, expected, params)
            checked.validate(leeway=LEEWAY)
        except (JoseError, AuthlibBaseError, ValueError, TypeError) as error:
            raise InvalidIdentity from error
        return dict(decoded.claims)

    async def _decode(self, token: Any) -> jwt.Token:
        """Return a token whose signature is the provider's; its claims are not looked at.

        Raises:
            JoseError, ValueError: it is no such token.
        """
        if not isinstance(token, str):
            raise ValueError("there is no token")  # noqa: TRY004  # as joserfc says of a wrong one
        asked_at = self._known.keys_at
        try:
            return jwt.decode(token, await self._keys(), algorithms=[*ALGORITHMS])
        except (JoseError, ValueError):
            keys = await self._keys(newer_than=asked_at)
            if self._known.keys_at == asked_at:
                raise
        # The provider may have changed its keys.
        return jwt.decode(token, keys, algorithms=[*ALGORITHMS])

    async def _metadata(self) -> Raw:
        """Return what the provider publishes about itself.

        Raises:
            ProviderUnavailable: it cannot be reached, or names another issuer.
        """
        known = self._known
        if _is_old(known):
            async with self._reading():
                # Another request may have read it meanwhile.
                if _is_old(known):
                    known.metadata = await self._read_metadata()
                    known.at = time.monotonic()
        return known.metadata

    async def _read_metadata(self) -> Raw:
        async with self._client() as client:
            found = await _get_json(client, get_well_known_url(self.config.issuer, external=True))
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        is_whole = all(isinstance(found.get(name), str) for name in wanted)
        if found.get("issuer") != self.config.issuer or not is_whole:
            raise ProviderUnavailable
        return found

    async def _keys(self, newer_than: float | None = None) -> KeySet:
        """Return the provider's keys; read them again if they are not newer than a time.

        Raises:
            ProviderUnavailable: it cannot be reached, or publishes no keys.
        """
        known, metadata = self._known, await self._metadata()
        if known.keys is None or _are_old(known, newer_than):
            async with self._reading():
                if known.keys is None or _are_old(known, newer_than):
                    known.keys = await self._read_keys(metadata["jwks_uri"])
                    known.keys_at = time.monotonic()
        return known.keys

    async def _read_keys(self, url: str) -> KeySet:
        async with self._client() as client:
            found = await _get_json(client, url)
        try:
            return KeySet.import_key_set(found)  # type: ignore[arg-type]  # checked by it
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderUnavailable from error

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """Read what the provider publishes, one request at a time.

        Raises:
            ProviderUnavailable: it could not be read a moment ago.
        """
        async with self._turn:
            if time.monotonic() - self._known.failed_at < REST_SECONDS:
                raise ProviderUnavailable
            try:
                yield
            except ProviderUnavailable:
                self._known.failed_at = time.monotonic()
                raise

    async def _user_info(self, client: AsyncOAuth2Client, metadata: Raw) -> Raw:
        """Return what the provider says apart from the token; nothing if it says nothing."""
        endpoint = metadata.get("userinfo_endpoint")
        return await _get_json(client, endpoint) if isinstance(endpoint, str) else {}

    @contextlib.asynccontextmanager
    async def _client(self, **options: Any) -> AsyncIterator[AsyncOAuth2Client]:
        """Yield a client of the provider.

        Raises:
            ProviderUnavailable: the provider cannot be reached.
            InvalidIdentity: it refused what it was asked.
        """
        if self._tls is None:
            # It reads the certificates of the machine, which takes a while.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        secret = self.config.client_secret
        try:
            async with AsyncOAuth2Client(
                client_id=self.config.client_id,
                client_secret=None if secret is None else secret.get_secret_value(),
                token_endpoint_auth_method=None if secret else "none",
                scope=self.config.scopes,
                code_challenge_method="S256",
                timeout=SECONDS,
                verify=self._tls,
                **options,
            ) as client:
                yield client
        except httpx2.HTTPError as error:
            raise ProviderUnavailable from error
        except AuthlibBaseError as error:
            raise InvalidIdentity from error


def _is_old(known: _Known) -> bool:
    return not known.metadata or time.monotonic() - known.at > METADATA_SECONDS


def _are_old(known: _Known, newer_than: float | None) -> bool:
    """Whether the keys are not newer than a time, and may be read again."""
    return known.keys_at == newer_than and time.monotonic() - known.keys_at > KEYS_SECONDS


async def _get_json(client: AsyncOAuth2Client, url: str) -> Raw:
    answer = await client.request("GET", url, withhold_token=not client.token)
    answer.raise_for_status()
    try:
        found = answer.json()
    except ValueError as error:
        raise ProviderUnavailable from error
    if not isinstance(found, dict):
        raise ProviderUnavailable
    return found
