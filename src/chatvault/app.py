"""The composition root: settings in, an application out, read from top to bottom."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from itertools import chain
from typing import Any

import aiohttp_session
from aiohttp import web

from chatvault import health, middlewares, openapi
from chatvault.accounts import routes as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.throttle import LoginThrottle
from chatvault.agents import routes as agents
from chatvault.agents.models import Offer
from chatvault.audit import routes as audit
from chatvault.audit.keys import load_key_ring
from chatvault.audit.recorder import Recorder
from chatvault.audit.refusals import RefusalCounter
from chatvault.conversations import message_routes as messages
from chatvault.conversations import routes as conversations
from chatvault.conversations import sweeper
from chatvault.conversations.headers import LANE
from chatvault.conversations.lane import Lane
from chatvault.counters import COLLECTION, CounterStorage
from chatvault.database import bind_documents, connect
from chatvault.keys import load_secret_key
from chatvault.preferences import routes as preferences
from chatvault.replies import routes as replies
from chatvault.sessions import routes as sessions
from chatvault.sessions.service import Gate
from chatvault.sessions.storage import SessionStorage
from chatvault.settings import Settings
from chatvault.web import MAX_BODY_BYTES, RECORDER, SECRET_KEY, SETTINGS

ROUTES = (
    health.routes,
    accounts.routes,
    sessions.routes,
    agents.routes,
    conversations.routes,
    messages.routes,
    preferences.routes,
    audit.routes,
    replies.routes,
    openapi.routes,
)


def create_app(settings: Settings, *, mongodb_url: str) -> web.Application:
    """The whole service, on the database behind the URL."""
    lifetime = timedelta(seconds=settings.session_lifetime)
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            middlewares.context,
            middlewares.error_table,
            middlewares.origins,
            aiohttp_session.session_middleware(SessionStorage(lifetime)),
            middlewares.authenticate,
        ],
    )
    app.on_response_prepare.append(middlewares.add_headers)
    app[SETTINGS] = settings
    app[RECORDER] = recorder = Recorder()
    app[middlewares.REFUSALS] = RefusalCounter(recorder)
    app[accounts.HASHER] = hasher = PasswordHasher(settings.bcrypt_rounds)
    app[LANE] = Lane()
    app[agents.OFFER] = Offer(settings.providers, settings.default_provider)
    app[health.CLIENT] = client = connect(mongodb_url, settings)
    audit_keys = load_key_ring(settings)
    app[SECRET_KEY] = key = load_secret_key(settings)
    storage = CounterStorage(client[settings.mongodb_database][COLLECTION])
    app[accounts.THROTTLE] = throttle = LoginThrottle(storage)
    app[sessions.GATE] = Gate(
        hasher=hasher,
        throttle=throttle,
        key=key,
        lifetime=lifetime,
    )

    async def database(_app: web.Application) -> AsyncIterator[None]:
        await bind_documents(client, settings.mongodb_database, audit_keys)
        await storage.create_indexes()
        yield
        await client.close()

    app.cleanup_ctx.extend((database, _passwords, _refusals, _sweeping))
    for routes in ROUTES:
        routes.add_to(app)
    app[openapi.DOCUMENT] = openapi.build_document(chain.from_iterable(ROUTES))
    return app


async def _passwords(app: web.Application) -> AsyncIterator[None]:
    yield
    app[accounts.HASHER].close()


async def _refusals(app: web.Application) -> AsyncIterator[None]:
    refusals = app[middlewares.REFUSALS]
    async with _in_background(refusals.run()):
        yield
    await refusals.close_minute()


async def _sweeping(app: web.Application) -> AsyncIterator[None]:
    async with _in_background(sweeper.run()):
        yield
    await app[LANE].drain()


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
