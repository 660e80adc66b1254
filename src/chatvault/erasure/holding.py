"""The seam for legal holds, which forbid an erasure."""

from bson import ObjectId


async def erasable(user_id: ObjectId) -> bool:  # noqa: ARG001  # the seam: nothing is held yet
    """Whether no hold forbids to erase this user."""
    return True
