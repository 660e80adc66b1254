"""The background work of an application, which begins and ends with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

import structlog
from aiohttp import web
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.accounts import routes as accounts
from chatvault.agents import routes as agents
from chatvault.agents.models import ModelCatalog
from chatvault.api_keys.finder import KeyFinder
from chatvault.attachments import files
from chatvault.batches import routes as batches
from chatvault.batches.worker import BatchWorker
from chatvault.commands.models import Command
from chatvault.commands.runner import CommandRunner
from chatvault.commands.servers import Servers
from chatvault.completions import routes as completions
from chatvault.conversations.authors import release_shared
from chatvault.conversations.commits import garbage
from chatvault.conversations.notes import Note
from chatvault.conversations.routes import COMMITS, STORE
from chatvault.conversations.trash import purging
from chatvault.conversations.trash import routes as trash
from chatvault.erasure.worker import Eraser
from chatvault.exporting import routes as exports
from chatvault.exporting.jobs.worker import ExportWorker
from chatvault.groups import routes as groups
from chatvault.groups.claims import ClaimWorker
from chatvault.groups.expansion import Expander
from chatvault.http import health, middlewares
from chatvault.http.requests import SETTINGS
from chatvault.importing.jobs import routes as import_jobs
from chatvault.importing.jobs.runner import ImportRunner
from chatvault.live import routes as live
from chatvault.live.sessions import SessionWatch
from chatvault.oidc import routes as oidc
from chatvault.quotas import routes as quotas
from chatvault.replies import routes as replies
from chatvault.replies.jobs import Worker
from chatvault.replies.models import Job, Reply, ReplyEvents
from chatvault.replies.runner import ReplyRunner
from chatvault.retention import worker as retention
from chatvault.sealing import routes as sealing
from chatvault.sealing.maintenance import Maintenance
from chatvault.search import files as search_files
from chatvault.search import routes as search
from chatvault.search.searcher import run_collection
from chatvault.settings import Settings, key_variables_given
from chatvault.usage.metering import count_again

KEY_FINDER = web.AppKey("api_key_finder", KeyFinder)
RUNNER = web.AppKey("runner", ReplyRunner)
COMMANDS = web.AppKey("commands", CommandRunner)
SERVERS = web.AppKey("servers", Servers)
# The worker of background jobs, and that of jobs that a person waits for.
WORKERS = web.AppKey("workers", tuple[Worker, Worker])
ERASER = web.AppKey("eraser", Eraser)
SESSION_WATCH = web.AppKey("session_watch", SessionWatch)
# Some of these renew leases of ten seconds; others end what revoked sessions and keys have open.
MAX_KEEPERS_PAUSE = 2.0
log = structlog.get_logger()


async def _passwords(app: web.Application) -> AsyncIterator[None]:
    yield
    app[accounts.HASHER].close()


async def _exports(app: web.Application) -> AsyncIterator[None]:
    deps = app[exports.EXPORT_DEPS]
    async with deps.typesetter, app[health.LOOPS].run("exports", ExportWorker(deps).run):
        yield


async def _groups(app: web.Application) -> AsyncIterator[None]:
    deps, loops = app[groups.GROUP_DEPS], app[health.LOOPS]
    claims = ClaimWorker(deps, app[oidc.OIDC_DEPS].claims_due)
    async with loops.run("groups", Expander(deps).run), loops.run("claims", claims.run):
        yield


async def _batches(app: web.Application) -> AsyncIterator[None]:
    async with app[health.LOOPS].run("batches", BatchWorker(app[batches.BATCH_DEPS]).run):
        yield


async def _refusals(app: web.Application) -> AsyncIterator[None]:
    refusals = app[middlewares.REFUSALS]
    async with app[health.LOOPS].run("refusals", refusals.run):
        yield
    await refusals.close_minute()


async def _quotas(app: web.Application) -> AsyncIterator[None]:
    limits, loops = app[quotas.QUOTAS], app[health.LOOPS]
    await limits.book.read()
    async with (
        loops.run("quotas", limits.book.run),
        loops.run("usage", limits.ledger.run),
        loops.run("stored_totals", count_again),
    ):
        yield
    with contextlib.suppress(PyMongoError):
        await limits.ledger.flush()


async def _keys(app: web.Application) -> AsyncIterator[None]:
    finder = app[KEY_FINDER]
    async with app[health.LOOPS].run("api_keys", finder.run, max_pause=MAX_KEEPERS_PAUSE):
        yield
    with contextlib.suppress(PyMongoError):
        await finder.note_uses()


async def _replies(app: web.Application) -> AsyncIterator[None]:
    _log_models(app[SETTINGS], app[agents.MODEL_CATALOG])
    behind, ahead = app[WORKERS]
    loops = app[health.LOOPS]
    async with (
        loops.run("replies", app[RUNNER].keep, max_pause=MAX_KEEPERS_PAUSE),
        loops.run("jobs_behind", behind.run),
        loops.run("jobs_ahead", ahead.run),
    ):
        yield
    await app[completions.MODELS].close()


def _log_models(settings: Settings, catalog: ModelCatalog) -> None:
    setting = "CHATVAULT_PROVIDERS"
    for variable, provider in zip(settings.key_variables, catalog.providers.values(), strict=False):
        event = f"model_by_{variable.lower()}"
        log.info(event, model=provider.model, instead_of=setting)
    if not catalog.providers and (given := key_variables_given()):
        log.info("no_model_is_configured", setting=setting, ignored=",".join(given))
    elif not catalog.providers:
        log.info("no_model_is_configured", setting=setting)


async def _commands(app: web.Application) -> AsyncIterator[None]:
    app[SERVERS].open()
    loops = app[health.LOOPS]
    async with loops.run("commands", app[COMMANDS].keep, max_pause=MAX_KEEPERS_PAUSE):
        yield
    await app[SERVERS].close()


async def _live(app: web.Application) -> AsyncIterator[None]:
    loops, deps = app[health.LOOPS], app[live.LIVE_DEPS]
    async with (
        loops.run("live", deps.hub.run, max_pause=MAX_KEEPERS_PAUSE),
        loops.run(
            "live_sessions",
            partial(app[SESSION_WATCH].run, deps.hub),
            max_pause=MAX_KEEPERS_PAUSE,
        ),
        loops.run("live_jobs", partial(deps.jobs.run, deps.hub)),
    ):
        yield


async def _end_live(app: web.Application) -> None:
    # Runs before the server waits for its connections.
    app[live.LIVE_DEPS].hub.stop()


async def _end_replies(app: web.Application) -> None:
    # Runs before the server waits for its connections, so that streams end with what they have.
    app[replies.REPLY_DEPS].event_log.stop()
    app[import_jobs.JOB_DEPS].closing.set()
    await asyncio.gather(app[RUNNER].close(), app[COMMANDS].close())


async def _release(owner_id: ObjectId, conversation_id: ObjectId) -> None:
    """Delete what else a deleted conversation had: its files, its grants, and who wrote in it."""
    await files.release(owner_id, conversation_id)
    await release_shared(owner_id, conversation_id)


async def _sweeping(app: web.Application) -> AsyncIterator[None]:
    beside = (Reply, ReplyEvents, Job, Command, Note)
    sweeper = partial(garbage.run, app[STORE], beside, search_files.also(_release))
    loops = app[health.LOOPS]
    async with (
        loops.run("sweeper", sweeper),
        loops.run("attachments", files.run),
        loops.run("trash", partial(purging.run, app[trash.TRASH_DEPS])),
        loops.run("retention", partial(retention.run, app[trash.TRASH_DEPS])),
    ):
        yield
    await app[COMMITS].drain()


async def _searching(app: web.Application) -> AsyncIterator[None]:
    loops, searcher = app[health.LOOPS], app[search.SEARCHER]
    async with (
        searcher,
        loops.run("search", searcher.feed.run),
        loops.run("search_files", run_collection),
    ):
        yield


async def _importing(app: web.Application) -> AsyncIterator[None]:
    loops, runner = app[health.LOOPS], ImportRunner(app[import_jobs.JOB_DEPS])
    # Two, so that one user's import of gigabytes leaves room for others.
    async with loops.run("imports_1", runner.run), loops.run("imports_2", runner.run):
        yield


async def _erasing(app: web.Application) -> AsyncIterator[None]:
    async with app[health.LOOPS].run("erasures", app[ERASER].run):
        yield


async def _sealing(app: web.Application) -> AsyncIterator[None]:
    caretaker = Maintenance(retention_days=app[SETTINGS].audit_retention_days)
    async with app[health.LOOPS].run("sealer", caretaker.run):
        yield
        await app[sealing.VERIFIER].close()


# In the order of their beginning; they end in the reverse order.
CONTEXTS = (
    _passwords,
    _exports,
    _batches,
    _groups,
    _refusals,
    _quotas,
    _keys,
    _sealing,
    _sweeping,
    _searching,
    _importing,
    _erasing,
    _commands,
    _replies,
    _live,
)
# Before the server waits for its connections.
ON_SHUTDOWN = (_end_live, _end_replies)
