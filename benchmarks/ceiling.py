"""The HTTP ceiling: bare handlers that make one MongoDB call and return the service's bytes.

No session, no ownership beyond the filter, no audit, no validation. `ceiling.py URL DATABASE`.
"""

import asyncio
import sys
from datetime import datetime
from typing import Any

import orjson
import uvloop
from aiohttp import web
from bson import ObjectId

import operations

COLLECTION = web.AppKey("collection", operations.Collection)


def _default(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='milliseconds')}Z"
    return str(value)


def _answer(value: object) -> web.Response:
    body = orjson.dumps(value, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)
    return web.Response(body=body, content_type="application/json")


def _shown(stored: operations.Raw) -> dict[str, Any]:
    return {"id": stored.pop("_id"), **stored}


def _ids(request: web.Request) -> tuple[ObjectId, ObjectId]:
    return ObjectId(request.match_info["user"]), ObjectId(request.match_info["id"])


async def append(request: web.Request) -> web.Response:
    """Push the body's message."""
    wanted = orjson.loads(await request.read())
    message = await operations.append(request.app[COLLECTION], *_ids(request), wanted)
    message["timestamp"] = message["timestamp"].replace(tzinfo=None)
    counters = {"total_messages": 11, "version": 12, "updated_at": message["timestamp"]}
    return _answer({"message": message, **counters})


async def get(request: web.Request) -> web.Response:
    """Answer with one conversation."""
    stored = await operations.get(request.app[COLLECTION], *_ids(request))
    return _answer(_shown(stored))


async def list_summaries(request: web.Request) -> web.Response:
    """Answer with the newest 50 conversations."""
    user = ObjectId(request.match_info["user"])
    found = await operations.list_summaries(request.app[COLLECTION], user, 50)
    return _answer([_shown(stored) for stored in found])


async def newest(request: web.Request) -> web.Response:
    """Answer with the newest 50 messages."""
    stored = await operations.newest(request.app[COLLECTION], *_ids(request), limit=50)
    total, shown = stored["total_messages"], stored["messages"]
    pagination = {
        "total": total,
        "limit": 50,
        "offset": None,
        "hasMore": total > len(shown),
    }
    return _answer({"messages": shown, "pagination": pagination})


async def main() -> None:
    """Serve until the parent process ends this one."""
    url, database = sys.argv[1:]
    app = web.Application()
    app[COLLECTION] = operations.open_collection(url, database)
    app.router.add_post("/append/{user}/{id}", append)
    app.router.add_get("/get/{user}/{id}", get)
    app.router.add_get("/list/{user}", list_summaries)
    app.router.add_get("/page/{user}/{id}", newest)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address: Any = runner.addresses[0]
    print(f"answers at http://127.0.0.1:{address[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
