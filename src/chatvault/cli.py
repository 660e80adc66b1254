"""The command line's composition root: one group of commands a domain, one error table."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from pymongo.errors import PyMongoError

from chatvault.accounts.cli import users
from chatvault.audit.cli import audit_log
from chatvault.database import explain
from chatvault.errors import ChatvaultError, InvalidInput
from chatvault.importing.cli import import_file
from chatvault.logs import configure_logs
from chatvault.settings import InvalidSettings, Settings, describe, load_settings
from chatvault.terminal import mongodb_url, out, say
from chatvault.version import VERSION

app = typer.Typer(
    help="The system of record for AI conversations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(users, name="users")
app.add_typer(audit_log, name="audit")
app.command("import")(import_file)


def main() -> None:
    """Run the command line, and turn every failure into one line and an exit status."""
    try:
        app()
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(128 + signal.SIGINT)
    except ChatvaultError as error:
        say(error.detail)
        sys.exit(2 if isinstance(error, InvalidInput | InvalidSettings) else 1)
    except PyMongoError as error:
        known = explain(error)
        say(known.detail if known else f"MongoDB refused: {error}")
        sys.exit(1)
    except OSError as error:
        say(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(1)


@app.command()
def serve() -> None:
    """Serve the API, on the embedded MongoDB unless CHATVAULT_MONGODB_URL names another."""
    # Imported here: the other commands start without it.
    from chatvault import server  # noqa: PLC0415  # as said

    settings = load_settings()
    configure_logs(settings)

    def announce(address: str) -> None:
        out.print(_banner(settings, address), markup=False)

    with (
        mongodb_url(settings, exclusive=True) as url,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(server.serve(settings, mongodb_url=url, on_listening=announce))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # not on Windows

    return uvloop.new_event_loop


def _banner(settings: Settings, address: str) -> str:
    where = "CHATVAULT_MONGODB_URL" if settings.mongodb_url else str(settings.data_dir)
    me = Path(sys.argv[0]).resolve()
    command = str(me.relative_to(Path.cwd())) if me.is_relative_to(Path.cwd()) else me.name
    return "\n".join(
        (
            f"chatvault {VERSION} answers at {address}",
            f"  data in        {where}",
            f"  read the API   {address}/docs",
            f"  make a user    {command} users create alice --email alice@example.org",
            f"  import a file  {command} import my_conversations.json --username alice",
            "  stop           Ctrl-C",
        )
    )


@app.command("settings")
def show_settings() -> None:
    """List every setting with its value now."""
    for variable, value, description in describe(load_settings()):
        out.print(f"{variable}={value}\n    {description}", markup=False)
