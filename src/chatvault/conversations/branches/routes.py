"""HTTP routes of a conversation's branches."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.branches import service as branch_service
from chatvault.conversations.branches.service import Fork, ForkPage, ReplyUnderWay
from chatvault.conversations.message_schemas import ActiveLeafIn, ActiveLeafOut, ForksOut
from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.schemas import ConversationPath
from chatvault.conversations.tree import ROOT
from chatvault.fields import Raw
from chatvault.http.requests import RECORDER, etag, json_response
from chatvault.http.routing import Routes

routes = Routes("branches")


class ForksQuery(BaseModel):
    """The query of a list of forks: the newest after messages of a lower `seq`."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000)
    before: int | None = Field(None, ge=-1, le=2**53)


@routes.route(
    "GET",
    "/conversations/{conversation_id}/forks",
    Action.CONVERSATION_LIST_FORKS,
    scope=Scope.CONVERSATIONS_READ,
    returns=ForksOut,
)
async def list_forks(
    request: web.Request, actor: Actor, path: ConversationPath, query: ForksQuery
) -> web.StreamResponse:
    """List where a conversation divides into branches, the newest places first.

    Each fork has the messages with the same parent, and names the one that is shown.
    """
    page = await branch_service.list_forks(
        actor,
        request.app[STORE],
        request.app[RECORDER],
        conversation_id=path.conversation_id,
        limit=query.limit,
        before=query.before,
    )
    forks = [_fork_wire(page, fork) for fork in page.forks]
    return json_response({"forks": forks, "total": page.total, "hasMore": page.has_more})


def _fork_wire(page: ForkPage, fork: Fork) -> Raw:
    first, ids = page.first_seq, page.ids
    return {
        "parent_id": None if fork.parent == ROOT else ids.get(fork.parent),
        "parent_seq": fork.parent + first,
        "messages": [
            {"id": ids[place], "seq": place + first} for place in fork.children if place in ids
        ],
        "total": fork.total,
        "active_id": None if fork.active is None else ids.get(fork.active),
    }


@routes.route(
    "PUT",
    "/conversations/{conversation_id}/active-leaf",
    Action.CONVERSATION_SHOW_BRANCH,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ActiveLeafOut,
    errors=(ReplyUnderWay,),
    sends=("ETag",),
)
async def show_branch(
    request: web.Request, actor: Actor, path: ConversationPath, body: ActiveLeafIn
) -> web.StreamResponse:
    """Show the branch with a message, up to its newest message or only up to this one.

    Messages that are appended follow the last one of the branch that is shown.
    """
    shown = await branch_service.show_branch(
        actor, request.app[COMMITS], conversation_id=path.conversation_id, wanted=body
    )
    answer = {
        "active_leaf": shown.message_id,
        "total_messages": shown.total_messages,
        "version": shown.version,
    }
    return json_response(answer, headers={"ETag": etag(shown.version)})
