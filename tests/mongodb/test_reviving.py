import threading

import pytest
from structlog.testing import capture_logs

from chatvault.mongodb import reviving as module
from chatvault.mongodb.reviving import reviving


class TestReviving:
    def test_continues_after_any_failure_and_logs_it_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
        troubles = [FileNotFoundError("gone"), RuntimeError("odd"), RuntimeError("odd")]
        revived = threading.Event()

        def revive(_over: threading.Event) -> bool:
            if troubles:
                raise troubles.pop(0)
            revived.set()
            return True

        with capture_logs() as logged, reviving(revive):
            assert revived.wait(5)
        told = [entry.get("reason") for entry in logged if entry["log_level"] == "error"]
        assert told == ["FileNotFoundError: gone", "RuntimeError: odd"]
        assert logged[-1]["event"] == "embedded_mongodb_restarted"
