"""The driver's floor: the same MongoDB call in a plain loop, without HTTP, in its own process."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from bson import ObjectId

import operations
from measure import CpuClock, Result, Tally, read_job, write_result

Call = Callable[[ObjectId, ObjectId], Awaitable[Any]]


def choose(job: dict[str, Any], collection: operations.Collection) -> Call:
    """The call that the job names."""
    calls: dict[str, Call] = {
        "append": lambda user_id, _id: operations.append(
            collection, user_id, _id, {**job["message"], "id": str(uuid.uuid4())}
        ),
        "get": lambda user_id, _id: operations.get(collection, user_id, _id),
        "list": lambda user_id, _id: operations.list_summaries(collection, user_id, 50),
        "page": lambda user_id, _id: operations.newest(collection, user_id, _id, 50),
    }
    return calls[job["operation"]]


async def run() -> Result:
    """Do the job: as many loops as it has connections."""
    job = read_job()
    collection = operations.open_collection(job["url"], job["database"])
    await collection.database.command("ping")
    call = choose(job, collection)
    targets = [(ObjectId(user_id), ObjectId(_id)) for user_id, _id in job["targets"]]
    step = job["connections"]
    clock = CpuClock()
    tally = Tally(job["warmup"], job["seconds"])

    async def loop(number: int) -> None:
        place = job["offset"] + number
        going = True
        while going:
            sent = time.perf_counter()
            await call(*targets[place % len(targets)])
            place += step
            going = tally.note(sent, 200)

    await asyncio.gather(*(loop(number) for number in range(step)))
    cpu = clock.cores()
    await collection.database.client.close()
    return {"groups": [tally.summary()], "cpu": cpu}


if __name__ == "__main__":
    write_result(uvloop.run(run()))
