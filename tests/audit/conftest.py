"""Fixtures: an audit log without a service around it."""

from collections.abc import AsyncIterator

import pytest

from chatvault.audit import sealer
from chatvault.audit.blocks import Block
from chatvault.audit.keys import KeyRing, load_key_ring
from chatvault.audit.models import AuditEntry
from chatvault.database import connect
from chatvault.documents import bind_documents
from chatvault.leases import Lease
from chatvault.settings import Settings
from support.sealing import Log


@pytest.fixture
def keys(settings: Settings) -> KeyRing:
    return load_key_ring(settings)


@pytest.fixture
async def log(
    settings: Settings, mongodb_url: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Log]:
    """An empty audit log that nobody seals."""
    monkeypatch.setattr(sealer, "AWAIT_MILLISECONDS", 10)
    client = connect(mongodb_url, settings)
    for document in (AuditEntry, Block, Lease):
        await client["tests-seal"][document.Settings.name].delete_many({})
    await bind_documents(client, "tests-seal", keys)
    yield Log(client["tests-seal"], keys)
    await client.close()
