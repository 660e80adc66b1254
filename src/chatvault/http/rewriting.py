"""Change the JSON of an answer that is ready."""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from chatvault.encoding import to_json
from chatvault.http.bodies import SMALL_BODY
from chatvault.http.requests import ACTOR
from chatvault.http.routing import BODIES


async def rewrite(
    request: web.Request, response: web.Response, change: Callable[[Any], object]
) -> None:
    """Change the value of a JSON answer; `change` returns the new value.

    A large answer is changed when no other large text is being worked on.

    Raises:
        Busy: there is no room for a large answer.
    """
    text = response.body
    if not isinstance(text, bytes) or not text:
        return
    if len(text) <= SMALL_BODY:
        response.body = to_json(change(orjson.loads(text)))
        return
    who = request[ACTOR].user_id or request[ACTOR].address
    async with request.app[BODIES].room(who, len(text)) as room:
        async with room.queue.take():
            value = orjson.loads(text)
        async with room.queue.take():
            value = change(value)
        async with room.queue.take():
            response.body = to_json(value)
