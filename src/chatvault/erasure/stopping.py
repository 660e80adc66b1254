"""Stop the background work of an account that is being erased."""

from bson import ObjectId

from chatvault.exporting.jobs.models import ExportJob, ExportState
from chatvault.fields import now
from chatvault.importing.models import ImportJob, JobState
from chatvault.replies.models import Reply, State


async def stop_work(user_id: ObjectId) -> None:
    """Have the processes that work for the user stop; can be repeated.

    Whatever it writes all the same is removed like everything else.

    Raises:
        PyMongoError: the database cannot be reached; call it again.
    """
    mine = {"user_id": user_id}
    await Reply.get_pymongo_collection().update_many(
        {**mine, "state": State.RUNNING.value}, {"$set": {"cancel_requested": True}}
    )
    imports = ImportJob.get_pymongo_collection()
    cancelled = {"state": JobState.CANCELLED.value, "ended_at": now()}
    await imports.update_many(
        {**mine, "state": JobState.QUEUED.value}, {"$set": cancelled, "$inc": {"version": 1}}
    )
    await imports.update_many(
        {**mine, "state": JobState.RUNNING.value}, {"$set": {"cancel_requested": True}}
    )
    removed = {"state": ExportState.REMOVED.value, "is_open": False, "expires_at": now()}
    await ExportJob.get_pymongo_collection().update_many(
        {**mine, "is_open": True}, {"$set": removed}
    )
