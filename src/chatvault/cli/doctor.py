"""`chatvault doctor`: checks a set-up, and says what is wrong with it and how to repair it."""

import asyncio
import os
import platform
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from chatvault.audit.keys import FILE_NAME, load_key_ring
from chatvault.cli.terminal import mongodb_url, out
from chatvault.commands.servers import Servers, ServerState
from chatvault.errors import ChatvaultError
from chatvault.external import Provider
from chatvault.keys import load_secret_key
from chatvault.mongodb.database import Client, check_writable, connect
from chatvault.mongodb.embedded import find_mongod, is_served
from chatvault.mongodb.failures import DriverError, hosts_of, reason_of
from chatvault.replies.errors import ModelFailed
from chatvault.replies.provider import PROTOCOLS, ModelClients
from chatvault.search import index
from chatvault.search.workspace import find_place
from chatvault.server.running import find_served, has_data
from chatvault.settings import Settings, load_settings
from chatvault.version import VERSION

SCARCE_BYTES = 1024**3
CLOCK_SECONDS = 2.0
PROVIDER_SECONDS = 10.0
TOOL_SERVER_SECONDS = 30.0
OLDEST_MONGODB = 6


class Verdict(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        verdict: how serious it is.
        about: what was checked, such as "mongod".
        sentence: what was found and, if it is wrong, how to repair it.
    """

    verdict: Verdict
    about: str
    sentence: str


def ok(about: str, sentence: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Verdict.OK, about, sentence)


def warning(about: str, sentence: str) -> Finding:
    """Return a finding that will matter later."""
    return Finding(Verdict.WARNING, about, sentence)


def wrong(about: str, sentence: str) -> Finding:
    """Return a finding that keeps something from working."""
    return Finding(Verdict.WRONG, about, sentence)


def examine() -> None:
    """Check settings, database, keys, disk, models and tools."""
    settings = load_settings()
    findings: list[Finding] = []
    for finding in _checks(settings):
        findings.append(finding)
        out.print(f"{finding.verdict:8} {finding.about}: {finding.sentence}")
    count = sum(finding.verdict is Verdict.WRONG for finding in findings)
    out.print(f"{count} wrong" if count else "Nothing is wrong.")
    if count:
        raise typer.Exit(1)


def _checks(settings: Settings) -> Iterator[Finding]:
    yield ok("chatvault", f"{VERSION} on Python {platform.python_version()}, {platform.platform()}")
    yield ok("settings", f"{settings.env}; `chatvault settings` lists them")
    yield _check_disk(settings.data_dir)
    yield _check_port(settings)
    yield _check_search(settings)
    yield from _check_keys(settings)
    yield from _check_database(settings)
    yield from asyncio.run(_gather(_check_providers(settings)))
    yield from asyncio.run(_gather(_check_tool_servers(settings)))


async def _gather(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


def _check_disk(data_dir: Path) -> Finding:
    about = "data directory"
    existing = next(each for each in (data_dir, *data_dir.parents) if each.exists())
    if not existing.is_dir():
        return wrong(about, f"{existing} is no directory; set CHATVAULT_DATA_DIR to another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        return wrong(about, f"{existing} cannot be written to; change its owner or mode")
    free = shutil.disk_usage(existing).free
    sentence = f"{data_dir}, {free / 1024**3:.1f} GB free"
    if free < SCARCE_BYTES:
        return warning(about, f"{sentence}; the service stops taking writes when the disk is full")
    return ok(about, sentence)


def _check_search(settings: Settings) -> Finding:
    about = "search"
    if not index.is_installed():
        return warning(about, "tantivy is missing, so only titles and some messages are searched")
    place = find_place(settings.search_dir)
    existing = next(each for each in (place, *place.parents) if each.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return wrong(about, f"{existing} cannot be written to; set CHATVAULT_SEARCH_DIR")
    free = shutil.disk_usage(existing).free
    return ok(about, f"indexes are opened in {place}, {free / 1024**3:.1f} GB free")


def _check_port(settings: Settings) -> Finding:
    # Imported here: it imports the whole service, which the other commands start without.
    from chatvault.server.listening import CannotListen, listen  # noqa: PLC0415  # as said

    about, place = "address", f"{settings.host} port {settings.port}"
    try:
        listen(settings).close()
    except CannotListen as error:
        if is_served(settings.data_dir):
            return ok(about, f"{place} is in use, and a service runs on this data")
        return warning(about, f"{place} cannot be listened on: {error.detail}")
    return ok(about, f"{place} is free")


def _check_keys(settings: Settings) -> Iterator[Finding]:
    if not settings.data_dir.is_dir() and (settings.secret_key is None):
        yield ok("keys", "none yet; the first start makes them in the data directory")
        return
    for about, load in (("secret key", load_secret_key), ("audit keys", load_key_ring)):
        if load is load_key_ring and settings.audit_keys is None:
            path = settings.data_dir / FILE_NAME
            if not path.exists():
                # The check must not create one: next to a sealed log, it would be the wrong one.
                advice = "a start makes it; if the log is sealed already, put your copy back"
                yield warning(about, f"there is no {path}: {advice}")
                continue
        try:
            load(settings)
        except (ChatvaultError, OSError) as error:
            yield wrong(about, getattr(error, "detail", None) or str(error))
        else:
            yield ok(about, "can be read")


def _check_database(settings: Settings) -> Iterator[Finding]:
    if settings.mongodb_url is None:
        yield from _check_mongod(settings)
        if not has_data(settings.data_dir):
            return
    try:
        with mongodb_url(settings) as url:
            yield from asyncio.run(_gather(_ask_database(url, settings)))
    except (ChatvaultError, OSError) as error:
        yield wrong("database", getattr(error, "detail", None) or str(error))


def _check_mongod(settings: Settings) -> Iterator[Finding]:
    try:
        yield ok("mongod", str(find_mongod()))
    except ChatvaultError as error:
        yield wrong("mongod", error.detail)
    if not has_data(settings.data_dir):
        others = ", ".join(map(str, find_served()))
        hint = f"; a service runs on {others}" if others else "; the first start makes it"
        yield warning("database", f"there is none in {settings.data_dir} yet{hint}")


async def _ask_database(url: str, settings: Settings) -> AsyncIterator[Finding]:
    client: Client = connect(url, settings)
    about = "database"
    place = hosts_of(url) if settings.mongodb_url else str(settings.data_dir)
    try:
        hello = await client.admin.command("hello")
        now = time.time()
        build = await client.admin.command("buildInfo")
        reason = await check_writable(client, settings.mongodb_database)
        yield _check_clock(hello, now)
    except DriverError as error:
        yield wrong(about, f"MongoDB at {place} cannot be reached: {reason_of(error)}")
        return
    finally:
        await client.close()
    version = build["version"]
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        yield wrong(about, f"{place} is a standalone server; start it as a replica set (--replSet)")
    elif int(version.partition(".")[0]) < OLDEST_MONGODB:
        yield wrong(about, f"{place} is MongoDB {version}; {OLDEST_MONGODB}.0 or newer is needed")
    elif reason is not None:
        yield wrong(about, f"{place}: {reason}")
    else:
        yield ok(about, f"MongoDB {version} at {place} takes writes")


def _check_clock(hello: dict[str, Any], now: float) -> Finding:
    apart = abs(hello["localTime"].timestamp() - now)
    sentence = f"{apart:.1f} s from MongoDB's"
    if apart > CLOCK_SECONDS:
        return warning("clock", f"{sentence}; let both machines follow NTP")
    return ok("clock", sentence)


async def _check_providers(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.providers:
        yield warning("models", "none is configured, so agents cannot answer: CHATVAULT_PROVIDERS")
    clients = ModelClients(settings.providers, timeout=PROVIDER_SECONDS)
    try:
        for name, provider in settings.providers.items():
            yield await _ask_provider(clients, name, provider)
    finally:
        await clients.close()


async def _ask_provider(clients: ModelClients, name: str, provider: Provider) -> Finding:
    about = f"model {name}"
    if (extra := provider.missing_extra) is not None:
        return wrong(about, f"needs `pip install 'chatvault-server[{extra}]'`")
    url = (provider.base_url or PROTOCOLS[provider.protocol].URL).rstrip("/")
    # Before the time counts.
    await clients.connect(name)
    try:
        async with asyncio.timeout(PROVIDER_SECONDS):
            status, models = await clients.list_models(name)
    except (ModelFailed, TimeoutError) as error:
        return wrong(about, f"{url} does not answer as a model's API does ({_cause(error)})")
    if status in {401, 403}:
        return wrong(about, f"{url} refuses its api_key ({status})")
    if status != 200:  # noqa: PLR2004  # OK
        return warning(about, f"{url}/models answers {status}; base_url may be wrong")
    if models and provider.model not in models:
        return warning(about, f"{url} does not list {provider.model}")
    return ok(about, f"{provider.model} at {url}")


async def _check_tool_servers(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.mcp_servers:
        return
    log_dir = settings.data_dir / "mcp"
    servers = Servers(settings.mcp_servers, timeout=settings.mcp_timeout, log_dir=log_dir)
    servers.open()
    try:
        deadline = time.monotonic() + TOOL_SERVER_SECONDS
        for server in servers:
            while server.state is not ServerState.CONNECTED and not server.failures:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.05)
            about = f"tool server {server.name}"
            if server.state is ServerState.CONNECTED:
                yield ok(about, f"connected, {len(server.tools)} tools")
            else:
                hint = f"; see {log_dir / server.name}.log" if server.transport == "stdio" else ""
                yield wrong(about, f"cannot be connected to{hint}")
    finally:
        await servers.close()


def _cause(error: BaseException) -> str:
    """Return the sentence of an error's first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
