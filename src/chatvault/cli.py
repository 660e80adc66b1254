"""The command line's composition root: one group of commands a domain, one error table."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from pymongo.errors import PyMongoError

from chatvault.accounts.cli import users
from chatvault.audit.cli import audit_log
from chatvault.audit.proving_cli import proofs
from chatvault.commands.cli import tools
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
audit_log.add_typer(proofs)
app.add_typer(audit_log, name="audit")
app.add_typer(tools, name="tools")
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
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that answer")] = 1,
) -> None:
    """Serve the API, on the embedded MongoDB unless CHATVAULT_MONGODB_URL names another."""
    # Imported here: the other commands start without it.
    from chatvault import server, supervisor  # noqa: PLC0415  # as said

    settings = load_settings()
    configure_logs(settings)

    def announce(address: str) -> None:
        out.print(_banner(settings, address), markup=False)

    async def serve_here(url: str) -> None:
        with server.listen(settings) as listener:
            await server.serve(
                settings,
                mongodb_url=url,
                listener=listener,
                stopping=asyncio.Event(),
                on_listening=lambda: announce(server.address_of(listener, settings)),
            )

    with (
        mongodb_url(settings, exclusive=True) as url,
        asyncio.Runner(loop_factory=server.loop_factory()) as runner,
    ):
        if workers == 1:
            runner.run(serve_here(url))
        else:
            several = supervisor.Supervisor(settings, mongodb_url=url, workers=workers)
            runner.run(several.run(announce))


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
