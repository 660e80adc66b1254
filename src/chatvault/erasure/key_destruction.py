"""The seam for data keys: an erasure destroys all of a user's."""

from bson import ObjectId


async def destroy_keys(user_id: ObjectId) -> int:  # noqa: ARG001  # the seam: there are no keys yet
    """Destroy a user's data keys, so that nothing sealed with them can be read; return how many.

    It can be repeated.
    """
    return 0
