"""The composition root: settings in, an application out, read from top to bottom."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from itertools import chain

import aiohttp_session
from aiohttp import web
from bson import ObjectId

from chatvault import background
from chatvault.accounts import routes as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.throttle import LoginThrottle, RegistrationThrottle
from chatvault.administration import routes as administration
from chatvault.administration import user_routes
from chatvault.administration.exposition import Exposition
from chatvault.administration.readings import Readings
from chatvault.administration.review import HealthDeps
from chatvault.agents import routes as agents
from chatvault.agents.models import ModelCatalog
from chatvault.api_keys import routes as api_keys
from chatvault.api_keys.finder import KeyFinder
from chatvault.api_keys.throttle import KeyThrottle
from chatvault.attachments import files
from chatvault.attachments import routes as attachments
from chatvault.attachments.deps import AttachmentDeps
from chatvault.attachments.service import list_attached
from chatvault.audit.keys import load_key_ring
from chatvault.audit.mark import HighWater
from chatvault.audit.recorder import Recorder
from chatvault.audit.refusals import RefusalCounter
from chatvault.background import (
    COMMANDS,
    ERASER,
    KEY_FINDER,
    RUNNER,
    SERVERS,
    SESSION_WATCH,
    WORKERS,
)
from chatvault.batches import routes as batches
from chatvault.batches.service import BatchDeps
from chatvault.categories import routes as categories
from chatvault.commands import routes as commands
from chatvault.commands.deps import CommandDeps
from chatvault.commands.runner import CommandRunner
from chatvault.commands.servers import Servers
from chatvault.completions import routes as completions
from chatvault.conversations.bulk.turns import BulkTurns
from chatvault.conversations.bulk.updates import BulkDeps
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.grants import find_guest
from chatvault.conversations.lists.routes import LIST_ATTACHED
from chatvault.conversations.opening import store_with
from chatvault.conversations.reading.places import PlaceReader
from chatvault.conversations.routes import COMMITS, START_WITH_REPLY, STORE
from chatvault.conversations.trash import routes as trash
from chatvault.conversations.trash.authored import remove_authored
from chatvault.conversations.trash.service import TrashDeps
from chatvault.dialects import routes as dialects
from chatvault.documents import HOLDS, bind_documents
from chatvault.erasure import routes as erasure
from chatvault.erasure.service import ErasureDeps
from chatvault.erasure.worker import Eraser, EraserDeps
from chatvault.exporting import routes as exports
from chatvault.exporting.pdf.typesetter import Typesetter
from chatvault.exporting.turns import ExportDeps
from chatvault.forking import routes as forks
from chatvault.forking.queue import ForkQueue
from chatvault.groups import routes as groups
from chatvault.groups.expansion import GroupDeps
from chatvault.groups.service import end_groups_of
from chatvault.holds import routes as holds
from chatvault.http import health, middlewares, openapi
from chatvault.http.bearer import KeyedRequests
from chatvault.http.bodies import Bodies
from chatvault.http.limiting import ADMIT
from chatvault.http.requests import MAX_BODY_BYTES, METRICS, RECORDER, SECRET_KEY, SETTINGS
from chatvault.http.routing import BODIES, FIND_GUEST
from chatvault.importing import routes as imports
from chatvault.importing.bodies import Uploads
from chatvault.importing.deps import ImportDeps
from chatvault.importing.jobs import routes as import_jobs
from chatvault.importing.jobs.service import JobDeps
from chatvault.importing.uploads import routes as uploads
from chatvault.importing.uploads.files import UploadFiles
from chatvault.importing.uploads.service import GB, UploadDeps
from chatvault.keys import load_secret_key
from chatvault.links import routes as links
from chatvault.links.deps import LinkDeps
from chatvault.links.throttle import LinkThrottle
from chatvault.live import routes as live
from chatvault.live.frames import Renderer
from chatvault.live.guests import Guests
from chatvault.live.hub import Hub
from chatvault.live.jobs import JobWatch
from chatvault.live.service import LiveDeps
from chatvault.live.sessions import SessionWatch
from chatvault.metrics.instruments import Metrics
from chatvault.mongodb.database import Client, connect
from chatvault.mongodb.rates import COLLECTION, CounterStorage, Rate
from chatvault.notes import routes as notes
from chatvault.notes.service import NoteDeps
from chatvault.oidc import routes as oidc
from chatvault.oidc.loading import load_provider
from chatvault.oidc.service import OidcDeps
from chatvault.operations import ROUTES
from chatvault.pages import routes as pages
from chatvault.quotas import routes as quotas
from chatvault.quotas.opening import open_quotas
from chatvault.replies import resume
from chatvault.replies import routes as replies
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.events import EventLog
from chatvault.replies.jobs import Work, Worker
from chatvault.replies.models import JobKind
from chatvault.replies.provider import ModelClients
from chatvault.replies.runner import ReplyRunner
from chatvault.replies.start import start_conversation
from chatvault.replies.titles import Background
from chatvault.sealing import routes as sealing
from chatvault.sealing.alerts import alert_forged_counts
from chatvault.sealing.verifications import Verifier
from chatvault.search import routes as search
from chatvault.search.searcher import Searcher
from chatvault.sessions import routes as sessions
from chatvault.sessions.service import LoginDeps
from chatvault.sessions.storage import SessionStorage
from chatvault.settings import Settings, Switch
from chatvault.sharing import routes as sharing
from chatvault.sharing.service import SharingDeps
from chatvault.tags import routes as tags
from chatvault.tasks import Loops
from chatvault.tokens import Tokenizer
from chatvault.usage.routes import LIMITS
from chatvault.vault.opening import load_vault

GUESTS = web.AppKey("guests", Guests)
KEYS_PER_MINUTE = 30
FORKS_PER_MINUTE = 30
LINKS_PER_MINUTE = 30
TOKENS_PER_MINUTE = 30
BULKS_PER_MINUTE = 120
GRANTS_PER_MINUTE = 60
# Of one address, behind which there may be an office.
OIDC_PER_MINUTE = 60


def create_app(settings: Settings, *, mongodb_url: str) -> web.Application:
    """Create the service on the database at the URL."""
    session_storage = SessionStorage(timedelta(seconds=settings.session_lifetime))
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            middlewares.context,
            middlewares.error_table,
            middlewares.origins,
            aiohttp_session.session_middleware(session_storage),
            middlewares.authenticate,
        ],
    )
    app.on_response_prepare.extend((session_storage.renew_before_stream, middlewares.add_headers))
    app[METRICS] = metrics = Metrics()
    app[health.LOOPS], app[BODIES] = Loops(), Bodies()
    app[SETTINGS], app[FIND_GUEST] = settings, find_guest
    app[RECORDER] = recorder = Recorder()
    app[sealing.VERIFIER] = Verifier(recorder)
    app[middlewares.REFUSALS] = RefusalCounter(recorder, alert_forged_counts)
    app[accounts.HASHER] = PasswordHasher(settings.bcrypt_rounds)
    vault = load_vault(settings, recorder)
    app[STORE] = app[holds.HELD_STORE] = store = store_with(vault, recorder)
    app[GUESTS] = Guests()
    app[health.CLIENT] = client = connect(mongodb_url, settings)
    counters = client[settings.mongodb_database][COLLECTION]
    storage = CounterStorage(counters)
    app[quotas.QUOTAS] = limits = open_quotas(counters)
    app[ADMIT], app[LIMITS] = limits.admission.admit, limits.reader.read
    app[COMMITS] = commits = CommitQueue(store, metrics=metrics.commits, ledger=limits.ledger)
    audit_keys = load_key_ring(settings)
    app[SECRET_KEY] = key = load_secret_key(settings)
    store_of_files = files.open_store(settings, key)
    app[attachments.ATTACHMENT_DEPS] = AttachmentDeps(commits, recorder, store_of_files)
    _add_imports(app, settings, ImportDeps(commits, recorder, key, store_of_files))
    _add_sign_in(app, settings, storage)
    _add_keys(app, storage)

    export_rate = Rate(storage, name="export", per_minute=settings.exports_per_minute)
    app[exports.EXPORT_DEPS] = ExportDeps(
        store, recorder, Typesetter(), export_rate, store_of_files
    )
    turns = BulkTurns()
    app[trash.TRASH_DEPS] = TrashDeps(commits, recorder, key, settings.trash_days, turns)
    _add_order(app, storage, turns)
    _add_links(app, settings, storage)
    app[search.SEARCHER] = Searcher.of(settings, store)
    _add_replies(app, settings, storage)
    _add_live(app, settings)
    _add_erasure(app, settings, client)
    _add_health(app, settings)

    async def database(_app: web.Application) -> AsyncIterator[None]:
        async with client:
            high_water, name = HighWater.of(settings, audit_keys), settings.mongodb_database
            await bind_documents(client, name, audit_keys, high_water, vault)
            await storage.create_indexes()
            yield

    app.on_shutdown.extend(background.ON_SHUTDOWN)
    app.cleanup_ctx.extend((database, *background.CONTEXTS))
    if settings.ui is Switch.ON:
        pages.add_page(app)
    for routes in ROUTES:
        routes.add_to(app)
    app[openapi.OPERATIONS] = tuple(chain.from_iterable(ROUTES))
    return app


def _add_sign_in(app: web.Application, settings: Settings, storage: CounterStorage) -> None:
    """Create what people register and sign in with."""
    app[accounts.THROTTLE] = throttle = LoginThrottle(storage)
    app[accounts.REGISTRATIONS] = RegistrationThrottle(storage)
    key, lifetime = app[SECRET_KEY], timedelta(seconds=settings.session_lifetime)
    app[sessions.LOGIN_DEPS] = LoginDeps(
        hasher=app[accounts.HASHER],
        throttle=throttle,
        key=key,
        lifetime=lifetime,
        takes_passwords=settings.passwords is Switch.ON,
    )
    app[oidc.OIDC_DEPS] = OidcDeps(
        provider=load_provider(settings.oidc),
        key=key,
        lifetime=lifetime,
        rate=Rate(storage, name="oidc", per_minute=OIDC_PER_MINUTE),
        recorder=app[RECORDER],
    )


def _add_keys(app: web.Application, storage: CounterStorage) -> None:
    """Create what API keys and one-time tokens are made and found with."""
    app[middlewares.KEYED_REQUESTS] = keyed = KeyedRequests()
    app[KEY_FINDER] = app[middlewares.KEY_FINDER] = KeyFinder(KeyThrottle(storage), keyed)
    app[api_keys.KEY_RATE] = Rate(storage, name="api-key", per_minute=KEYS_PER_MINUTE)
    app[user_routes.TOKEN_RATE] = Rate(storage, name="token", per_minute=TOKENS_PER_MINUTE)
    app[user_routes.NEW_PASSWORDS] = app[accounts.HASHER]


def _add_imports(app: web.Application, settings: Settings, deps: ImportDeps) -> None:
    """Create what imports are made with."""
    app[imports.UPLOADS] = Uploads(deps)
    files = UploadFiles(settings.data_dir / "uploads")
    app[uploads.UPLOAD_DEPS] = UploadDeps(files, deps.recorder, settings.upload_gb * GB)
    app[import_jobs.JOB_DEPS] = JobDeps(deps, files)
    app.on_response_prepare.append(uploads.add_tus_headers)


def _add_order(app: web.Application, storage: CounterStorage, turns: BulkTurns) -> None:
    """Create what many conversations are kept in order with."""
    app[LIST_ATTACHED] = list_attached
    rate = Rate(storage, name="bulk", per_minute=BULKS_PER_MINUTE)
    deps = BulkDeps(app[COMMITS], app[RECORDER], rate, turns)
    app[tags.TAG_DEPS] = app[categories.CATEGORY_DEPS] = deps
    app[batches.BATCH_DEPS] = BatchDeps(
        deps, app[trash.TRASH_DEPS], app[exports.EXPORT_DEPS], list_attached
    )
    app[forks.FORK_COMMITS] = app[COMMITS]
    app[forks.FORK_QUEUE] = ForkQueue(Rate(storage, name="fork", per_minute=FORKS_PER_MINUTE))
    app[dialects.COMMITS] = app[COMMITS]
    grant_rate = Rate(storage, name="grant", per_minute=GRANTS_PER_MINUTE)
    app[notes.NOTE_DEPS] = NoteDeps(app[COMMITS], app[RECORDER])
    app[sharing.SHARING_DEPS] = SharingDeps(
        app[COMMITS], app[RECORDER], grant_rate, app[GUESTS].end
    )
    is_on = app[oidc.OIDC_DEPS].provider is not None
    app[groups.GROUP_DEPS] = GroupDeps(app[sharing.SHARING_DEPS], asyncio.Event(), is_on)


def _add_links(app: web.Application, settings: Settings, storage: CounterStorage) -> None:
    """Create what public links are made and opened with."""
    app.on_response_prepare.append(links.add_link_headers)
    app[links.LINK_DEPS] = LinkDeps(
        is_on=settings.links is Switch.ON,
        commits=app[COMMITS],
        recorder=app[RECORDER],
        hasher=app[accounts.HASHER],
        throttle=LinkThrottle(storage),
        rate=Rate(storage, name="link", per_minute=LINKS_PER_MINUTE),
        forks=app[forks.FORK_QUEUE],
        key=app[SECRET_KEY],
    )


def _add_replies(app: web.Application, settings: Settings, storage: CounterStorage) -> None:
    """Create what replies are made with."""
    commits, event_log = app[COMMITS], EventLog()
    app[agents.MODEL_CATALOG] = catalog = ModelCatalog(
        settings.providers, settings.default_provider
    )
    app[completions.MODELS] = models = ModelClients(
        catalog.providers, timeout=settings.provider_timeout, tokens=app[METRICS].tokens
    )
    tokenizer = Tokenizer(settings.data_dir / "tiktoken")
    background_due, awaited_due = asyncio.Event(), asyncio.Event()
    servers, runs = _add_commands(app, settings, storage, wake=awaited_due.set)

    def wake() -> None:
        background_due.set()
        awaited_due.set()

    app[RUNNER] = runner = ReplyRunner(
        commits=commits,
        models=models,
        tokenizer=tokenizer,
        event_log=event_log,
        commands=runs,
        wake=wake,
    )
    app[replies.REPLY_DEPS] = app[completions.DEPS] = app[dialects.REPLY_DEPS] = deps = ReplyDeps(
        commits=commits,
        store=app[STORE],
        recorder=app[RECORDER],
        catalog=catalog,
        tokenizer=tokenizer,
        event_log=event_log,
        runner=runner,
        servers=servers,
        rate=Rate(storage, name="reply", per_minute=settings.replies_per_minute),
        check_tokens=app[quotas.QUOTAS].ledger.check_tokens,
        max_content=settings.max_reply_content,
        max_tokens=settings.max_reply_tokens,
    )
    app[replies.SUMMARIES] = background = Background(commits, catalog, models, tokenizer)
    app[WORKERS] = _make_workers(background, deps, background_due, awaited_due)
    app[START_WITH_REPLY] = partial(start_conversation, deps=deps)


def _make_workers(
    background: Background,
    deps: ReplyDeps,
    background_due: asyncio.Event,
    awaited_due: asyncio.Event,
) -> tuple[Worker, Worker]:
    works: dict[JobKind, Work] = {JobKind.CONTINUE: partial(resume.work, deps)}
    ends: dict[JobKind, Work] = {JobKind.CONTINUE: partial(resume.give_up, deps)}
    return Worker(background.works(), background_due), Worker(works, awaited_due, ends=ends)


def _add_commands(
    app: web.Application,
    settings: Settings,
    storage: CounterStorage,
    *,
    wake: Callable[[], None],
) -> tuple[Servers, CommandRunner]:
    """Create what runs commands of agents and people."""
    log_dir = settings.data_dir / "mcp"
    app[SERVERS] = servers = Servers(
        settings.mcp_servers, timeout=settings.mcp_timeout, log_dir=log_dir
    )
    follow = resume.request
    app[COMMANDS] = runner = CommandRunner(app[COMMITS], servers, follow=follow, wake=wake)
    app[commands.COMMAND_DEPS] = CommandDeps(
        commits=app[COMMITS],
        store=app[STORE],
        recorder=app[RECORDER],
        servers=servers,
        runner=runner,
        rate=Rate(storage, name="command", per_minute=settings.commands_per_minute),
    )
    return servers, runner


def _add_live(app: web.Application, settings: Settings) -> None:
    """Create what live events are made with."""
    app[SESSION_WATCH], jobs = SessionWatch(), JobWatch()
    hub = Hub(
        most_of_user=settings.live_connections_per_user,
        most=settings.live_connections,
        on_sessions=app[SESSION_WATCH].suspect,
        on_job=jobs.note,
        delay=app[METRICS].stream_delay,
        guests=app[GUESTS],
    )
    app[live.LIVE_DEPS] = LiveDeps(
        hub=hub,
        renderer=Renderer(PlaceReader(app[STORE])),
        jobs=jobs,
        recorder=app[RECORDER],
        replies=app[replies.REPLY_DEPS],
    )


def _add_health(app: web.Application, settings: Settings) -> None:
    """Create what the health and the metrics of the service are shown with."""
    readings = Readings()
    app[administration.HEALTH_DEPS] = deps = HealthDeps(
        recorder=app[RECORDER],
        exposition=Exposition(app[METRICS], readings),
        readings=readings,
        loops=app[health.LOOPS],
        commits=app[COMMITS],
        runner=app[RUNNER],
        feed=app[search.SEARCHER].feed,
        live=app[live.LIVE_DEPS].hub,
        is_sealing=settings.master_keys is not None and settings.sealing is Switch.ON,
    )
    deps.measure(app[METRICS])


def exposition_of(app: web.Application) -> Exposition:
    """Return what puts the metrics of the application together."""
    return app[administration.HEALTH_DEPS].exposition


async def _remove_from_others(app: web.Application, user_id: ObjectId) -> int:
    """Remove what a user has in others' conversations; return how many changes that took."""
    ended = await end_groups_of(app[groups.GROUP_DEPS], user_id)
    return ended + await remove_authored(app[COMMITS], user_id)


def _add_erasure(app: web.Application, settings: Settings, client: Client) -> None:
    """Create what erasures of accounts are made with."""
    app[erasure.ERASURE_DEPS] = deps = ErasureDeps(
        hasher=app[accounts.HASHER], throttle=app[accounts.THROTTLE], recorder=app[RECORDER]
    )
    searcher, store, ledger = app[search.SEARCHER], app[STORE], app[quotas.QUOTAS].ledger

    def forget(user_id: ObjectId) -> None:
        searcher.forget(user_id)
        store.codec.forget(user_id)
        ledger.forget(user_id)
        store.newest.forget_owner(user_id)
        # Its keys name segments, not users.
        store.rendered.clear()

    app[ERASER] = Eraser(
        EraserDeps(
            client=client,
            database=settings.mongodb_database,
            holds=HOLDS,
            files=app[import_jobs.JOB_DEPS].files,
            remove_authored=partial(_remove_from_others, app),
            forget=forget,
            due=deps.due,
        )
    )
