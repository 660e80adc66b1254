"""Uploads by a client of tus that other people wrote."""

import asyncio
import json
from pathlib import Path
from typing import Any

from conftest import HttpClient
from support.exports import exported
from support.programs import tus_python

# It sends two parts, ends, and goes on by the upload's address, as after a restart.
PROGRAM = """
import sys
from tusclient.client import TusClient

address, cookie, path = sys.argv[1:]
client = TusClient(address, headers={"Cookie": cookie})
metadata = {"filename": "my conversations.json"}
first = client.uploader(path, chunk_size=1000, metadata=metadata)
first.upload(stop_at=2000)
again = client.uploader(path, chunk_size=100_000, url=first.url)
assert again.offset == 2000, again.offset
again.upload()
print(again.url)
"""


async def run(client: HttpClient, path: Path) -> str:
    """Upload a file with tuspy; return the address of the upload."""
    address = str(client.make_url("/imports/uploads"))
    cookies = client.session.cookie_jar.filter_cookies(client.make_url("/"))
    cookie = "; ".join(f"{each.key}={each.value}" for each in cookies.values())
    process = await asyncio.create_subprocess_exec(
        *(tus_python(), "-c", PROGRAM, address, cookie, str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    return told.decode().strip()


class TestTuspy:
    async def test_uploads_what_is_then_imported(self, alice: HttpClient, tmp_path: Path) -> None:
        path = tmp_path / "my.json"
        path.write_text(json.dumps([exported(number) for number in range(20)]))
        upload_id = (await run(alice, path)).rpartition("/")[2]
        begun = await alice.post(f"/imports?upload_id={upload_id}")
        assert begun.status == 202, await begun.text()

        job: dict[str, Any] = await begun.json()
        async with asyncio.timeout(60):
            while job["ended_at"] is None:
                job = await (await alice.get(f"/imports/{job['id']}")).json()
        assert (job["state"], job["report"]["imported"]) == ("completed", 20)
        assert job["names"] == ["my conversations.json"]
