"""schemathesis against the running service: no 500, nothing that openapi.json does not tell."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from chatvault.actor import Scope
from support.factories import message
from support.running import PASSWORD, Service, ask, chatvault

pytestmark = pytest.mark.xdist_group("service")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# They end the session that all the others need.
EXCLUDED = ("/auth/logout", "/auth/sessions/{session_id}")
# No model is configured: 503 is the documented answer.
CONFIGURATION = """
[[operations]]
include-path-regex = "completions$|/replies$|/summary$|^/conversations$"
[operations.checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]

# It has no way to make bodies of this media type; tests/importing/test_uploads.py has.
[[operations]]
include-name = "PATCH /imports/uploads/{upload_id}"
enabled = false
"""
# Streams that do not end; tests/live has them.
STREAMS = ("/events", "/ws")
# Something to work on, instead of ids that nobody has.
DATA = """
[parameters]
conversation_id = "{conversation}"
message_id = "known"
"""


class TestSchemathesis:
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize(
        ("is_there", "by_key", "seconds"),
        [
            pytest.param(True, False, 8, id="there"),
            # tests/http/test_unknown_ids.py tries each operation with ids that nobody has.
            pytest.param(False, False, 4, id="not there", marks=pytest.mark.long),
            pytest.param(True, False, 120, id="there, long", marks=pytest.mark.long),
            pytest.param(True, True, 120, id="there, by an API key, long", marks=pytest.mark.long),
            pytest.param(False, False, 120, id="not there, long", marks=pytest.mark.long),
        ],
    )
    async def test_finds_no_undocumented_behaviour(
        self, service: Service, tmp_path: Path, *, is_there: bool, by_key: bool, seconds: int
    ) -> None:
        username = f"fuzzer-{is_there}-{by_key}-{seconds}"
        async with service.browser() as browser:
            await service.sign_in(browser, username)
            made = chatvault(service.data_dir, "users", "set-role", username, "admin")
            assert made.returncode == 0, made.stderr
            account = {"username": username, "password": PASSWORD}
            await ask(browser, "POST", f"{service.url}/auth/login", account)
            header = f"Cookie: session_id={service.cookie(browser)}"
            if by_key:
                of_all = {"name": "fuzz", "scopes": [each.value for each in Scope]}
                _, key = await ask(browser, "POST", f"{service.url}/auth/keys", of_all)
                header = f"Authorization: Bearer {key['key']}"
            wanted = {"messages": [message("fuzz me", id="known")]}
            _, begun = await ask(browser, "POST", f"{service.url}/conversations", wanted)
        configuration, options = CONFIGURATION, []
        excluded: tuple[str, ...] = (*EXCLUDED, *STREAMS)
        if is_there:
            configuration += DATA.format(conversation=begun["id"])
            options += ["--exclude-method", "DELETE"]
        else:
            # The other run may have registered the account of its example: another session begins.
            excluded += ("/auth/login",)
        (tmp_path / "schemathesis.toml").write_text(configuration)
        logged = len(service.log.read_text())

        run = await asyncio.to_thread(
            subprocess.run,
            [
                *(str(SCHEMATHESIS), "run", f"{service.url}/openapi.json"),
                *("--checks", ",".join(CHECKS), "--max-time", str(seconds), *options),
                *("--header", header),
                *(part for path in excluded for part in ("--exclude-path", path)),
                *("--generation-with-security-parameters", "false"),
                *("--generation-database", "none", "--suppress-health-check", "all"),
                *("--phases", "examples,coverage,fuzzing", "--request-timeout", "30"),
                *("--continue-on-failure", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        (tmp_path / "schemathesis.txt").write_text(run.stdout)
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr
        assert "Traceback" not in service.log.read_text()[logged:]
