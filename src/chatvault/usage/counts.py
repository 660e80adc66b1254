"""Adding up usage: tokens, messages and bytes, by user and day."""

from typing import Any

from chatvault.fields import Raw
from chatvault.usage.models import UsageDay

TOKENS = ("input_tokens", "output_tokens", "total_tokens", "requests")
SUMS: Raw = {name: {"$sum": f"${name}"} for name in (*TOKENS, "messages", "bytes")}
# Adding up a year of all users takes longer than other requests may.
COUNT_SECONDS = 60


def adding_up(which: Raw, key: Any) -> list[Raw]:
    """Return the stages that add up usage; they begin with the collection `usage`.

    Args:
        which: the filter of users and days, which both collections have.
        key: the expression of the groups.
    """
    days: list[Raw] = [{"$match": which}]
    return [
        {"$match": which},
        {"$set": {"requests": 1}},
        {"$unionWith": {"coll": UsageDay.get_collection_name(), "pipeline": days}},
        {"$group": {"_id": key, **SUMS}},
    ]
