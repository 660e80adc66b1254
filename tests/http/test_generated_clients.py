"""Clients that other people's generators make of the description."""

import asyncio
import json
import os
from itertools import chain
from pathlib import Path

import pytest

from chatvault.operations import ROUTES
from conftest import HttpClient
from support import programs

USE = Path(__file__).parent.parent / "support" / "use_generated.py"
OPERATIONS = [each.handler.__name__ for each in chain.from_iterable(ROUTES)]


@pytest.fixture
async def description(http: HttpClient, tmp_path: Path) -> Path:
    """The description, in a file."""
    path = tmp_path / "openapi.json"
    path.write_bytes(await (await http.get("/openapi.json")).read())
    return path


async def run(*command: str, **env: str) -> str:
    """What a program says that must not fail."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


class TestPython:
    async def test_has_every_operation_and_works(
        self, http: HttpClient, description: Path, tmp_path: Path
    ) -> None:
        configuration = tmp_path / "configuration.json"
        configuration.write_text(
            json.dumps(
                {
                    "post_hooks": [],
                    "content_type_overrides": {
                        "application/zip": "application/octet-stream",
                        "application/offset+octet-stream": "application/octet-stream",
                    },
                }
            )
        )

        await run(
            *programs.openapi_python_client(),
            *("generate", "--path", str(description), "--output-path", str(tmp_path / "made")),
            *("--meta", "none", "--config", str(configuration), "--fail-on-warning"),
        )
        url = str(http.make_url("/")).rstrip("/")
        said = await run(programs.openapi_python(), str(USE), url, PYTHONPATH=str(tmp_path))

        assert said.split() == [str(len(OPERATIONS))]


class TestTypeScript:
    async def test_has_every_operation_and_compiles(
        self, description: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "made.ts"
        await run(*programs.openapi_typescript(), str(description), "-o", str(made))
        used = tmp_path / "used.ts"
        used.write_text(
            'import type { components, operations } from "./made";\n'
            + "".join(f'export type _{name} = operations["{name}"];\n' for name in OPERATIONS)
            + 'export const patch: components["schemas"]["ConversationPatch"] = { tags: ["a"] };\n'
        )

        await run(*programs.typescript(), "--noEmit", "--strict", "--skipLibCheck", str(used))
