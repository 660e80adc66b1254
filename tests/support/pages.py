"""Runs the commands of the documentation's pages.

A fenced block says in its info string, after the language, what is done with it:

- `run`: its commands run in one bash, together with the page's other blocks, in their order. In a
  `console` block, commands begin with `$ `, and what they print is compared with what is shown.
- `background=PORT`, or `background`: it runs in the background, and the next block waits until PORT
  is open and what is shown is printed.
- `file=NAME`: it is written to the file NAME, which later blocks use.
- `syntax=PROGRAM`: that program checks it, where it is installed.
- `tested=TEST`: that test tries it.
- `not-run=REASON`: nothing tries it, for a reason in `NOT_RUN`.
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from support import programs
from support.running import processes_of, until

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
# Languages of blocks that hold commands, programs or configuration.
TRIED = {
    "bash", "caddy", "console", "ini", "js", "nginx", "python", "sh", "toml", "ts", "yaml",
}  # fmt: skip
NOT_RUN = {
    "atlas": "needs a MongoDB cluster with shards, or an account at a provider of one",
    "browser": "is entered in a browser's console, on the page of another program",
    "docker": "needs a Docker daemon and images from a registry",
    "exports": "needs what another product exported for its user",
    "machine": "changes the machine: users, units, packages",
    "prometheus": "needs a Prometheus, which reads them",
    "mongodb-tools": "needs mongosh, mongodump and mongorestore, which MongoDB distributes itself",
    "nginx": "is a part of a configuration, which nginx does not check alone",
    "ollama": "needs Ollama and a model of several gigabytes",
    "openai": "needs an account at a provider, or a graphics card",
    "vite": "needs a project with Vite and its packages",
}
# In place of a port that a page names, a free one is used.
PORTS = ("8000", "8017", "8080", "8443", "4017")
PASSWORD = "correct-horse"
WAIT = 60.0


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> str:
        return self.mark.partition("=")[0]

    @property
    def value(self) -> str:
        return self.mark.partition("=")[2]

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command with the output that the page shows for it."""
        if self.language != "console":
            yield self.text, ""
            return
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            count = next(n for n in range(1, len(lines) + 1) if _is_whole("\n".join(lines[:n])))
            yield "\n".join(lines[:count]), "\n".join(lines[count:])


def _is_whole(command: str) -> bool:
    """Whether the lines are a whole command: no quotation or here-document is open."""
    checked = subprocess.run(
        ["bash", "-n"], input=command + "\n", capture_output=True, text=True, check=False
    )
    return not checked.returncode and not checked.stderr and not command.endswith("\\")


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    text = page.read_text()
    for block in re.finditer(r"^```(\w*) ?(.*)\n((?s:.*?))^```$", text, re.MULTILINE):
        line = text.count("\n", 0, block.start()) + 1
        found.append(Block(page, line, block[1], block[2].strip(), block[3]))
    return found


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


class Session:
    """A bash session in a directory that looks like a checkout, with a home of its own.

    Args:
        place: an empty directory.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.ports = {port: free_port() for port in PORTS}
        self.ids: dict[str, str] = {}
        self.background = 0

    def __enter__(self) -> Self:
        self.home.mkdir(mode=0o700)
        for name in ("docs", "examples", "src", "tests", "benchmarks"):
            if (ROOT / name).exists():
                (self.place / name).symlink_to(ROOT / name)
        (self.place / ".venv").symlink_to(sys.prefix)
        # Programs find their checkout by their own path, so these are not links.
        scripts = self.place / "scripts"
        scripts.mkdir()
        for script in (ROOT / "scripts").iterdir():
            if script.is_file() and os.access(script, os.X_OK):
                self._program(scripts / script.name, f"exec {shlex.quote(str(script))}")
        bin_ = self.place / "bin"
        bin_.mkdir()
        # Replaces `uvx`, which would download what is installed for the tests already.
        known = {"mcp-server-time": programs.time_server, "mcp-shell-server": programs.shell_server}
        cases = " ".join(f"{name}) program={one()[0]};;" for name, one in known.items())
        self._program(bin_ / "uvx", f'case $1 in {cases} esac; shift; exec "$program"')
        self.bash = subprocess.Popen(
            ["bash"],
            cwd=self.place,
            env=self._environment(bin_),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def _program(self, path: Path, line: str) -> None:
        path.write_text(f'#!/bin/sh\n{line} "$@"\n')
        path.chmod(0o755)

    def _environment(self, bin_: Path) -> dict[str, str]:
        others = ("CHATVAULT_", "OPENAI_", "ANTHROPIC_", "XDG_")
        inherited = {name: each for name, each in os.environ.items() if not name.startswith(others)}
        return inherited | {
            "HOME": str(self.home),
            "PATH": f"{bin_}:{self.place}/.venv/bin:{os.environ['PATH']}",
            "CHATVAULT_PORT": self.ports["8000"],
            "CHATVAULT_BCRYPT_ROUNDS": "4",
            "CHATVAULT_NEW_PASSWORD": PASSWORD,
        }

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        self.bash.stdin.close()
        self.bash.wait(WAIT)
        self.bash.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.bash.pid, signal.SIGTERM)
        until(lambda: not processes_of(self.place), WAIT)

    def _execute(self, command: str, out: Path) -> int:
        """Run a command in this bash; return its exit status."""
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        quoted = shlex.quote(str(out))
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null >{quoted} 2>&1; echo $?\n")
        self.bash.stdin.flush()
        return int(self.bash.stdout.readline() or -1)

    def here(self, text: str) -> str:
        """Return the text with this session's ports, ids and paths in place of the page's."""
        for shown, actual in self.ports.items():
            text = re.sub(rf"(?<![\d.,]){shown}(?![\d.,])", actual, text)
        for shown, actual in self.ids.items():
            text = text.replace(shown, actual)
        return text.replace("/home/you", str(self.home))

    def do(self, block: Block) -> None:
        """Run, write or check a block as its mark says."""
        if block.kind == "run":
            for command, shown in block.commands:
                self._run(block, command, shown)
        elif block.kind == "background":
            self._start(block)
        elif block.kind == "file":
            (self.place / block.value).write_text(self.here(block.text))

    def _run(self, block: Block, command: str, shown: str) -> None:
        out = self.place / "out"
        began = time.monotonic()
        while True:
            status = self._execute(self.here(command), out)
            said = out.read_text()
            told = f"{block.place}: {command}\nshown:\n{shown}\nprinted:\n{said}"
            assert status == 0, told
            if not shown.strip() or self._is_as_shown(shown, said):
                return
            # Background work may need a moment, and reading again is harmless.
            reads = command.startswith("curl ") and not re.search(r" -[Xd]| -i", command)
            assert reads, told
            assert time.monotonic() - began < WAIT, told
            time.sleep(0.1)

    def _start(self, block: Block) -> None:
        self.background += 1
        out = self.place / f"background-{self.background}"
        out.touch()
        [(command, shown)] = block.commands
        quoted = shlex.quote(str(out))
        self._execute(f"{{ {self.here(command)}\n}} >{quoted} 2>{quoted}.err &", self.place / "out")
        port = int(self.ports[block.value]) if block.value else None
        began = time.monotonic()
        while not (_is_open(port) and self._is_as_shown(shown.rstrip() + "…", out.read_text())):
            assert time.monotonic() - began < WAIT, f"{block.place}: {out.read_text()}"
            time.sleep(0.05)

    def _is_as_shown(self, shown: str, said: str) -> bool:
        """Whether an output is what the page shows; also learn which ids correspond.

        `…` stands for anything, and ids, times and measured numbers differ.
        """
        # Standard error has these in addition.
        said = re.sub(r"^(Data in|Starting|Importing|Verifying) .*\n", "", said, flags=re.MULTILINE)
        # `.venv` is a link that leads out of the directory; so the start names no path.
        said = re.sub(r"(?<=  )chatvault (?=users|import)", ".venv/bin/chatvault ", said)
        pattern, shown_ids = pattern_of(self.here(shown))
        found = re.fullmatch(pattern, said.strip(), re.DOTALL)
        if found is None:
            return False
        new = zip(shown_ids, found.groups(), strict=True)
        self.ids |= {name: actual for name, actual in new if name != actual}
        return True


UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
VARYING = re.compile(
    rf"(?P<id>{UUID}|\b(?!0{{24}})(?:[0-9a-f]{{32}}|[0-9a-f]{{24}})\b)"
    r"|(?P<short>\b[0-9a-f]{8}-(?=…))"
    r"|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z)"
    r"|(?P<number>\d+\.\d+(?![\d.])|\d+(?= MB| GB))"
    r"|(?P<agent>curl/[\d.]+)"
    r"|(?P<any>…)"
)
KINDS = {
    "short": "[0-9a-f]{8}-",
    "time": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    "number": r"\d+(?:\.\d+)?",
    "agent": r"curl/[\d.]+",
    "any": ".*?",
}


def _escaped(text: str) -> str:
    """Return the text as a regular expression: a page breaks lines where the output does not."""
    return r"\s*".join(re.escape(part) for part in re.split(r"\s+", text))


def pattern_of(shown: str) -> tuple[str, list[str]]:
    """Return a regular expression for an output, and the ids that its groups find."""
    text, pattern, at = shown.strip(), "", 0
    ids: list[str] = []
    for part in VARYING.finditer(text):
        pattern += _escaped(text[at : part.start()])
        if part["id"]:
            known = ids.index(part[0]) + 1 if part[0] in ids else None
            one = UUID if "-" in part[0] else f"[0-9a-f]{{{len(part[0])}}}"
            pattern += rf"(?:\{known})" if known else f"({one})"
            ids += [] if known else [part[0]]
        else:
            pattern += KINDS[str(part.lastgroup)]
        at = part.end()
    return pattern + _escaped(text[at:]), ids


def _is_open(port: int | None) -> bool:
    if port is None:
        return True
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
