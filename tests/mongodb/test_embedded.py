"""The embedded MongoDB against a real mongod: what it promises when things are killed."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped] # it carries no annotations
import pymongo
import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import ConnectionFailure
from pymongo.write_concern import WriteConcern
from structlog.testing import capture_logs

from chatvault.mongodb import embedded, keeper, machine, reviving
from chatvault.mongodb.embedded import DataInUse, EmbeddedError, embedded_mongodb, find_mongod
from support.disks import require_mounts, with_disk

Documents = MongoClient[dict[str, Any]]

USER = """
import sys, time
from pathlib import Path
from chatvault.mongodb.embedded import embedded_mongodb
with embedded_mongodb(Path(sys.argv[1]), exclusive=True) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def servers(data_dir: Path) -> list[psutil.Process]:
    """Every keeper and mongod of a data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            is_ours = any(part == str(data_dir) or part.startswith(f"{data_dir}/") for part in line)
            if is_ours and USER not in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def mongod_of(data_dir: Path) -> psutil.Process:
    return psutil.Process(int((data_dir / "mongodb.pid").read_text()))


def keeper_of(data_dir: Path) -> psutil.Process:
    parent = mongod_of(data_dir).parent()
    assert parent is not None
    return parent


def gone(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def eventually(check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def connected(url: str) -> Iterator[Documents]:
    client: Documents = MongoClient(url, serverSelectionTimeoutMS=10_000)
    with client:
        yield client


def write(url: str, name: str) -> None:
    concern = WriteConcern(w="majority", j=True)
    with connected(url) as client:
        client["test"].get_collection("things", write_concern=concern).insert_one({"_id": name})


def names(url: str) -> set[str]:
    with connected(url) as client:
        return {thing["_id"] for thing in client["test"]["things"].find()}


def troubles(logged: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the service could not look after its MongoDB."""
    return [each["reason"] for each in logged if each["event"] == "embedded_mongodb_trouble"]


@contextmanager
def other_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", USER, str(data_dir)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service looks after its keeper more often."""
    monkeypatch.setattr(reviving, "_LOOK_SECONDS", 0.1)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    eventually(lambda: not servers(tmp_path))


def test_first_start_gives_a_private_primary_and_leaves_nothing(data_dir: Path) -> None:
    with embedded_mongodb(data_dir, exclusive=True) as url:
        write(url, "a")
        with connected(url) as client:
            things = client["test"]["things"]

            def insert(session: ClientSession) -> None:
                things.insert_one({"_id": "b"}, session=session)

            with things.watch() as stream, client.start_session() as session:
                session.with_transaction(insert)
                assert next(stream)["documentKey"] == {"_id": "b"}

        mongod = mongod_of(data_dir)
        assert [each for each in mongod.net_connections("inet") if each.laddr] == []
        path = Path((data_dir / "mongodb.socket").read_text().strip())
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert (data_dir / "mongodb").stat().st_mode & 0o777 == 0o700
        assert data_dir.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(path)) <= 100
        assert keeper_of(data_dir).memory_info().rss < 20_000_000
    assert servers(data_dir) == []
    assert not path.parent.exists()


def test_second_start_is_quick_and_a_server_is_refused_beside_another(data_dir: Path) -> None:
    with embedded_mongodb(data_dir) as url:
        write(url, "a")
    began = time.monotonic()
    with embedded_mongodb(data_dir, exclusive=True) as url:
        # 0.3 s on a quiet machine; who waits for an election waits for 10 s.
        assert time.monotonic() - began < 8
        with pytest.raises(DataInUse, match=rf"\(pid {os.getpid()}\) already serves"):
            embedded_mongodb(data_dir, exclusive=True).__enter__()
        began = time.monotonic()
        with embedded_mongodb(data_dir) as tool:
            assert names(tool) == {"a"}
        # It would wait for 15 s.
        assert time.monotonic() - began < 10, "a tool that leaves others behind need not wait"
        assert names(url) == {"a"}


def test_what_was_acknowledged_survives_the_death_of_mongod(on_disk: Path) -> None:
    data_dir = on_disk / "data"
    with embedded_mongodb(data_dir) as url, connected(url) as client:
        things = client["test"].get_collection(
            "things", write_concern=WriteConcern(w="majority", j=True)
        )
        for number in range(200):
            things.insert_one({"_id": number})
        before = mongod_of(data_dir)
        before.kill()
        eventually(lambda: gone(before))
        things.insert_one({"_id": 200})
        assert things.count_documents({}) == 201
        assert mongod_of(data_dir).pid != before.pid
    assert "SIGKILL; restarting it" in (data_dir / "mongodb.keeper.log").read_text()


def test_killed_user_leaves_no_server(data_dir: Path) -> None:
    with other_process(data_dir) as (user, url):
        write(url, "a")
        assert len(servers(data_dir)) == 2
        user.kill()
        user.wait()
        eventually(lambda: servers(data_dir) == [])
    with embedded_mongodb(data_dir) as url:
        assert names(url) == {"a"}


def test_start_waits_for_a_server_that_is_stopping(data_dir: Path) -> None:
    waits: list[float] = []
    with other_process(data_dir) as (user, url):
        write(url, "a")
        user.kill()
        user.wait()
        time.sleep(0.3)  # the keeper has seen it and is stopping mongod
        with embedded_mongodb(data_dir, on_wait=lambda: waits.append(1)) as again:
            assert names(again) == {"a"}
    assert len(waits) <= 1


def test_killed_keeper_takes_mongod_with_it_and_is_replaced(data_dir: Path) -> None:
    with embedded_mongodb(data_dir, exclusive=True) as url:
        write(url, "a")
        before = mongod_of(data_dir)
        keeper_of(data_dir).kill()
        eventually(lambda: gone(before))
        assert names(url) == {"a"}
        write(url, "b")
    with embedded_mongodb(data_dir) as url:
        assert names(url) == {"a", "b"}


def test_data_moved_away_and_back_are_served_again(data_dir: Path, tmp_path: Path) -> None:
    with capture_logs() as logged, embedded_mongodb(data_dir, exclusive=True) as url:
        write(url, "a")
        before, away = mongod_of(data_dir), tmp_path / "away"
        data_dir.rename(away)
        before.kill()
        eventually(lambda: servers(data_dir) == [])
        eventually(lambda: troubles(logged) != [])
        away.rename(data_dir)
        eventually(lambda: servers(data_dir) != [])
        assert names(url) == {"a"}
        write(url, "b")


def test_full_disk_loses_only_log_lines_of_the_keeper(data_dir: Path) -> None:
    """Every message and every number it writes down meets a device that takes nothing."""
    data_dir.mkdir()
    for name in ("mongodb.keeper.log", "mongodb.pid", "mongod.log"):
        (data_dir / name).symlink_to("/dev/full")
    with embedded_mongodb(data_dir, exclusive=True) as url:
        write(url, "a")
        [parent] = [
            each for each in servers(data_dir) if "chatvault.mongodb.keeper" in each.cmdline()
        ]
        [before] = parent.children()
        before.kill()
        eventually(lambda: gone(before))
        assert names(url) == {"a"}
        assert parent.is_running()
        assert [each.pid for each in parent.children()] != [before.pid]
    assert servers(data_dir) == []


def test_service_keeps_its_url_if_the_record_cannot_be_written(
    data_dir: Path, quick_looks: None
) -> None:
    with capture_logs() as logged, embedded_mongodb(data_dir, exclusive=True) as url:
        write(url, "a")
        record, part = data_dir / "mongodb.socket", data_dir / "mongodb.part"
        kept = record.read_text()
        record.unlink()
        part.symlink_to("/dev/full")
        before = mongod_of(data_dir)
        keeper_of(data_dir).kill()
        eventually(lambda: gone(before))
        eventually(lambda: troubles(logged) != [])
        assert servers(data_dir) == []
        part.unlink()
        eventually(record.exists)
        assert record.read_text() == kept
        assert names(url) == {"a"}


def test_disk_without_room_is_refused_at_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "ROOM", 2**60)
    with pytest.raises(EmbeddedError, match=r"has \d+ MB left, and MongoDB needs \d+ MB to start"):
        embedded_mongodb(data_dir).__enter__()


def test_too_few_open_files_are_refused_at_once(data_dir: Path) -> None:
    command = [sys.executable, "-c", USER, str(data_dir)]
    began = time.monotonic()
    refused = subprocess.run(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - began < 10  # a second on a quiet machine
    last = refused.stderr.splitlines()[-1]
    assert "no more than 64 files may be open here" in last
    assert "ulimit -n 1024" in last


def test_mongod_gets_the_machines_limit_of_open_files(data_dir: Path) -> None:
    command = [sys.executable, "-c", USER, str(data_dir)]
    with subprocess.Popen(
        ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert mongod_of(data_dir).rlimit(psutil.RLIMIT_NOFILE)[0] == min(most, 64_000)
        assert psutil.Process(user.pid).rlimit(psutil.RLIMIT_NOFILE)[0] == 256
        user.kill()


@pytest.mark.parametrize("name", ["data", "data/mongodb"])
def test_unusable_directory_is_named_at_once(data_dir: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to("/no/such/disk")
    with pytest.raises(EmbeddedError, match=rf"{folder} is a link to /no/such/disk, which is not"):
        embedded_mongodb(data_dir).__enter__()
    folder.unlink()
    folder.touch()
    with pytest.raises(EmbeddedError, match=f"{folder} is not a directory"):
        embedded_mongodb(data_dir).__enter__()


@pytest.mark.parametrize("name", ["data", "data/mongodb"])
def test_unwritable_directory_is_named_at_once(data_dir: Path, tmp_path: Path, name: str) -> None:
    require_mounts()
    folder = tmp_path / name
    folder.mkdir(parents=True)
    command = with_disk(folder, "ro,size=1m", [sys.executable, "-c", USER, str(data_dir)])
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{folder} cannot be read and written by this user" in refused.stderr.splitlines()[-1]


def test_new_start_ends_a_mongod_that_outlived_its_keeper(data_dir: Path) -> None:
    with other_process(data_dir) as (user, url):
        write(url, "a")
        mongod, parent = mongod_of(data_dir), keeper_of(data_dir)
        mongod.send_signal(signal.SIGSTOP)  # so that it cannot follow
        parent.kill()
        user.kill()
        user.wait()
        parent.wait(5)
    assert mongod.is_running()
    woken = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {mongod.pid}"])
    with embedded_mongodb(data_dir) as url:
        assert names(url) == {"a"}
    woken.wait()
    assert "left behind" in (data_dir / "mongodb.keeper.log").read_text()


def test_moved_and_copied_data_work_side_by_side(data_dir: Path, tmp_path: Path) -> None:
    with embedded_mongodb(data_dir) as url:
        write(url, "a")
    first = (data_dir / "mongodb.socket").read_text()
    moved, copied = tmp_path / ("moved " + "far " * 30), tmp_path / "copied"
    data_dir.rename(moved)
    shutil.copytree(moved, copied)
    with embedded_mongodb(moved) as one, embedded_mongodb(copied) as two:
        assert (moved / "mongodb.socket").read_text() == first
        assert one != two
        write(one, "one")
        write(two, "two")
        assert names(one) == {"a", "one"}
        assert names(two) == {"a", "two"}


def test_other_temporary_directory_and_stale_files_do_not_matter(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as before:
        monkeypatch.setattr(tempfile, "tempdir", before)
        with embedded_mongodb(data_dir) as url:
            write(url, "a")
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere:
        monkeypatch.setattr(tempfile, "tempdir", elsewhere)
        folder = Path(
            elsewhere,
            f"chatvault-{os.getuid()}",
            Path((data_dir / "mongodb.socket").read_text().strip()).parent.name,
        )
        folder.mkdir(mode=0o700, parents=True)
        folder.parent.chmod(0o700)
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(folder / "mongod.sock"))
        (folder / "lock").touch()
        (data_dir / "mongodb" / "mongod.lock").write_text("1\n")
        (data_dir / "mongodb.pid").write_text("1")
        (data_dir / "serve.lock").write_text("1\n")
        with embedded_mongodb(data_dir, exclusive=True) as url:
            assert str(folder.name) in url
            assert names(url) == {"a"}
            # A tool with another idea of the temporary directory joins all the same.
            monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
            with embedded_mongodb(data_dir) as tool:
                assert names(tool) == {"a"}


def test_socket_directory_of_someone_else_is_refused(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere:
        monkeypatch.setattr(tempfile, "tempdir", elsewhere)
        Path(elsewhere, f"chatvault-{os.getuid()}").mkdir(mode=0o755)
        with pytest.raises(EmbeddedError, match="only you may enter"):
            embedded_mongodb(data_dir).__enter__()


def fake_mongod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a mongod on PATH, and hide the packaged one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    mongod = folder / "mongod"
    mongod.write_text(f"#!/bin/sh\n{script}\n")
    mongod.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(embedded, "_PACKAGED", "not/here")
    return mongod


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo db version v4.4.1", "is version 4, and 6 or newer is needed; or run `docker"),
        ("exit 132", r"does not run here \(status 132; it needs a CPU with AVX\)"),
        (
            "echo 'error while loading shared libraries: libcurl.so.4: cannot open' >&2; exit 127",
            "needs the library libcurl.so.4, which is not installed: run `apt install libcurl4`",
        ),
        (
            "echo 'dyld: Library not loaded: /opt/liblzma.5.dylib' >&2; exit 134",
            "needs the library /opt/liblzma.5.dylib, which is not installed; or",
        ),
    ],
)
def test_unusable_mongod_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    fake_mongod(tmp_path, monkeypatch, script)
    with pytest.raises(EmbeddedError, match=message):
        find_mongod()


def test_missing_mongod_is_reported_with_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mongod(tmp_path, monkeypatch, "").unlink()
    with pytest.raises(EmbeddedError) as caught:
        find_mongod()
    for way in ("docker compose up", "CHATVAULT_MONGODB_URL", "pip install '.[embedded]'"):
        assert way in caught.value.detail
    assert caught.value.code == "embedded_mongodb"


def test_mongod_that_cannot_be_executed_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mongod(tmp_path, monkeypatch, "").write_text("#!/no/such/shell\n")
    with pytest.raises(EmbeddedError, match="cannot be run here"):
        find_mongod()


def test_mongod_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mongod = fake_mongod(tmp_path, monkeypatch, "echo db version v8.0.4")
    assert find_mongod() == mongod


def test_server_that_keeps_failing_is_given_up_with_its_reason(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mongod(
        tmp_path,
        monkeypatch,
        'test "$1" = --version && { echo db version v7.0.1; exit; }\n'
        """echo '{"s":"F","c":"STORAGE","msg":"Wrong data","attr":{"why":"too new"}}'\n"""
        "exit 62",
    )
    waits: list[int] = []
    message = 'gave up after 5 quick ends: .* exit code 62: Wrong data {"why": "too new"}'
    with pytest.raises(EmbeddedError, match=re.compile(message)):
        embedded_mongodb(data_dir, on_wait=lambda: waits.append(1)).__enter__()
    assert waits == [1]


def test_windows_needs_a_mongodb_of_its_own(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EmbeddedError, match="set CHATVAULT_MONGODB_URL"):
        embedded_mongodb(data_dir).__enter__()


def test_terminated_keeper_stops_mongod_cleanly(data_dir: Path) -> None:
    with embedded_mongodb(data_dir) as url:
        write(url, "a")
        keeper_of(data_dir).terminate()
        eventually(lambda: servers(data_dir) == [])
        with pytest.raises(ConnectionFailure), pymongo.timeout(0.05):
            names(url)
        with embedded_mongodb(data_dir) as again:
            assert names(again) == {"a"}


def test_server_that_ignores_the_request_to_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(keeper, "_STOP", 0.3)
    ready = tmp_path / "ready"
    script = f"trap '' TERM; : > {ready}; while :; do sleep 0.1; done"
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {})
    eventually(ready.exists)
    keeper._stop(pid, time.sleep)
    assert "did not stop within" in capsys.readouterr().err
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
