"""Every command in the documentation is run, checked, or named with the reason why not."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.pages import NOT_RUN, PAGES, ROOT, TRIED, Block, Session, blocks
from test_docs import exists

BLOCKS = [block for page in PAGES for block in blocks(page)]
# Each takes some seconds: `scripts/docs-commands` and `scripts/test --long` run them all.
RUN = [
    pytest.param(page, id=page.stem, marks=[] if page.parent == ROOT else [pytest.mark.long])
    for page in PAGES
    if any(block.kind == "run" for block in blocks(page))
]
CHECKED = [block for block in BLOCKS if block.kind == "syntax"]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_nginx(block: Block, place: Path) -> None:
    site = place / "site.conf"
    site.write_text(block.text)
    for name in ("fullchain.pem", "privkey.pem"):
        site.write_text(site.read_text().replace(f"/etc/ssl/chat/{name}", str(place / name)))
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
        *("-keyout", str(place / "privkey.pem"), "-out", str(place / "fullchain.pem")),
    )
    main = place / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {place}/{kind};" for kind in kinds)
    main.write_text(
        f"pid {place}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {paths} include {site}; }}\n"
    )
    run("nginx", "-t", "-p", str(place), "-c", str(main), "-e", "stderr")


def check_caddy(block: Block, place: Path) -> None:
    (place / "Caddyfile").write_text(block.text)
    run("caddy", "adapt", "--adapter", "caddyfile", "--config", str(place / "Caddyfile"))


def check_systemd(block: Block, place: Path) -> None:
    unit = place / "chatvault.service"
    # The program lies elsewhere here.
    unit.write_text(block.text.replace("/opt/chatvault/.venv/bin/chatvault", "/bin/true"))
    run("systemd-analyze", "verify", "--man=no", str(unit))


CHECKS: dict[str, tuple[str, Callable[[Block, Path], None]]] = {
    "nginx": ("nginx", check_nginx),
    "caddy": ("caddy", check_caddy),
    "systemd": ("systemd-analyze", check_systemd),
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
class TestBlocks:
    def test_name_how_they_are_tested(self, block: Block) -> None:
        if block.language not in TRIED:
            assert not block.text.startswith("$ ")
            assert not block.mark or block.kind == "file"
            return
        assert block.kind in {"run", "background", "file", "syntax", "tested", "not-run"}
        if block.kind == "tested":
            assert exists(block.value), block.value
        if block.kind == "not-run":
            assert block.value in NOT_RUN
        if block.kind == "syntax":
            assert block.value in CHECKS


def test_each_exemption_is_needed_and_documented() -> None:
    assert {block.value for block in BLOCKS if block.kind == "not-run"} == set(NOT_RUN)
    index = (ROOT / "docs" / "README.md").read_text()
    assert [
        name for name, reason in NOT_RUN.items() if f"`not-run={name}` | {reason}" not in index
    ] == []


@pytest.mark.xdist_group("service")
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for block in blocks(page):
            session.do(block)


@pytest.mark.parametrize("block", CHECKED, ids=lambda block: block.place)
def test_the_configuration_is_valid(block: Block, tmp_path: Path) -> None:
    program, check = CHECKS[block.value]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    check(block, tmp_path)


def test_the_environment_file_is_valid(tmp_path: Path) -> None:
    page = ROOT / "docs" / "on-a-server.md"
    [file] = [block.text for block in blocks(page) if block.text.startswith("CHATVAULT_")]
    (tmp_path / "chatvault.env").write_text(file)
    program = shlex.quote(f"{sys.prefix}/bin/chatvault")
    run("sh", "-c", f"set -a; . {shlex.quote(str(tmp_path))}/chatvault.env; {program} settings")


def test_pages_are_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [page.name for page in PAGES if page.parent.name == "docs" and page.name != "README.md"]
    assert [name for name in pages if f"]({name}" not in index] == []
