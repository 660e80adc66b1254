"""Refusals of strangers who have a whole network of addresses."""

from dataclasses import replace
from typing import Any

from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action, Outcome
from chatvault.audit.recorder import Recorder
from chatvault.audit.refusals import RefusalCounter
from chatvault.errors import NotAuthenticated
from chatvault.sealing.alerts import alert_forged_counts

STRANGER = Actor(door=Door.HTTP)


async def refuse(refusals: RefusalCounter, address: str) -> None:
    stranger = replace(STRANGER, address=address)
    code = NotAuthenticated.code
    await refusals.record(audit.entry(stranger, Action.USER_GET, outcome=Outcome.DENIED, code=code))


async def test_from_one_ipv6_network_become_one_entry(database: Any) -> None:
    refusals = RefusalCounter(Recorder(), alert_forged_counts)

    for number in range(1, 40):
        await refuse(refusals, f"2001:db8:1:2::{number:x}")
    await refuse(refusals, "2001:db8:1:3::1")
    await refusals.close_minute()

    stored = await database.audit_logs.find({"action": "user.get"}).sort("_id", 1).to_list()
    counts = {entry["address"]: (entry["details"] or {}).get("count") for entry in stored}
    assert counts == {"2001:db8:1:2::1": None, "2001:db8:1:3::1": None, "2001:db8:1:2::/64": 38}
