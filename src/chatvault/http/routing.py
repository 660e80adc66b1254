"""The route registry: a handler's signature says what is parsed, and documents it too.

A handler takes the request and, by name, what it needs: `actor` (somebody signed in), `caller`
(anyone), and `path`, `query`, `headers`, `body`, each a pydantic model.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web
from bson import ObjectId
from pydantic import BaseModel

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.errors import (
    ChatvaultError,
    NotAuthenticated,
    NotFound,
    RateReached,
    SessionRequired,
)
from chatvault.http.bodies import BODY, SMALL_BODY, Bodies, Room, read_body, size_to_expect
from chatvault.http.dialects import Dialect, Names
from chatvault.http.limiting import ADMIT, RATES, class_of
from chatvault.http.requests import (
    ACTOR,
    IdempotencyHeaders,
    parse_body,
    parse_headers,
    parse_path,
    parse_query,
)
from chatvault.limits import OperationClass

# Finds whether the actor is a guest of a conversation; None if nobody granted it to them.
FindGuest = Callable[[Actor, ObjectId], Awaitable[Actor | None]]
BODIES = web.AppKey("bodies", Bodies)
FIND_GUEST: web.AppKey[FindGuest] = web.AppKey("find_guest")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Awaitable[web.StreamResponse]]
PlainHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PARSED = ("path", "query", "headers", "body")
# In place of a scope: no API key may call the operation.
SESSION_ONLY: Final = "session"
Demand = Scope | Literal["session"]
JSON = "application/json"
TRUE = frozenset({"true", "1"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One route: its path, its answers, and the name under which it is audited.

    Attributes:
        action: None for routes that are not audited: health, the docs.
        scope: the scope that an API key needs, or `SESSION_ONLY`; None if anyone may call it.
        limited_as: the class of limits of requests a minute that it counts against.
        is_public: whether anyone may call it.
        knows_caller: whether it needs to know the caller, signed in or not.
        is_probe: whether machines call it repeatedly to check the service.
        checks_origin: whether it refuses foreign pages although it only reads: a browser would let
            them read a WebSocket.
        models: the models of `path`, `query`, `headers` and `body`.
        max_body: how many bytes the body may have.
        returns: the model of the answer's JSON, or a type pydantic knows; None for no body.
        media: the media types of its answers.
        errors: its errors beyond those that its signature implies.
        other: its answers with other statuses that are not errors: a model, or a media type.
        sends: the names of headers that its answers may have, except those that all have.
        takes: describes a body that the handler reads itself.
        media_taken: the media type of such a body if it is read piece by piece, whatever its size;
            empty for one that is read whole, as JSON or whatever it is.
        dialect: other names that it understands.
        instead: a query parameter that, being true, chooses another operation, and this operation.
    """

    method: Method
    path: str
    handler: Handler
    action: Action | None
    scope: Demand | None
    limited_as: OperationClass | None
    is_public: bool
    knows_caller: bool
    is_probe: bool
    checks_origin: bool
    models: dict[str, type[BaseModel]]
    max_body: int
    status: int
    returns: Any
    media: tuple[str, ...]
    errors: tuple[type[ChatvaultError], ...]
    other: dict[int, Any]
    sends: tuple[str, ...]
    takes: str
    media_taken: str
    tag: str
    dialect: Dialect | None = None
    instead: tuple[str, "Operation"] | None = None

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Parse what the handler needs, and return its answer."""
        given = self._identify(request)
        if self.limited_as is not None:
            await self._admit(request, self.limited_as)
        if self.dialect is None or (names := self.dialect.read(request)) is None:
            return await self._serve(request, given, None)
        response = await self._serve(request, given, names)
        if isinstance(response, web.Response) and response.content_type == JSON:
            await self.dialect.show(request, names, response)
        return response

    async def _admit(self, request: web.Request, kind: OperationClass) -> None:
        """Count the request against the limits of the caller's.

        Raises:
            RateReached: a limit is reached.
        """
        try:
            request[RATES] = await request.app[ADMIT](request[ACTOR], kind)
        except RateReached as error:
            request[RATES] = error.states
            raise

    def chosen_by(self, request: web.Request) -> "Operation":
        """Return the operation that a request is for: this one, or the other of its path."""
        if self.instead is None or request.query.get(self.instead[0]) not in TRUE:
            return self
        return self.instead[1]

    def _identify(self, request: web.Request) -> dict[str, Any]:
        """Return who asks, as far as the handler needs it."""
        if self.is_public:
            return {"caller": request[ACTOR]} if self.knows_caller else {}
        actor = request[ACTOR]
        if actor.user_id is None:
            raise NotAuthenticated
        if actor.key_id is not None:
            self._admit_key(actor)
        return {"actor": actor}

    async def _serve(
        self, request: web.Request, given: dict[str, Any], names: Names | None
    ) -> web.StreamResponse:
        if "path" in self.models:
            given["path"] = parse_path(request, self.models["path"])
        if "query" in self.models:
            given["query"] = parse_query(request, self.models["query"], names)
        if "headers" in self.models:
            given["headers"] = parse_headers(request, self.models["headers"])
        if self.media_taken:
            # Such a body can be read once only.
            return await self.handler(request, **given)
        expected = size_to_expect(request, self.max_body)
        if expected <= SMALL_BODY:
            return await self._answer(request, given, None)
        who = request[ACTOR].user_id or request[ACTOR].address
        async with request.app[BODIES].room(who, expected) as room:
            try:
                return await self._answer(request, given, room)
            finally:
                # The connection keeps its last request until the next one comes.
                request.pop(BODY, None)

    def _admit_key(self, actor: Actor) -> None:
        """Raise unless the actor's API key may be used for this.

        Raises:
            SessionRequired: no API key may.
            InsufficientScope: it lacks the scope.
        """
        if not isinstance(self.scope, Scope):
            raise SessionRequired
        actor.require_scope(self.scope)

    async def _answer(
        self, request: web.Request, given: dict[str, Any], room: Room | None
    ) -> web.StreamResponse:
        if "body" in self.models:
            given["body"] = await parse_body(
                request,
                self.models["body"],
                limit=self.max_body,
                room=room,
                dialect=self.dialect,
            )
        elif "headers" in self.models and issubclass(self.models["headers"], IdempotencyHeaders):
            # A request identified by its key is identified by its body, too.
            await read_body(request, self.max_body)
        return await self._handle(request, given)

    async def _handle(self, request: web.Request, given: dict[str, Any]) -> web.StreamResponse:
        """Return the handler's answer; if it finds nothing, ask again for a guest.

        So only who has no such conversation causes the query for a grant.
        """
        conversation_id = getattr(given.get("path"), "conversation_id", None)
        if conversation_id is None or "actor" not in given:
            return await self.handler(request, **given)
        try:
            return await self.handler(request, **given)
        except NotFound:
            guest = await request.app[FIND_GUEST](given["actor"], conversation_id)
            if guest is None:
                raise
        return await self.handler(request, **{**given, "actor": guest})


@dataclass(slots=True)
class Routes:
    """The operations of one domain.

    Args:
        tag: the domain's name on the docs page.
    """

    tag: str
    operations: list[Operation] = field(default_factory=list)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def route(  # noqa: PLR0913  # each is named where it is used
        self,
        method: Method,
        path: str,
        action: Action | None,
        *,
        scope: Demand | None = None,
        status: int = 200,
        returns: Any = None,
        media: tuple[str, ...] = ("application/json",),
        errors: tuple[type[ChatvaultError], ...] = (),
        other: dict[int, Any] | None = None,
        sends: tuple[str, ...] = (),
        takes: str = "",
        media_taken: str = "",
        max_body: int = SMALL_BODY,
        is_probe: bool = False,
        checks_origin: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Register the decorated handler; the arguments are those of `Operation`.

        Raises:
            TypeError: an operation of a user's states no scope, or one of anybody's does.
        """

        def register(handler: Handler) -> Handler:
            parameters = inspect.signature(handler, eval_str=True).parameters
            if ("actor" in parameters) is (scope is None):
                raise TypeError(f"{method} {path}: exactly what has an actor states a scope")
            self.operations.append(
                Operation(
                    method=method,
                    path=path,
                    handler=handler,
                    action=action,
                    scope=scope,
                    limited_as=class_of(method, path, scope),
                    is_public="actor" not in parameters,
                    knows_caller="actor" in parameters or "caller" in parameters,
                    models={
                        name: parameters[name].annotation for name in PARSED if name in parameters
                    },
                    is_probe=is_probe,
                    checks_origin=checks_origin,
                    max_body=max_body,
                    status=status,
                    returns=returns,
                    media=media,
                    errors=errors,
                    other=other or {},
                    sends=sends,
                    takes=takes,
                    media_taken=media_taken,
                    tag=self.tag,
                )
            )
            return handler

        return register

    def add_to(self, app: web.Application) -> None:
        """Register these operations with the application."""
        for operation in self.operations:
            add = app.router.add_get if operation.method == "GET" else None
            handler = _as_handler(operation)
            if add is not None:
                add(operation.path, handler)
            else:
                app.router.add_route(operation.method, operation.path, handler)


def _as_handler(operation: Operation) -> PlainHandler:
    # aiohttp needs a coroutine function; the operation is attached to it for the middlewares.
    async def handle(request: web.Request) -> web.StreamResponse:
        return await operation.chosen_by(request)(request)

    handle.operation = operation  # type: ignore[attr-defined]  # read by operation_of
    return handle


def quiet(handler: PlainHandler) -> PlainHandler:
    """Mark a handler whose requests are many and not logged."""
    handler.is_quiet = True  # type: ignore[attr-defined]  # read by is_quiet
    return handler


def is_quiet(request: web.Request) -> bool:
    """Whether a request is not logged: a file of the page."""
    return getattr(request.match_info.handler, "is_quiet", False)


def operation_of(request: web.Request) -> Operation | None:
    """Return the operation of a request; None for unknown paths and methods."""
    found: Operation | None = getattr(request.match_info.handler, "operation", None)
    return None if found is None else found.chosen_by(request)
