"""The HTTP route of the list of conversations."""

from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.lists import service as list_service
from chatvault.conversations.lists.changed import Since
from chatvault.conversations.lists.filters import Position, Sort
from chatvault.conversations.lists.schemas import ListFilter
from chatvault.conversations.lists.service import ListRequest, ListsAttached, Page
from chatvault.conversations.lists.shared import SharedPage, role_of
from chatvault.conversations.reading.listing import MAX_LISTED
from chatvault.conversations.reading.wire import conversation_wire, summary_wire, trash_wire
from chatvault.conversations.routes import STORE
from chatvault.conversations.schemas import (
    ConversationOut,
    ConversationSummary,
    DeletedConversation,
    SharedConversation,
)
from chatvault.cursors import encode_cursor
from chatvault.fields import Instant
from chatvault.http.requests import RECORDER, SETTINGS, json_response, link_to, page_links
from chatvault.http.routing import Routes

LIST_ATTACHED: web.AppKey[ListsAttached] = web.AppKey("list_attached")
START = "start"
# What a list of changes can be asked for.
OF_CHANGES = frozenset({"limit", "view", "cursor", "updated_since"})
OF_SHARED = frozenset({"limit", "view", "cursor", "shared"})
# The parameters of the first versions: whoever names no other gets a total unasked.
WITH_TOTAL = frozenset({"limit", "offset", "status", "agent_id", "view", "cursor"})
routes = Routes("conversations")


def _decode(text: object) -> Position | Since:
    try:
        return Since.decode(text)
    except PydanticCustomError:
        return Position.decode(text)


class ListQuery(ListFilter):
    """The query of a list of conversations."""

    limit: int = Field(100, ge=1, le=MAX_LISTED)
    offset: int = Field(0, ge=0, le=10**9)
    updated_since: Instant | None = Field(
        None,
        description="what changed from this time on, the oldest change first, and what was deleted;"
        " with no other condition",
    )
    shared: Literal["with_me"] | None = Field(
        None,
        description="what others share with me, granted last first, without messages; with no other"
        " condition",
    )
    sort: Sort = Field(
        Sort.UPDATED,
        description="times newest first, titles from A to Z; the trash is sorted by `deleted` only",
    )
    view: str = Field("full", pattern="^(full|summary)$")
    cursor: Annotated[
        Any,
        BeforeValidator(lambda text: text if text in {None, START} else _decode(text)),
        Field(
            description="`start`, or where the page before ended: changes neither hide nor repeat "
            "a conversation that is not changed itself",
            json_schema_extra={"type": "string"},
        ),
    ] = None
    count: bool | None = Field(
        None, description="whether `X-Total-Count` is sent; unasked only for the first filters"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cursor is not None and self.offset:
            raise PydanticCustomError("cursor", "A cursor and an offset exclude each other")
        of_changes = self.updated_since is not None
        is_other = isinstance(self.cursor, Position) and self.cursor.sort is not self.order
        if is_other or (self.cursor not in {None, START} and self._is_since != of_changes):
            raise PydanticCustomError("cursor", "The cursor is one of a list in another order")
        if of_changes and not self.model_fields_set <= OF_CHANGES:
            raise PydanticCustomError("updated_since", "updated_since goes with no other condition")
        if self.shared is not None and not self.model_fields_set <= OF_SHARED:
            raise PydanticCustomError("shared", "shared goes with no other condition")
        if "sort" in self.model_fields_set and self.in_trash != (self.sort is Sort.DELETED):
            raise PydanticCustomError("sort", "The trash, and nothing else, is sorted by `deleted`")
        return self

    @property
    def order(self) -> Sort:
        """The order of the list."""
        return Sort.DELETED if self.in_trash else self.sort

    @property
    def _is_since(self) -> bool:
        return isinstance(self.cursor, Since)

    @property
    def _start(self) -> int | Position | Since:
        if self.cursor not in {None, START}:
            found: Position | Since = self.cursor
            return found
        return self.offset if self.updated_since is None else Since(self.updated_since)

    def to_request(self) -> ListRequest:
        """Return what is wanted."""
        counted = self.model_fields_set <= WITH_TOTAL if self.count is None else self.count
        return ListRequest(
            selection=self.to_selection(),
            sort=self.order,
            limit=self.limit,
            start=self._start,
            with_messages=self.view == "full",
            counted=counted,
            shared=self.shared is not None,
        )


@routes.route(
    "GET",
    "/conversations",
    Action.CONVERSATION_LIST,
    scope=Scope.CONVERSATIONS_READ,
    returns=list[ConversationOut | SharedConversation | ConversationSummary | DeletedConversation],
    sends=("Link", "X-Total-Count"),
)
async def list_conversations(
    request: web.Request, actor: Actor, query: ListQuery
) -> web.StreamResponse:
    """List my conversations, newest change first, or in another order.

    Each with its messages as far as they fit, or without them with `view=summary`. `Link` leads
    to the pages around. With `updated_since` it is a list of changes, which tells deletions, too.
    With `status=deleted` it is the trash: without messages, with the time of the final deletion.
    With `shared=with_me` it is what others share with me: without messages, with my role.
    """
    page = await list_service.list_page(
        actor,
        request.app[STORE],
        request.app[RECORDER],
        request.app[LIST_ATTACHED],
        wanted=query.to_request(),
    )
    if page.shared is not None:
        return _shared(request, page.shared)
    whole, plain = map(conversation_wire, page.whole), map(summary_wire, page.documents)
    shown = [*whole] if query.view == "full" else [*plain]
    if query.in_trash:
        days = request.app[SETTINGS].trash_days
        for wire, stored in zip(shown, page.documents, strict=True):
            wire.update(trash_wire(stored, days=days, is_held=page.holds.cover(stored["_id"])))
    for place, each in reversed(page.deleted):
        shown.insert(place, {"id": each.id, "deleted": True, "deleted_at": each.at})
    return json_response(shown, headers=_links(request, query, page))


def _shared(request: web.Request, page: SharedPage) -> web.StreamResponse:
    """Return the answer with what others share with the caller."""
    shown = [
        {**summary_wire(stored), **role_of(grant, page.names)}
        for stored, grant in page.conversations
    ]
    headers = {}
    if page.following is not None:
        cursor = encode_cursor(*page.following)
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response(shown, headers=headers)


def _links(request: web.Request, query: ListQuery, page: Page) -> dict[str, str]:
    """Return `Link` to the pages around, and `X-Total-Count` where they were counted."""
    if page.following is not None:
        return {"Link": f'<{link_to(request, cursor=page.following.encode())}>; rel="next"'}
    if query.updated_since is not None:
        return {}
    if query.cursor is None:
        return page_links(
            request,
            limit=query.limit,
            offset=query.offset,
            total=page.total,
            has_more=page.has_more,
        )
    headers = {} if page.total is None else {"X-Total-Count": str(page.total)}
    if page.has_more:
        cursor = Position.after(query.order, page.documents[-1]).encode()
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return headers
