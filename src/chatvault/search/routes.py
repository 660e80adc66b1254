"""Searching over HTTP."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.agents.models import DEFAULT_AGENT_ID
from chatvault.audit.actions import Action
from chatvault.conversations.grants import without_order
from chatvault.conversations.schemas import stored_agent_id
from chatvault.cursors import encode_name_cursor
from chatvault.fields import Raw
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import Routes
from chatvault.search import service, snippets
from chatvault.search.schemas import SearchOut, SearchQuery
from chatvault.search.searcher import Searcher
from chatvault.search.states import to_milliseconds
from chatvault.search.terms import InvalidQuery, Query, parse
from chatvault.search.verifying import Wanted

SEARCHER = web.AppKey("searcher", Searcher)
routes = Routes("search")


@routes.route(
    "GET",
    "/search",
    Action.CONVERSATION_SEARCH,
    scope=Scope.CONVERSATIONS_READ,
    returns=SearchOut,
    errors=(InvalidQuery,),
)
async def search_conversations(
    request: web.Request, actor: Actor, query: SearchQuery
) -> web.StreamResponse:
    """Find messages and titles by their words, best first: mine, and those shared with me.

    Each result is a conversation with its best hits; with `conversation_id` each hit of that one
    counts. `indexed` says which share of my messages was searched: below 1 the index is being
    built, and a repeat finds more.
    """
    words = parse(query.q, typing=query.typing)
    answer = await service.search(
        actor,
        request.app[SEARCHER],
        request.app[RECORDER],
        wanted=_wanted(query, words),
        limit=query.limit,
        offset=query.cursor or 0,
        category=query.category,
    )
    return json_response(
        {
            "results": [_result_wire(each, words) for each in answer.results],
            "total": answer.total,
            "about": answer.about,
            "indexed": round(answer.indexed, 4),
            "took_ms": answer.took_ms,
            "next_cursor": None
            if answer.next_offset is None
            else encode_name_cursor(str(answer.next_offset)),
        }
    )


def _wanted(query: SearchQuery, words: Query) -> Wanted:
    agents = None
    if query.agent_id is not None:
        agents = (query.agent_id, stored_agent_id(query.agent_id))
    return Wanted(
        query=words,
        role=query.role,
        agents=agents,
        tag=query.tag,
        status=query.status,
        since=None if query.since is None else to_milliseconds(query.since),
        until=None if query.until is None else to_milliseconds(query.until),
        conversation_id=query.conversation_id,
    )


def _result_wire(result: service.Result, words: Query) -> Raw:
    conversation, owner_id = result.hits[0].verified.conversation, result.hits[0].owner_id
    if owner_id is not None:
        conversation = without_order(conversation)
    title = conversation["title"]
    has_title = words.asks_titles or any(hit.is_title for hit in result.hits)
    return {
        "conversation": {
            "id": conversation["_id"],
            "title": title,
            "title_marks": snippets.cut(title, words, is_title=True) if has_title else None,
            "tags": conversation["tags"],
            "status": conversation["status"],
            "agent_id": conversation.get("agent_id") or DEFAULT_AGENT_ID,
            "updated_at": conversation["updated_at"],
            "last_message_at": conversation["last_message_at"],
            "owner_id": owner_id,
        },
        "hits": [_hit_wire(hit, words) for hit in result.hits if not hit.is_title],
    }


def _hit_wire(hit: service.Hit, words: Query) -> Raw:
    message = hit.verified.message
    if message is None:
        return {}
    return {
        "message_id": message["id"],
        "seq": hit.candidate.seq,
        "role": message.get("role"),
        "timestamp": message.get("timestamp"),
        "score": round(hit.candidate.score, 4),
        "snippet": hit.verified.snippet(words),
    }
