"""Routes that say whether the process runs, and whether it can do its work."""

import time

from aiohttp import web
from pydantic import BaseModel

from chatvault.http.requests import SETTINGS, json_response
from chatvault.http.routing import Routes
from chatvault.mongodb.database import Client, check_writable
from chatvault.tasks import Loops
from chatvault.version import VERSION

CLIENT = web.AppKey("client", Client)
LOOPS = web.AppKey("loops", Loops)
routes = Routes("health")


class HealthOut(BaseModel):
    """Alive."""

    status: str
    timestamp: float
    version: str


class ReadyOut(BaseModel):
    """Whether the database is reachable and writable, and if not, why.

    Attributes:
        failing: background loops of this process that failed just now and are started again.
    """

    status: str
    reason: str | None
    failing: list[str]


@routes.route("GET", "/health", None, returns=HealthOut, is_probe=True)
async def get_health(_request: web.Request) -> web.StreamResponse:
    """Say that the process is alive.

    Restart the process when it does not answer. It does not look at the database.
    """
    return json_response(HealthOut(status="healthy", timestamp=time.time(), version=VERSION))


@routes.route("GET", "/ready", None, returns=ReadyOut, other={503: ReadyOut}, is_probe=True)
async def get_ready(request: web.Request) -> web.StreamResponse:
    """Say whether the database takes writes; 503 and why if it does not.

    Send no traffic while it answers 503.
    """
    app = request.app
    reason = await check_writable(app[CLIENT], app[SETTINGS].mongodb_database)
    ready = ReadyOut(
        status="ready" if reason is None else "not_ready",
        reason=reason,
        failing=app[LOOPS].failing,
    )
    return json_response(ready, status=200 if reason is None else 503)
