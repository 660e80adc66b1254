"""Groups that tests make and share with."""

from typing import Any

from conftest import HttpClient
from support.granting import at

Raw = dict[str, Any]


async def found_group(owner: HttpClient, *members: str, name: str = "Team") -> Raw:
    """Make a group with these members, over HTTP."""
    answer = await owner.post("/groups", json={"name": name})
    assert answer.status == 201, await answer.text()
    made: Raw = await answer.json()
    for each in members:
        await add(owner, made, each)
    return made


async def add(manager: HttpClient, group: Raw, user: str, role: str = "member") -> Raw:
    """Add somebody to a group."""
    answer = await manager.put(f"/groups/{group['id']}/members/{user}", json={"role": role})
    assert answer.status == 200, await answer.text()
    added: Raw = await answer.json()
    return added


async def take_out(manager: HttpClient, group: Raw, user: str) -> None:
    """Remove somebody from a group."""
    answer = await manager.delete(f"/groups/{group['id']}/members/{user}")
    assert answer.status == 204, await answer.text()


async def share_with(
    owner: HttpClient, conversation: Raw, group: Raw, role: str = "viewer", **more: Any
) -> Raw:
    """Share a conversation with a group."""
    body = {"role": role, **more}
    answer = await owner.put(at(conversation, f"/group-grants/{group['id']}"), json=body)
    assert answer.status == 200, await answer.text()
    given: Raw = await answer.json()
    return given


async def bind(owner: HttpClient, group: Raw, claim: str | None) -> Raw:
    """Bind a group to a group of the identity provider."""
    answer = await owner.patch(f"/groups/{group['id']}", json={"claim": claim})
    assert answer.status == 200, await answer.text()
    changed: Raw = await answer.json()
    return changed


async def members_of(member: HttpClient, group: Raw) -> dict[str, Raw]:
    """Return the members of a group by name."""
    shown = await (await member.get(f"/groups/{group['id']}")).json()
    return {each["username"]: each for each in shown["members"]}
