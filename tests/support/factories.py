"""Test data."""

import functools
import os
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse

from chatvault.settings import Settings

PASSWORD = "correct horse"
# Set to a master key, it lets all tests run with sealed content.
MASTER_KEYS = "SEALED_TESTS"


def settings_for(data_dir: Path, **changes: Any) -> Settings:
    """Return the settings of an application under test, with some of them changed.

    Time limits are so long that a busy machine does not reach them.
    """
    return Settings(**_usual(data_dir) | changes) if changes else _usual_settings(data_dir)


def _usual(data_dir: Path) -> dict[str, Any]:
    sealed = {"master_keys": os.environ[MASTER_KEYS]} if MASTER_KEYS in os.environ else {}
    return sealed | {
        "data_dir": data_dir,
        "bcrypt_rounds": 4,
        "mongodb_database": "tests",
        "mongodb_timeout": 60.0,
        "provider_timeout": 60.0,
        "mcp_timeout": 60.0,
    }


@functools.lru_cache(maxsize=2)
def _usual_settings(data_dir: Path) -> Settings:
    """Read them once: that takes as long as a request."""
    return Settings(**_usual(data_dir))


def account(username: str) -> dict[str, Any]:
    return {"username": username, "email": f"{username}@example.com"}


def message(content: str = "Hello", role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


async def begin(http: Any, **fields: Any) -> dict[str, Any]:
    """Create a conversation of the browser's user, over HTTP."""
    answer: ClientResponse = await http.post("/conversations", json=fields)
    assert answer.status == 201, await answer.text()
    body: dict[str, Any] = await answer.json()
    return body
