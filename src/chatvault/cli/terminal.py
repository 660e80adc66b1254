"""Helpers of all commands: the database, an actor, output to the terminal."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.text import Text

from chatvault.actor import Actor, Door
from chatvault.audit.keys import KeyRing, load_key_ring
from chatvault.audit.mark import HighWater
from chatvault.audit.recorder import Recorder
from chatvault.documents import bind_documents
from chatvault.errors import InvalidInput
from chatvault.keys import refuse_open
from chatvault.logs import configure_logs
from chatvault.mongodb.database import Client, connect
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.mongodb.failures import DriverError, explain
from chatvault.server.running import announced, find_served, has_data
from chatvault.settings import InvalidSettings, LogFormat, Settings, load_settings
from chatvault.vault.collections import Vault
from chatvault.vault.opening import load_vault

log = structlog.get_logger()
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def printable(text: object) -> str:
    """Escape, as in JSON, all characters that a terminal acts on or does not show.

    Names, titles and files are other people's text: they may hold escape sequences, marks that
    change the direction of a line, or line breaks.
    """
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in str(text))


class Terminal(Console):
    """A console that prints every string as one line of plain text.

    Markup, emoji codes and control characters in it are shown, not interpreted. For several lines,
    give
    several strings, separated by a line break.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text of a string; rich calls it for each, in a table too."""
        return super().render_str(printable(text), **options | {"markup": False, "emoji": False})


# Wider than any table: a terminal wraps lines itself, and a pipe gets them whole.
out = Terminal(soft_wrap=True, highlight=False, width=1000)
err = Terminal(stderr=True, soft_wrap=True, highlight=False)


def is_terminal() -> bool:
    """Whether the standard output is a terminal."""
    return sys.stdout.isatty()


@contextmanager
def raw_output(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Yield a function that writes lines to a file or standard output; escaped for a terminal.

    Args:
        path: the file, or None for standard output.
    """
    if path is not None:
        with path.open("wb") as file:
            yield file.write
    elif is_terminal():
        yield lambda lines: out.print(
            *lines.decode().replace("\r\n", "\n").split("\n"), sep="\n", end=""
        )
    else:
        # Left open, as it is not ours to close.
        yield sys.stdout.buffer.write


def say(sentence: str) -> None:
    """Print an error for the person, in one line."""
    err.print(f"chatvault: {' '.join(sentence.split())}")


def explain_driver(error: DriverError) -> str:
    """Return a sentence for the person at the command line about an error of MongoDB's driver."""
    url = load_settings().mongodb_url
    return explain(error, None if url is None else url.get_secret_value())


@contextmanager
def mongodb_url(settings: Settings, *, exclusive: bool = False) -> Iterator[str]:
    """Yield the URL of the configured database, or of the embedded one, which runs meanwhile.

    Raises:
        InvalidSettings: a command would create a new database by default, beside a running service.
        NotPrivate: the data directory is open to others.
        EmbeddedError: the embedded one cannot be started.
    """
    if settings.data_dir.is_dir():
        refuse_open(settings.data_dir)
    if settings.mongodb_url is not None:
        yield settings.mongodb_url.get_secret_value()
        return
    is_new = not has_data(settings.data_dir)
    if not exclusive and is_new:
        _confirm_new_data(settings)
    with (
        embedded_mongodb(
            settings.data_dir,
            exclusive=exclusive,
            on_wait=lambda: _announce_wait(settings),
        ) as url,
        announced(settings.data_dir) if exclusive else nullcontext(),
    ):
        if not exclusive:
            place = "Made a new database in" if is_new else "Data in"
            err.print(f"{place} {settings.data_dir}")
        yield url


def _announce_wait(settings: Settings) -> None:
    if settings.log_format is LogFormat.JSON:
        log.info("mongodb_is_starting")
    else:
        err.print("Starting the embedded MongoDB…")


def _confirm_new_data(settings: Settings) -> None:
    if "data_dir" not in settings.model_fields_set and (served := find_served()):
        raise InvalidSettings(
            f"There is no data in {settings.data_dir}, but a service runs on {served[0]}: set "
            f"CHATVAULT_DATA_DIR to {served[0]}, or to another directory for a new database"
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to the database of the settings, to which no documents are bound yet."""

    settings: Settings
    client: Client
    keys: KeyRing
    vault: Vault | None

    @property
    def high_water(self) -> HighWater:
        """The high-water mark, with the note in the directory of the settings."""
        return HighWater.of(self.settings, self.keys)

    async def bind(self, high_water: HighWater, *, is_restoring: bool = False) -> None:
        """Bind the documents: see `bind_documents`."""
        await bind_documents(
            self.client,
            self.settings.mongodb_database,
            self.keys,
            high_water,
            self.vault,
            is_restoring=is_restoring,
        )


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work on the database, with or without a running service."""

    async def bound(connection: Connection) -> T:
        await connection.bind(connection.high_water)
        return await work()

    return run_unbound(bound)


def run_unbound(work: Callable[[Connection], Awaitable[T]], *, exclusive: bool = False) -> T:
    """Do the work on a connection, to which it binds the documents itself.

    Args:
        work: what to do.
        exclusive: refuse to do it beside a service on the same data directory.
    """
    settings = load_settings()
    configure_logs(settings)

    vault = load_vault(settings, Recorder())

    async def connected(url: str) -> T:
        keys = load_key_ring(settings)
        client = connect(url, settings)
        try:
            return await work(Connection(settings, client, keys, vault))
        finally:
            await client.close()

    with mongodb_url(settings, exclusive=exclusive) as url:
        return asyncio.run(connected(url))


def operator() -> Actor:
    """Return the actor for the person at this command line."""
    return Actor(door=Door.CLI)


def validate(model: type[M], values: Mapping[str, object]) -> M:
    """Validate the options as a model.

    Raises:
        InvalidInput: one is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        sentences = [f"{'.'.join(map(str, each['loc']))}: {_describe_fix(each)}" for each in found]
        raise InvalidInput("; ".join(sentences)) from None


def _describe_fix(error: ErrorDetails) -> str:
    """Return what an option must be, in words for a person."""
    if error["type"] == "string_pattern_mismatch":
        return "has characters that are not allowed there"
    if error["type"].startswith(("datetime", "date")):
        return "must be a time such as 2026-01-31T10:00:00Z"
    sentence = error["msg"].removeprefix("Value error, ")
    for prefix in ("String should ", "Input should ", "Value should ", "List should "):
        if sentence.startswith(prefix):
            return f"must {sentence.removeprefix(prefix)}"
    return sentence
