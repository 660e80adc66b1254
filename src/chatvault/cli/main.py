"""The command line's composition root: a group of commands for each domain, and one error table."""

import asyncio
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
import typer.exceptions
from typer.core import TyperGroup

from chatvault.administration.tokens import offer_first_admin
from chatvault.cli.audit import audit_log
from chatvault.cli.backup import back_up, restore
from chatvault.cli.doctor import examine
from chatvault.cli.erasing import erasing
from chatvault.cli.exporting import export
from chatvault.cli.holds import holds
from chatvault.cli.importing import import_file
from chatvault.cli.keys import keys
from chatvault.cli.proofs import proofs
from chatvault.cli.quotas import quotas
from chatvault.cli.retention import retention
from chatvault.cli.sealing import decrypt, encrypt, master_keys
from chatvault.cli.terminal import explain_driver, mongodb_url, out, say
from chatvault.cli.tools import tools
from chatvault.cli.usage import show_usage
from chatvault.cli.users import users
from chatvault.errors import ChatvaultError, InvalidInput
from chatvault.exporting.pdf.fonts import PACKAGES
from chatvault.exporting.pdf.typesetter import find_missing_scripts, is_installed
from chatvault.logs import configure_logs
from chatvault.mongodb.database import connect
from chatvault.mongodb.failures import DriverError
from chatvault.outcome import begin_operation
from chatvault.settings import InvalidSettings, LogFormat, Settings, describe, load_settings
from chatvault.version import VERSION


class Commands(TyperGroup):
    """Typer's group of commands, which by itself would end without a message when interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None


app = typer.Typer(
    cls=Commands,
    help="The system of record for AI conversations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
users.add_typer(erasing)
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
audit_log.add_typer(proofs)
app.add_typer(audit_log, name="audit")
app.add_typer(tools, name="tools")
app.add_typer(holds, name="holds")
app.add_typer(retention, name="retention")
app.add_typer(quotas, name="quotas")
app.command("usage")(show_usage)
app.command("import")(import_file)
app.command("export")(export)
app.command("backup")(back_up)
app.command("restore")(restore)
app.command("doctor")(examine)
app.add_typer(master_keys, name="master-keys")
app.command("encrypt")(encrypt)
app.command("decrypt")(decrypt)
log = structlog.get_logger()


def main() -> None:
    """Run the command line, and turn every failure into one line and an exit status."""
    begin_operation()
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except typer.Abort:
        say("interrupted")
        sys.exit(128 + signal.SIGINT)
    except typer.exceptions.TyperException as error:
        _explain_usage(error)
    except ChatvaultError as error:
        say(error.detail)
        sys.exit(2 if isinstance(error, InvalidInput | InvalidSettings) else 1)
    except DriverError as error:
        say(explain_driver(error))
        sys.exit(1)
    except OSError as error:
        say(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(1)


def _explain_usage(error: typer.exceptions.TyperException) -> None:
    """Say in one line what is wrong with the arguments, and exit with the error's status.

    A group of commands that is called without one shows its help instead.
    """
    context = getattr(error, "ctx", None)
    sentence = getattr(error, "format_message", lambda: str(error))()
    if sentence.startswith("Usage:"):
        out.print(*sentence.splitlines(), sep="\n")
    else:
        command = context.command_path if context is not None else "chatvault"
        sentence = sentence.replace("Value error, ", "").removesuffix(".")
        say(f"{sentence}; see `{command} --help`")
    sys.exit(getattr(error, "exit_code", 2))


def _print_version(value: bool) -> None:  # noqa: FBT001  # typer's way to make a flag
    if value:
        out.print(f"chatvault {VERSION}")
        raise typer.Exit


@app.callback()
def set_up(
    version: Annotated[  # noqa: FBT002  # typer's way to make a flag
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """The system of record for AI conversations."""


@app.command()
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that answer")] = 1,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="in place of CHATVAULT_PORT; 0 takes a free one"),
    ] = None,
) -> None:
    """Serve the API, by default on an embedded MongoDB."""
    if workers > 1 and sys.platform == "win32":
        raise InvalidInput("--workers needs Linux or macOS; leave it out.")
    # Imported here: the other commands start without it.
    from chatvault.server import http as server  # noqa: PLC0415  # as said
    from chatvault.server import listening  # noqa: PLC0415  # as said
    from chatvault.server import workers as supervisor  # noqa: PLC0415  # as said

    settings = load_settings()
    if port is not None:
        settings = settings.model_copy(update={"port": port})
    configure_logs(settings)

    async def serve_here(url: str, announce: Callable[[str], None]) -> None:
        with listening.listen(settings) as listener:
            await server.serve(
                settings,
                mongodb_url=url,
                listener=listener,
                stopping=asyncio.Event(),
                on_listening=lambda: announce(listening.address_of(listener, settings)),
            )

    with (
        mongodb_url(settings, exclusive=True) as url,
        asyncio.Runner(loop_factory=server.loop_factory()) as runner,
    ):
        announce = partial(_announce, settings, runner.run(_offer_first_admin(settings, url)))
        if workers == 1:
            runner.run(serve_here(url, announce))
        else:
            several = supervisor.Supervisor(settings, mongodb_url=url, workers=workers)
            runner.run(several.run(announce))


def _announce(settings: Settings, token: str | None, address: str) -> None:
    """Say that requests are answered, and where."""
    # In a thread, as it takes a second.
    asyncio.get_running_loop().run_in_executor(None, _warn_of_fonts)
    if settings.log_format is LogFormat.JSON:
        log.info("serving", version=VERSION, address=address, data=_place(settings))
    else:
        out.print(*_banner(settings, address, token), sep="\n")


def _warn_of_fonts() -> None:
    """Log which scripts PDFs cannot show, where PDFs are made."""
    if is_installed() and (missing := find_missing_scripts()):
        log.info("pdf_lacks_fonts", scripts=missing, packages=PACKAGES)


def _place(settings: Settings) -> str:
    return "CHATVAULT_MONGODB_URL" if settings.mongodb_url else str(settings.data_dir)


async def _offer_first_admin(settings: Settings, url: str) -> str | None:
    """Return the token of the first administrator, if there is no account yet.

    None where a log would get it, which is no place for a secret.
    """
    if settings.log_format is LogFormat.JSON:
        return None
    client = connect(url, settings)
    try:
        return await offer_first_admin(client, settings.mongodb_database)
    finally:
        await client.close()


def _banner(settings: Settings, address: str, token: str | None) -> tuple[str, ...]:
    """Return lines with the service's address, and with commands for another terminal."""
    me = Path(sys.argv[0]).resolve()
    command = str(me.relative_to(Path.cwd())) if me.is_relative_to(Path.cwd()) else me.name
    for name in sorted(settings.model_fields_set & {"data_dir", "mongodb_database"}, reverse=True):
        value = shlex.quote(str(getattr(settings, name)))
        command = f"CHATVAULT_{name.upper()}={value} {command}"
    note = " (commands need the same CHATVAULT_MONGODB_URL)" if settings.mongodb_url else ""
    return (
        f"chatvault {VERSION} answers at {address}",
        f"  data in        {_place(settings)}{note}",
        f"  read the API   {address}/docs",
        f"  make a user    {command} users create alice --email alice@example.org",
        f"  import a file  {command} import my_conversations.json --username alice",
        *([] if token is None else [f"  first admin    POST /auth/first-admin, token {token}"]),
        "  stop           Ctrl-C",
    )


@app.command("settings")
def show_settings() -> None:
    """List every setting with its value now."""
    for variable, value, description in describe(load_settings()):
        out.print(f"{variable}={value}", f"    {description}", sep="\n")
