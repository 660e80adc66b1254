"""HTTP routes of links: their owners', and those of whoever has one."""

from typing import Final

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.links import LinkMode
from chatvault.conversations.reading.wire import conversation_wire
from chatvault.conversations.schemas import ConversationOut, ConversationPath
from chatvault.errors import OF_QUOTAS, Busy, Throttled
from chatvault.http.requests import (
    RECORDER,
    IdempotencyHeaders,
    etag,
    idempotency_key_of,
    json_response,
)
from chatvault.http.routing import SESSION_ONLY, Routes
from chatvault.idempotency import KeyReused
from chatvault.links import service
from chatvault.links.deps import LinkDeps
from chatvault.links.errors import (
    LinkPasswordRequired,
    LinkSignInRequired,
    LinksOff,
    TooManyLinks,
    WrongLinkPassword,
)
from chatvault.links.schemas import (
    PAGE,
    LinkIn,
    LinkOut,
    LinkPath,
    NewLinkOut,
    RevokedLinksOut,
    SharedForkIn,
    SharedHeaders,
    SharedOut,
    SharedPath,
    SharedQuery,
    link_wire,
    new_link_wire,
)
from chatvault.links.snapshot import LinkTooLong
from chatvault.links.viewing import service as viewing
from chatvault.links.viewing.opening import Secrets

LINK_DEPS = web.AppKey("link_deps", LinkDeps)
OF_CONVERSATION: Final = "/conversations/{conversation_id}/links"
SHARED: Final = "/shared/{token}"
# No search engine keeps what a link shows, and no cache but the reader's own memory.
PRIVATE_HEADERS: Final = {
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_CONTENT_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'"
PREFIXES: Final = ("/shared/", PAGE)
routes = Routes("links")


async def add_link_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of answers at the addresses of links, errors and the page included."""
    if request.path.startswith(PREFIXES):
        response.headers.update(PRIVATE_HEADERS)
        # The page has its own policy.
        policy = f"{NO_CONTENT_POLICY}; frame-ancestors 'none'"
        response.headers.setdefault("Content-Security-Policy", policy)


class SharedForkHeaders(SharedHeaders, IdempotencyHeaders):
    """The headers that open a link, and by which a repeat is recognised."""


@routes.route(
    "POST",
    OF_CONVERSATION,
    Action.LINK_CREATE,
    scope=SESSION_ONLY,
    status=201,
    returns=NewLinkOut,
    errors=(LinksOff, LinkTooLong, TooManyLinks, Throttled, Busy, KeyReused),
)
async def create_link(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: IdempotencyHeaders,
    body: LinkIn,
) -> web.StreamResponse:
    """Make a link to this conversation.

    Whoever has it can read a snapshot, without an account; later messages are not in it. A `live`
    link shows what the conversation shows at each time, to users who are signed in.
    Only this answer shows the token. System prompt, calls and results of tools, thoughts and
    metadata are shown only if `include` names them; files never.
    """
    made = await service.create(
        actor,
        request.app[LINK_DEPS],
        conversation_id=path.conversation_id,
        wanted=body,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    shown = NewLinkOut.model_validate(new_link_wire(made.link, made.token))
    return json_response(shown, status=201)


@routes.route(
    "GET",
    OF_CONVERSATION,
    Action.LINK_LIST,
    scope=Scope.CONVERSATIONS_READ,
    returns=list[LinkOut],
)
async def list_links_of_conversation(
    request: web.Request, actor: Actor, path: ConversationPath
) -> web.StreamResponse:
    """List the links to this conversation, the newest first.

    Each with what it shows, how often it was opened, and whether it still works.
    """
    found = await service.list_mine(
        actor, request.app[RECORDER], conversation_id=path.conversation_id
    )
    return json_response([LinkOut.model_validate(link_wire(each)) for each in found])


@routes.route(
    "DELETE",
    OF_CONVERSATION,
    Action.LINK_REVOKE_ALL,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=RevokedLinksOut,
)
async def revoke_links_of_conversation(
    _request: web.Request, actor: Actor, path: ConversationPath
) -> web.StreamResponse:
    """Revoke all links to this conversation.

    They are not found from now on, everywhere, and their snapshots are removed.
    """
    revoked = await service.revoke_all(actor, conversation_id=path.conversation_id)
    return json_response(_told(revoked))


@routes.route(
    "GET", "/links", Action.LINK_LIST, scope=Scope.CONVERSATIONS_READ, returns=list[LinkOut]
)
async def list_links(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List all my links, the newest first, up to 1,000.

    One that has expired or was revoked stays in the list until 30 days after its expiry.
    """
    found = await service.list_mine(actor, request.app[RECORDER])
    return json_response([LinkOut.model_validate(link_wire(each)) for each in found])


@routes.route(
    "DELETE",
    "/links",
    Action.LINK_REVOKE_ALL,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=RevokedLinksOut,
)
async def revoke_links(_request: web.Request, actor: Actor) -> web.StreamResponse:
    """Revoke all my links.

    They are not found from now on, everywhere, and their snapshots are removed.
    """
    return json_response(_told(await service.revoke_all(actor)))


@routes.route(
    "DELETE",
    "/links/{link_id}",
    Action.LINK_REVOKE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
)
async def revoke_link(_request: web.Request, actor: Actor, path: LinkPath) -> web.StreamResponse:
    """Revoke one of my links.

    It is not found from now on, everywhere, and its snapshot is removed.
    """
    await service.revoke(actor, link_id=path.link_id)
    return web.Response(status=204)


@routes.route(
    "GET",
    SHARED,
    Action.LINK_VIEW,
    returns=SharedOut,
    errors=(LinkPasswordRequired, WrongLinkPassword, LinkSignInRequired, Throttled),
    sends=("X-Robots-Tag",),
)
async def get_shared(
    request: web.Request,
    caller: Actor,
    path: SharedPath,
    query: SharedQuery,
    headers: SharedHeaders,
) -> web.StreamResponse:
    """Read what a link shows, without an account unless it is live.

    A link that does not exist, has expired or was revoked is not found. The answer to the right
    `Link-Password` has a `link_pass`, which opens further pages for an hour as `Link-Pass`.
    """
    shown = await viewing.view(
        caller,
        request.app[LINK_DEPS],
        secrets=Secrets(path.token, headers.password, headers.link_pass),
        page=query.page,
    )
    wire = {
        **shown.content.conversation,
        "mode": shown.link.get("mode", LinkMode.SNAPSHOT),
        "messages": shown.content.messages,
        "total": shown.content.total,
        "page": shown.page,
        "next": shown.content.next,
        "created_at": shown.link["created_at"],
        "expires_at": shown.link["expires_at"],
        "link_pass": shown.link_pass,
        "may_copy": caller.user_id is not None,
    }
    return json_response(wire)


@routes.route(
    "POST",
    SHARED + "/fork",
    Action.CONVERSATION_FORK,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=ConversationOut,
    errors=(
        LinkPasswordRequired,
        WrongLinkPassword,
        LinkSignInRequired,
        LinkTooLong,
        Throttled,
        KeyReused,
        *OF_QUOTAS,
    ),
    sends=("ETag", "Link", "Location"),
)
async def fork_shared(
    request: web.Request,
    actor: Actor,
    path: SharedPath,
    headers: SharedForkHeaders,
    body: SharedForkIn,
) -> web.StreamResponse:
    """Make a conversation of my own of what a link shows.

    It has new ids and no files. `metadata.forked_from` names the link, not the token.
    """
    key = await idempotency_key_of(request, headers, beside=path.token)
    made = await viewing.fork(
        actor,
        request.app[LINK_DEPS],
        secrets=Secrets(path.token, headers.password, headers.link_pass),
        title=body.title,
        # The route of the request has the token, which is stored nowhere.
        idempotency_key=key and key._replace(route=f"POST {SHARED}/fork"),
    )
    conversation = made.conversation
    location = f"/conversations/{conversation['_id']}"
    sent = {"ETag": etag(conversation["version"]), "Location": location}
    if made.is_truncated:
        oldest = made.messages[0]["seq"] if made.messages else conversation["next_seq"]
        sent["Link"] = f'<{location}/messages?before={oldest}>; rel="prev"'
    return json_response(conversation_wire(made), status=201, headers=sent)


def _told(revoked: int) -> RevokedLinksOut:
    message = f"Revoked {revoked} link{'' if revoked == 1 else 's'}"
    return RevokedLinksOut(revoked_count=revoked, message=message)
