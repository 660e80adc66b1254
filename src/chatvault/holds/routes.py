"""HTTP routes of legal holds, for auditors and admins."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.store import MessageStore
from chatvault.cursors import encode_cursor, encode_name_cursor
from chatvault.errors import Denied, NotFound
from chatvault.holds import reading_service, service
from chatvault.holds.schemas import (
    HeldConversationOut,
    HeldConversationsQuery,
    HeldMessageOut,
    HeldMessagesQuery,
    HeldPath,
    HoldIn,
    HoldOut,
    HoldPath,
    HoldsQuery,
    encode_place,
    held_message_wire,
    held_wire,
    hold_wire,
)
from chatvault.http.requests import (
    RECORDER,
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
    link_to,
)
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

HELD_STORE = web.AppKey("held_store", MessageStore)
routes = Routes("holds")


@routes.route(
    "GET",
    "/admin/holds",
    Action.HOLD_LIST,
    scope=Scope.AUDIT_READ,
    returns=list[HoldOut],
    errors=(Denied,),
    sends=("Link",),
)
async def list_holds(request: web.Request, actor: Actor, query: HoldsQuery) -> web.StreamResponse:
    """List legal holds, those placed last first; `Link` leads to the page after.

    For auditors and admins. Without `lifted=true`, only those in force.
    """
    holds = await service.list_holds(actor, request.app[RECORDER], query=query)
    headers = {}
    if len(holds) == query.limit:
        cursor = encode_cursor(holds[-1]["placed_at"], holds[-1]["_id"])
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response([hold_wire(each) for each in holds], headers=headers)


@routes.route(
    "POST",
    "/admin/holds",
    Action.HOLD_PLACE,
    scope=Scope.ADMIN,
    status=201,
    returns=HoldOut,
    errors=(Denied, KeyReused, NotFound),
)
async def place_hold(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: HoldIn
) -> web.StreamResponse:
    """Place a legal hold of all conversations of a user, or of one.

    For auditors and admins. Until it is lifted, nothing of them is deleted permanently, and removed
    and edited messages are kept.
    """
    key = await idempotency_key_of(request, headers)
    placed = await service.place(actor, wanted=body, idempotency_key=key)
    return json_response(hold_wire(placed), status=201)


@routes.route(
    "DELETE",
    "/admin/holds/{hold_id}",
    Action.HOLD_LIFT,
    scope=Scope.ADMIN,
    returns=HoldOut,
    errors=(Denied,),
)
async def lift_hold(_: web.Request, actor: Actor, path: HoldPath) -> web.StreamResponse:
    """Lift a legal hold.

    For auditors and admins. What was kept only because of it is deleted in the background.
    """
    return json_response(hold_wire(await service.lift(actor, hold_id=path.hold_id)))


@routes.route(
    "GET",
    "/admin/holds/{hold_id}/conversations",
    Action.HOLD_LIST_CONVERSATIONS,
    scope=Scope.ADMIN,
    returns=list[HeldConversationOut],
    errors=(Denied,),
    sends=("Link",),
)
async def list_held_conversations(
    request: web.Request, actor: Actor, path: HoldPath, query: HeldConversationsQuery
) -> web.StreamResponse:
    """List the conversations that a legal hold keeps, also those in the trash.

    For auditors. By id, without messages; `Link` leads to the page after.
    """
    found = await reading_service.list_conversations(
        actor,
        request.app[HELD_STORE],
        request.app[RECORDER],
        hold_id=path.hold_id,
        after=query.cursor,
        limit=query.limit,
    )
    headers = {}
    if len(found) == query.limit:
        cursor = encode_name_cursor(str(found[-1]["_id"]))
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response([held_wire(each) for each in found], headers=headers)


@routes.route(
    "GET",
    "/admin/holds/{hold_id}/conversations/{conversation_id}/messages",
    Action.HOLD_LIST_MESSAGES,
    scope=Scope.ADMIN,
    returns=list[HeldMessageOut],
    errors=(Denied,),
    sends=("Link",),
)
async def list_held_messages(
    request: web.Request, actor: Actor, path: HeldPath, query: HeldMessagesQuery
) -> web.StreamResponse:
    """List all messages that a legal hold keeps of a conversation.

    For auditors. First those of the conversation, on all branches; then earlier versions and
    removed messages; then those that were replaced as a whole. `Link` leads to the page after.
    """
    found = await reading_service.list_messages(
        actor,
        request.app[HELD_STORE],
        request.app[RECORDER],
        hold_id=path.hold_id,
        conversation_id=path.conversation_id,
        after=query.cursor,
        limit=query.limit,
    )
    headers = {}
    if len(found) == query.limit:
        cursor = encode_place(found[-1].place)
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response([held_message_wire(each) for each in found], headers=headers)
