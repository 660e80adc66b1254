"""What every command of the command line needs: the database, an actor, a place to print."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from rich.console import Console

from chatvault.actor import Actor, Door
from chatvault.audit.keys import load_key_ring
from chatvault.database import connect
from chatvault.documents import bind_documents
from chatvault.embedded import embedded_mongodb
from chatvault.logs import configure_logs
from chatvault.settings import Settings, load_settings
from chatvault.web import invalid_input

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

# Wider than any table: a terminal wraps lines itself, and a pipe gets them whole.
out = Console(soft_wrap=True, highlight=False, width=1000)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def say(sentence: str) -> None:
    """Tell the person what is wrong, in one line."""
    err.print(f"chatvault: {' '.join(sentence.split())}", markup=False)


@contextmanager
def mongodb_url(settings: Settings, *, exclusive: bool = False) -> Iterator[str]:
    """The configured database, or the embedded one for as long as it is needed."""
    if settings.mongodb_url is not None:
        yield settings.mongodb_url.get_secret_value()
        return
    with embedded_mongodb(
        settings.data_dir,
        exclusive=exclusive,
        on_wait=lambda: err.print("Starting the embedded MongoDB…"),
    ) as url:
        yield url


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work on the database, alone or beside a service that runs on it."""
    settings = load_settings()
    configure_logs(settings)
    keys = load_key_ring(settings)

    async def connected(url: str) -> T:
        client = connect(url, settings)
        try:
            await bind_documents(client, settings.mongodb_database, keys)
            return await work()
        finally:
            await client.close()

    with mongodb_url(settings) as url:
        return asyncio.run(connected(url))


def operator() -> Actor:
    """The person at this command line."""
    return Actor(door=Door.CLI)


def validate(model: type[M], values: Mapping[str, object]) -> M:
    """The options as a model.

    Raises:
        InvalidInput: one is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_input(error, "option") from None
