"""Finding the data that a service runs on."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.server.running import announced, find_served
from support.running import Service, environment


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class TestFindServed:
    def test_finds_the_data_of_a_running_service_only(self, tmp_path: Path) -> None:
        assert find_served() == []
        with (
            embedded_mongodb(tmp_path / "one", exclusive=True),
            announced(tmp_path / "one"),
            announced(tmp_path / "crashed"),
        ):
            assert find_served() == [tmp_path / "one"]
        assert find_served() == []


class TestCommand:
    """In processes of their own, whose home has no data yet."""

    def users(self, home: Path, data: Path | None = None) -> subprocess.CompletedProcess[str]:
        variables = environment(data or home)
        if data is None:
            del variables["CHATVAULT_DATA_DIR"]
        variables |= {"XDG_DATA_HOME": str(home / "share"), "XDG_STATE_HOME": str(home / "state")}
        return subprocess.run(
            [sys.executable, "-m", "chatvault", "users", "list"],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_uses_the_running_services_database(self, tmp_path: Path) -> None:
        data, default = tmp_path / "elsewhere", tmp_path / "share" / "chatvault"
        with Service(data) as service:
            assert f"CHATVAULT_DATA_DIR={data} " in service.banner
            refused = self.users(tmp_path)
            assert refused.returncode == 2
            [line] = refused.stderr.splitlines()
            assert f"a service runs on {data}: set CHATVAULT_DATA_DIR" in line
            assert not default.exists()
            found = self.users(tmp_path, data)
            assert found.returncode == 0
            assert found.stderr.splitlines() == [f"Data in {data}"]

    def test_reports_that_it_created_a_database(self, tmp_path: Path) -> None:
        made = self.users(tmp_path)
        assert made.returncode == 0
        place = tmp_path / "share" / "chatvault"
        assert f"Made a new database in {place}" in made.stderr.splitlines()
