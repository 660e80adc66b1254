import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from chatvault.logs import configure_logs
from chatvault.settings import LogFormat, Settings


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def configure(settings: Settings, **changes: Any) -> None:
    configure_logs(settings.model_copy(update=changes))


def fail_with_a_secret() -> None:
    secret = "planted-" + "password"
    raise ValueError(len(secret))


class TestJson:
    def test_lines_carry_the_request_id(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(settings, log_format=LogFormat.JSON)

        with structlog.contextvars.bound_contextvars(request_id="abc"):
            structlog.get_logger().info("request", status=200)

        line = json.loads(capsys.readouterr().err)
        assert (line["event"], line["request_id"], line["status"]) == ("request", "abc", 200)
        assert line["level"] == "info"
        assert line["timestamp"].endswith("Z")

    def test_lines_of_libraries_look_the_same(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(settings, log_format=LogFormat.JSON)

        logging.getLogger("aiohttp.server").error("something %s", "happened")

        line = json.loads(capsys.readouterr().err)
        assert line["event"] == "something happened"
        assert line["level"] == "error"


class TestTracebacks:
    @pytest.mark.parametrize("log_format", list(LogFormat))
    def test_show_no_variables(
        self, settings: Settings, capsys: pytest.CaptureFixture[str], log_format: LogFormat
    ) -> None:
        configure(settings, log_format=log_format)

        try:
            fail_with_a_secret()
        except ValueError as error:
            structlog.get_logger().error("internal_error", exc_info=error)
            logging.getLogger("aiohttp.server").exception("failed")

        shown = capsys.readouterr().err
        assert "fail_with_a_secret" in shown
        assert "planted-password" not in shown


class TestLevel:
    def test_omits_lower_levels(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(settings, log_level="warning")

        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")

        shown = capsys.readouterr().err
        assert "quiet" not in shown
        assert "loud" in shown


class TestStderr:
    def test_on_a_full_disk_loses_only_lines(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A line longer than any buffer, and one that is flushed.
        with Path("/dev/full").open("wb", buffering=0) as full:
            monkeypatch.setattr("sys.stderr", io.TextIOWrapper(full, write_through=True))
            configure(settings)
            structlog.get_logger().error("x" * 100_000)
            structlog.get_logger().error("short")
            logging.getLogger("aiohttp.server").error("of a library")
