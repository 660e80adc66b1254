"""Bringing a file in beside the running service, and without one."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from support.exports import SETTINGS, as_stored, exported, shown
from support.running import PASSWORD, Service, ask, chatvault, environment, processes_of, script

pytestmark = pytest.mark.xdist_group("service")

MIGRATE = "migrate_localStorage_to_mongodb.py"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_conversations.json"
    path.write_text(json.dumps([exported(number, messages=8) for number in (2, 1, 0)]))
    return path


@pytest.fixture
def dump(file: Path) -> Path:
    """The same in a dump of the whole localStorage, with preferences."""
    items = {"ai-chat-conversations": file.read_text(), "ai-mcp-ui-config": json.dumps(SETTINGS)}
    file.write_text(json.dumps(items))
    return file


def write(path: Path, conversations: int) -> None:
    path.write_text(json.dumps([exported(number) for number in range(conversations)]))


async def check(service: Service, browser: aiohttp.ClientSession) -> None:
    """All that the file holds is there, in its order, over REST."""
    answer, listed = await ask(browser, "GET", f"{service.url}/conversations?limit=100")
    assert answer.status == 200
    assert [shown(each) for each in listed] == [
        as_stored(exported(number, messages=8)) for number in (2, 1, 0)
    ]
    for each in listed:
        _, found = await ask(browser, "GET", f"{service.url}/conversations/{each['id']}")
        assert found == each


class TestImport:
    async def test_works_beside_the_running_service(self, service: Service, file: Path) -> None:
        async with service.browser() as browser:
            await service.sign_in(browser, "importer")
            done = script(MIGRATE, service.data_dir, "--file", str(file), "--username", "importer")
            assert done.returncode == 0, done.stderr
            assert "3 conversations imported" in done.stdout
            await check(service, browser)

            again = chatvault(service.data_dir, "import", str(file), "--username", "importer")
            assert "3 conversations already there" in again.stdout
            await check(service, browser)

    async def test_works_without_a_service_and_data(self, tmp_path: Path, dump: Path) -> None:
        data_dir = tmp_path / "data"
        made = script("create_test_users.py", data_dir, "--password", PASSWORD)
        assert made.returncode == 0, made.stderr
        assert f"admin (admin): password {PASSWORD}" in made.stdout
        assert f"testuser (user): password {PASSWORD}" in made.stdout
        assert processes_of(data_dir) == []
        done = script(MIGRATE, data_dir, f"--file={dump}", "--username=admin")
        assert done.returncode == 0, done.stderr
        assert processes_of(data_dir) == []

        with Service(data_dir) as service:
            async with service.browser() as browser:
                account = {"username": "admin", "password": PASSWORD}
                answer, _ = await ask(browser, "POST", f"{service.url}/auth/login", account)
                assert answer.status == 200
                await check(service, browser)
                _, preferences = await ask(browser, "GET", f"{service.url}/users/me/preferences")
                assert SETTINGS.items() <= preferences.items()

    async def test_is_completed_by_the_same_command_after_ctrl_c(
        self, service: Service, tmp_path: Path
    ) -> None:
        path = tmp_path / "many.json"
        write(path, 2000)
        async with service.browser() as browser:
            await service.sign_in(browser, "impatient")
            count = f"{service.url}/conversations/stats/count"
            command = ["import", str(path), "--username", "impatient"]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chatvault", *command),
                env=environment(service.data_dir),
                stderr=subprocess.PIPE,
            )
            while (await ask(browser, "GET", count))[1] == {"count": 0}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = await process.communicate()
            assert process.returncode == 130
            assert said.decode().splitlines()[-1].startswith("chatvault: interrupted;")
            _, some = await ask(browser, "GET", count)
            assert 0 < some["count"] < 2000

            again = await asyncio.to_thread(chatvault, service.data_dir, *command)
            assert f"{some['count']} conversations already there" in again.stdout
            assert f"{2000 - some['count']} conversations imported" in again.stdout
            assert (await ask(browser, "GET", count))[1] == {"count": 2000}

    def test_reports_a_bad_file_and_an_unknown_user_in_one_line(
        self, service: Service, file: Path
    ) -> None:
        unknown = script(MIGRATE, service.data_dir, "--file", str(file), "--username", "nobody")
        assert unknown.returncode == 1
        assert unknown.stderr.splitlines()[-1].startswith("chatvault: There is no user 'nobody'")
        assert "Traceback" not in unknown.stderr
        file.write_text(file.read_text()[:-100])
        bad = script(MIGRATE, service.data_dir, "--file", str(file), "--username", "nobody")
        assert bad.returncode == 2
        [line] = bad.stderr.splitlines()
        assert line.startswith("chatvault: my_conversations.json: ")


class TestCreateTestUsers:
    async def test_prints_passwords_once_and_makes_the_users_that_a_sign_in_page_advertises(
        self, tmp_path: Path
    ) -> None:
        data_dir = tmp_path / "data"
        first = script("create_test_users.py", data_dir)
        passwords = [line.rpartition(" ")[2] for line in first.stdout.splitlines()]
        assert len(set(passwords)) == 2
        assert all(len(each) >= 12 for each in passwords)
        again = script("create_test_users.py", data_dir)
        assert again.returncode == 0
        assert again.stdout.count("is there already") == 2
        assert not any(each in again.stdout for each in passwords)
        [told] = re.findall(r"scripts/create_test_users\.py (.*)", first.stderr)

        made = script("create_test_users.py", data_dir, *told.split())

        assert made.returncode == 0, made.stderr
        assert made.stdout == (
            "admin (admin): password admin123\ntestuser (user): password test123\n"
        )
        with Service(data_dir) as service:
            for name, password, role in (
                ("admin", "admin123", "admin"),
                ("testuser", "test123", "user"),
            ):
                async with service.browser() as browser:
                    account = {"username": name, "password": password}
                    answer, body = await ask(browser, "POST", f"{service.url}/auth/login", account)
                    assert (answer.status, body["user"]["role"]) == (200, role)

    @pytest.mark.parametrize(
        ("account", "words"),
        [
            ("admin", "NAME:PASSWORD"),
            ("admin:", "NAME:PASSWORD"),
            ("a b:secret", "white space"),
            ("\x1b[31mx:secret", "control"),
        ],
        ids=ascii,
    )
    def test_refuses_an_invalid_account(self, tmp_path: Path, account: str, words: str) -> None:
        refused = script("create_test_users.py", tmp_path / "data", "--account", account)

        assert refused.returncode == 2
        assert words in refused.stderr
        assert "\x1b" not in refused.stderr

    def test_is_for_development_only(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "data"
        refused = script("create_test_users.py", data_dir, env="production")
        assert refused.returncode == 1
        [line] = refused.stderr.splitlines()
        assert "development only" in line
        assert not data_dir.exists()

    def test_refuses_a_short_password(self, tmp_path: Path) -> None:
        refused = script("create_test_users.py", tmp_path / "data", "--password", "short")
        assert refused.returncode == 2
        assert "at least 8 characters" in refused.stderr
