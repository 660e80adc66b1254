"""Groups that people join and leave by what a real provider says at their sign-in."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.answers import problem
from support.factories import begin
from support.granting import at
from support.grouping import add, bind, found_group, members_of, share_with
from support.sealing import until
from support.signing_on import Person, RealProvider

pytestmark = pytest.mark.xdist_group("oidc")
Come = Callable[[str], Awaitable[None]]


@pytest.fixture
async def root(sign_in: SignIn) -> HttpClient:
    return await sign_in("root", role=Role.ADMIN)


@pytest.fixture
def come(person: Person, provider: RealProvider, database: Any) -> Come:
    """Have somebody sign in with these groups there, and wait until those here are in line."""

    async def is_done() -> bool:
        count: int = await database.claim_tasks.count_documents({})
        return count == 0

    async def come(login: str) -> None:
        await provider.tell(login)
        answer = await person.sign_in(login.partition(":")[0])
        assert answer.headers["Location"] == "/"
        await until(is_done)

    return come


async def test_join_at_sign_in_and_leave_at_the_next(
    http: HttpClient, root: HttpClient, come: Come
) -> None:
    first, second = await found_group(root, name="First"), await found_group(root, name="Second")
    conversation = await begin(root)
    await share_with(root, conversation, first)
    await bind(root, first, "engineering")
    await bind(root, second, "sales")

    await come("ada:engineering:sales:others")

    assert (await members_of(root, first))["ada"]["by_claim"] is True
    assert (await members_of(root, second))["ada"]["by_claim"] is True
    assert (await http.get(at(conversation))).status == 200

    await come("ada:sales")

    assert (await members_of(root, first)).keys() == {"root"}
    assert "ada" in await members_of(root, second)
    assert (await http.get(at(conversation))).status == 404


async def test_stay_if_added_by_hand(root: HttpClient, come: Come) -> None:
    group = await found_group(root)
    await bind(root, group, "engineering")
    await come("ada:engineering")
    await add(root, group, "ada")

    await come("ada")

    assert (await members_of(root, group))["ada"]["by_claim"] is False


async def test_cannot_be_taken_by_others(root: HttpClient, come: Come, http: HttpClient) -> None:
    """Nor by one whom the provider makes an administrator."""
    group = await found_group(root)
    await bind(root, group, "engineering")
    await come("eve:operators")
    own = await found_group(http)
    taken = await http.patch(f"/groups/{own['id']}", json={"claim": "engineering"})
    await problem(taken, 409, "claim_in_use")
    stranger = await http.patch(f"/groups/{group['id']}", json={"claim": "operators"})
    await problem(stranger, 404, "group_not_found")
    assert (await members_of(root, group)).keys() == {"root"}


async def test_end_with_the_link_to_the_identity(
    http: HttpClient, root: HttpClient, come: Come, database: Any
) -> None:
    group = await found_group(root)
    await bind(root, group, "engineering")
    await come("ada:engineering")
    await database.users.update_one({"username": "ada"}, {"$set": {"password_hash": "some"}})

    assert (await http.delete("/auth/oidc/link")).status == 200

    async def is_out() -> bool:
        return "ada" not in await members_of(root, group)

    await until(is_out)
