"""MongoDB's log of changes, in tests."""

import asyncio

from pymongo import WriteConcern

from chatvault.mongodb.database import Client


async def overflow_oplog(client: Client) -> None:
    """Write until the oplog holds nothing of what was written before."""
    oplog = client["local"]["oplog.rs"]
    before = await oplog.find_one(sort=[("$natural", -1)])
    assert before is not None
    junk = client["junk"].get_collection("junk", write_concern=WriteConcern(w=1))
    text = "x" * 1_000_000
    async with asyncio.timeout(60):
        while await oplog.find_one({"ts": before["ts"]}):
            await junk.insert_many([{"text": text} for _ in range(5)])
            await asyncio.sleep(0.1)
