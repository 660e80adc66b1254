"""HTTP routes of groups, and of what is shared with them."""

from aiohttp import web

from chatvault.access import InsufficientGrant
from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.schemas import ConversationPath
from chatvault.errors import Throttled
from chatvault.groups import grants_service, service
from chatvault.groups.errors import (
    ClaimInUse,
    ClaimsOff,
    GroupNotFound,
    NotManager,
    TooManyGroupGrants,
    TooManyGroups,
    TooManyMembers,
)
from chatvault.groups.expansion import GroupDeps
from chatvault.groups.schemas import (
    GroupChangeIn,
    GroupGrantIn,
    GroupGrantOut,
    GroupGrantPath,
    GroupGrantsOut,
    GroupIn,
    GroupOut,
    GroupPath,
    GroupsOut,
    MemberIn,
    MemberOut,
    MemberPath,
    grant_wire,
    group_wire,
    member_wire,
    summary_wire,
)
from chatvault.http.requests import IdempotencyHeaders, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused
from chatvault.sharing.service import UserNotFound
from chatvault.sharing.terms import Terms

GROUP_DEPS = web.AppKey("group_deps", GroupDeps)
GROUP = "/groups/{group_id}"
MEMBER = f"{GROUP}/members/{{user}}"
GRANTS = "/conversations/{conversation_id}/group-grants"
routes = Routes("groups")


@routes.route(
    "GET", "/groups", Action.GROUP_LIST, scope=Scope.CONVERSATIONS_READ, returns=GroupsOut
)
async def list_groups(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List the groups that I am in.

    Those that I joined last come first, at most 1,000, without their members.
    """
    found = await service.list_groups(actor, request.app[GROUP_DEPS])
    return json_response(GroupsOut(groups=[summary_wire(each) for each in found]))


@routes.route(
    "POST",
    "/groups",
    Action.GROUP_CREATE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=GroupOut,
    errors=(KeyReused, TooManyGroups),
)
async def create_group(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: GroupIn
) -> web.StreamResponse:
    """Make a group.

    I am its owner and its first member.
    """
    made = await service.create(
        actor,
        name=body.name,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return json_response(group_wire(made), status=201)


@routes.route(
    "GET",
    GROUP,
    Action.GROUP_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=GroupOut,
    errors=(GroupNotFound,),
)
async def get_group(request: web.Request, actor: Actor, path: GroupPath) -> web.StreamResponse:
    """Show a group that I am in.

    All its members see each other with their roles.
    """
    found = await service.get(actor, request.app[GROUP_DEPS], group_id=path.group_id)
    return json_response(group_wire(found))


@routes.route(
    "PATCH",
    GROUP,
    Action.GROUP_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=GroupOut,
    errors=(GroupNotFound, NotManager, ClaimsOff, ClaimInUse),
)
async def change_group(
    request: web.Request, actor: Actor, path: GroupPath, body: GroupChangeIn
) -> web.StreamResponse:
    """Give a group another name, or bind it to a group at the identity provider.

    The name is changed by its owner and its managers, `claim` by its owner, who is an
    administrator. Who has that value among the groups that the provider tells joins at sign-in.
    """
    fields = body.model_dump(exclude_unset=True)
    changed = await service.update(
        actor, request.app[GROUP_DEPS], group_id=path.group_id, fields=fields
    )
    return json_response(group_wire(changed))


@routes.route(
    "DELETE",
    GROUP,
    Action.GROUP_DELETE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(GroupNotFound, NotManager),
)
async def remove_group(request: web.Request, actor: Actor, path: GroupPath) -> web.StreamResponse:
    """Remove a group.

    What was shared with it ends for all its members. For its owner alone.
    """
    await service.remove(actor, request.app[GROUP_DEPS], group_id=path.group_id)
    return web.Response(status=204)


@routes.route(
    "PUT",
    MEMBER,
    Action.GROUP_SET_MEMBER,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=MemberOut,
    errors=(GroupNotFound, NotManager, Throttled, TooManyMembers, UserNotFound),
)
async def set_member(
    request: web.Request, actor: Actor, path: MemberPath, body: MemberIn
) -> web.StreamResponse:
    """Add somebody to a group, or change their role.

    For its owner and its managers; only the owner makes managers, and changes them. `{user}` is a
    username or a user's id.
    """
    member = await service.set_member(
        actor, request.app[GROUP_DEPS], group_id=path.group_id, user=path.user, role=body.role
    )
    return json_response(member_wire(member))


@routes.route(
    "DELETE",
    MEMBER,
    Action.GROUP_REMOVE_MEMBER,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(GroupNotFound, NotManager),
)
async def remove_member(request: web.Request, actor: Actor, path: MemberPath) -> web.StreamResponse:
    """Remove somebody from a group, or leave it.

    What was shared with them by it has ended then.
    """
    await service.remove_member(
        actor, request.app[GROUP_DEPS], group_id=path.group_id, user=path.user
    )
    return web.Response(status=204)


@routes.route(
    "GET",
    GRANTS,
    Action.CONVERSATION_LIST_GRANTS,
    scope=Scope.CONVERSATIONS_READ,
    returns=GroupGrantsOut,
    errors=(InsufficientGrant,),
)
async def list_group_grants(
    request: web.Request, actor: Actor, path: ConversationPath
) -> web.StreamResponse:
    """List with which groups a conversation is shared.

    The oldest grant comes first. For the owner of the conversation.
    """
    found = await grants_service.list_grants(
        actor, request.app[GROUP_DEPS], conversation_id=path.conversation_id
    )
    return json_response(GroupGrantsOut(grants=[grant_wire(each) for each in found]))


@routes.route(
    "PUT",
    f"{GRANTS}/{{group_id}}",
    Action.CONVERSATION_SHARE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=GroupGrantOut,
    errors=(InsufficientGrant, Throttled, GroupNotFound, TooManyGroupGrants),
)
async def set_group_grant(
    request: web.Request, actor: Actor, path: GroupGrantPath, body: GroupGrantIn
) -> web.StreamResponse:
    """Share a conversation with all members of a group, also with those who join later.

    For its owner, who is in the group. Beside a grant to one of the members alone, the stronger
    role holds.
    """
    grant = await grants_service.set_grant(
        actor,
        request.app[GROUP_DEPS],
        conversation_id=path.conversation_id,
        group_id=path.group_id,
        terms=Terms(**dict(body)),
    )
    return json_response(grant_wire(grant))


@routes.route(
    "DELETE",
    f"{GRANTS}/{{group_id}}",
    Action.CONVERSATION_UNSHARE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(InsufficientGrant,),
)
async def end_group_grant(
    request: web.Request, actor: Actor, path: GroupGrantPath
) -> web.StreamResponse:
    """End a grant to a group.

    It ends at once for all its members. For the owner of the conversation.
    """
    await grants_service.end_grant(
        actor,
        request.app[GROUP_DEPS],
        conversation_id=path.conversation_id,
        group_id=path.group_id,
    )
    return web.Response(status=204)
