"""Opening a link: by its token, and by its password if it has one."""

from dataclasses import dataclass
from urllib.parse import unquote

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.links import Link, LinkMode
from chatvault.fields import Raw, now
from chatvault.links.deps import LinkDeps
from chatvault.links.errors import (
    LinkNotFound,
    LinkPasswordRequired,
    LinkSignInRequired,
    WrongLinkPassword,
)
from chatvault.links.live import LiveReader
from chatvault.links.passes import is_pass, make_pass
from chatvault.links.snapshot import SnapshotReader
from chatvault.links.token import PATTERN, hash_token, snapshot_key


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a link that a caller knows.

    Attributes:
        token: from the link itself, well-formed or not.
        password: percent-encoded, if the caller sent one.
        link_pass: the pass of an earlier answer, if the caller sent one.
    """

    token: str
    password: str | None = None
    link_pass: str | None = None


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A link that may be read.

    Attributes:
        link: as it is stored.
        access: to its content, in the name of its owner.
        reader: reads the content.
        link_pass: opens it again in place of the password; None without a password.
    """

    link: Raw
    access: Access
    reader: SnapshotReader | LiveReader
    link_pass: str | None


async def open_link(actor: Actor, deps: LinkDeps, secrets: Secrets) -> OpenedLink:
    """Open a link.

    What is missing, expired, revoked or malformed is looked up and refused in the same way, so that
    neither answer nor time tells them apart; with a password, one is checked in any case.

    Raises:
        LinkNotFound: there is no such link, it has expired or was revoked, its owner's account is
            closed, or there are no links here.
        LinkPasswordRequired: it has a password, and none was sent.
        WrongLinkPassword: it has another password.
        LinkSignInRequired: it is live, and the caller is not signed in.
        Throttled: there were too many views, or wrong passwords.
    """
    if not deps.is_on:
        raise LinkNotFound
    await deps.throttle.admit(actor.address)
    token_hash = hash_token(secrets.token)
    link = await Link.find_by_hash(token_hash, now())
    expected = None if link is None else link["password_hash"]
    is_right = False
    if link is not None and expected is not None and secrets.link_pass is not None:
        is_right = is_pass(deps.key, link, secrets.link_pass)
    is_open = link is not None and expected is None
    if secrets.password is not None and not is_right and not is_open:
        is_right = await _check(actor, deps, secrets.password, token_hash, expected)
        if link is not None and not is_right:
            raise WrongLinkPassword(resource_id=str(link["_id"]))
    if link is None or not PATTERN.fullmatch(secrets.token):
        raise LinkNotFound
    if expected is not None and not is_right:
        raise LinkPasswordRequired(resource_id=str(link["_id"]))
    reader: SnapshotReader | LiveReader = SnapshotReader(link, snapshot_key(secrets.token))
    if link.get("mode") == LinkMode.LIVE:
        if actor.user_id is None:
            raise LinkSignInRequired(resource_id=str(link["_id"]))
        reader = LiveReader(link, deps.commits.store)
    # Whoever has the token may read in the owner's name, and nothing but the link.
    return OpenedLink(
        link,
        Access.of(Actor(door=Door.BACKGROUND, user_id=link["user_id"])),
        reader,
        None if expected is None else make_pass(deps.key, link),
    )


async def _check(
    actor: Actor, deps: LinkDeps, password: str, token_hash: bytes, expected: str | None
) -> bool:
    """Return whether a password is the expected one; False after the same time without one.

    Raises:
        Throttled: there were too many wrong ones.
    """
    await deps.throttle.admit_password(token_hash, actor.address)
    given = unquote(password, errors="replace")
    is_right = await deps.hasher.verify(given, expected, source=actor.address or "")
    if is_right:
        await deps.throttle.forgive_password(token_hash, actor.address)
    return is_right
