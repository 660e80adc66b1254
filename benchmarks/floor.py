"""The driver's floor: the same MongoDB call in a plain loop, without HTTP, in its own process.

And `coalesced`: many of the calls, with an audit entry each, in one transaction.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from bson import ObjectId

import coalesced
import operations
from measure import CpuClock, Result, Tally, read_job, write_result

Target = tuple[ObjectId, ObjectId]
Call = Callable[[list[Target]], Awaitable[Any]]


def choose(job: dict[str, Any], collection: operations.Collection) -> Call:
    """Return the call that the job names."""
    calls: dict[str, Call] = {
        "append": lambda some: operations.append(
            collection, *some[0], {**job["message"], "id": str(uuid.uuid4())}
        ),
        "coalesced": lambda some: coalesced.append(collection, some, job["message"]),
        "get": lambda some: operations.get(collection, *some[0]),
        "list": lambda some: operations.list_summaries(collection, some[0][0], 50),
        "page": lambda some: operations.newest(collection, *some[0], 50),
    }
    return calls[job["operation"]]


async def run() -> Result:
    """Do the job: as many loops as it has connections."""
    job = read_job()
    collection = operations.open_collection(job["url"], job["database"])
    await collection.database.command("ping")
    call = choose(job, collection)
    targets = [(ObjectId(user_id), ObjectId(_id)) for user_id, _id in job["targets"]]
    step, size = job["connections"], 1
    if job["operation"] == "coalesced":
        await coalesced.prepare(collection)
        step, size = coalesced.GROUPS, coalesced.SIZE
        # Going around must bring no two loops to the same conversation.
        del targets[len(targets) // step * step :]
    clock = CpuClock()
    tally = Tally(job["warmup"], job["seconds"])

    async def loop(number: int) -> None:
        place = job["offset"] + number
        going = True
        while going:
            some = [targets[(place + n * step) % len(targets)] for n in range(size)]
            sent = time.perf_counter()
            await call(some)
            place += step * size
            for _ in some:
                going = tally.note(sent, 200)

    await asyncio.gather(*(loop(number) for number in range(step)))
    cpu = clock.cores()
    await collection.database.client.close()
    return {"groups": [tally.summary()], "cpu": cpu}


if __name__ == "__main__":
    write_result(uvloop.run(run()))
