"""Limits and usage on the page: setting limits, meeting them, and charts of what was used."""

from typing import Any

import pytest
from playwright.async_api import expect

from chatvault.actor import Role
from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, submit, violations
from support.using import insert_usage

pytestmark = pytest.mark.usefixtures("own_application")


@pytest.fixture
async def root(sign_in: SignIn) -> HttpClient:
    return await sign_in("root", role=Role.ADMIN)


async def test_limits_are_set_changed_and_removed(
    open_page: OpenPage, root: HttpClient, bob: HttpClient, database: Any
) -> None:
    page = await open_page("/review/quotas", client=root)
    await page.get_by_role("combobox", name="Of", exact=True).select_option("A user")
    user = page.get_by_label("User", exact=True)
    await user.fill("carol")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_text("There is nobody with this name or id.")).to_be_visible()
    await user.fill("Bob")
    await submit(page, "Continue")

    form = page.get_by_role("dialog", name="Limits of bob")
    await form.get_by_label("Messages a day").fill("many")
    await form.get_by_label("Stored messages").fill("1.5")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_text("A whole number from 0 on")).to_be_visible()
    assert await violations(page) == []
    await form.get_by_label("Messages a day").fill("20")
    await form.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The limits are set.")).to_be_visible()
    row = page.get_by_role("row", name="bob")
    await expect(row.get_by_role("listitem")).to_have_text(
        ["Messages a day 20", "Stored messages 1.5 GB"]
    )
    [stored] = await database.quotas.find().to_list()
    assert stored["limits"] == {"messages_per_day": 20, "stored_bytes": 1_500_000_000}

    await row.get_by_role("button", name="Change the limits of bob").click()
    await expect(form.get_by_label("Stored messages")).to_have_value("1.5")
    await form.get_by_label("Stored messages").fill("")
    await form.get_by_role("button", name="Save").click()
    await expect(row.get_by_role("listitem")).to_have_text(["Messages a day 20"])
    await row.get_by_role("button", name="Remove the limits of bob").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("Nobody has a limit.")).to_be_visible()
    assert await database.quotas.count_documents({}) == 0


async def test_a_limit_of_the_day_is_said_where_the_message_stands(
    open_page: OpenPage, root: HttpClient, bob: HttpClient
) -> None:
    answer = await root.put("/admin/quotas/user", json={"messages_per_day": 0})
    assert answer.status == 200
    page = await open_page(client=bob)
    await ask(page, "Which fjord?")
    refused = page.get_by_role("alert")
    await expect(refused).to_contain_text("as many messages as you may today")
    await expect(page.get_by_role("button", name="Send again")).to_be_visible()


async def test_usage_is_charted_for_all_and_for_one(
    open_page: OpenPage, root: HttpClient, bob: HttpClient
) -> None:
    await insert_usage("bob", (1000, 500))
    await insert_usage("root", (10, 5), days_ago=40)
    page = await open_page("/review/usage", client=root)
    chart = page.get_by_role("table", name="Tokens per day")
    await expect(chart.get_by_role("row")).to_have_count(30)
    await expect(chart.get_by_role("row").last).to_contain_text("1,500 1 request")
    await page.get_by_label("Period").select_option("Last 90 days")
    await expect(page.get_by_text("1,515 in all")).to_be_visible()
    await page.get_by_role("link", name="bob").click()
    await expect(page.get_by_role("heading", name="Usage of bob")).to_be_visible()
    await expect(page.get_by_text("1,500 in all")).to_be_visible()
    assert await violations(page) == []

    await root.put("/admin/quotas/admin", json={"tokens_per_day": 4000, "stored_bytes": 5 * 10**6})
    await insert_usage("root", (60, 40))
    await page.goto("/settings/usage")
    limits = page.get_by_role("region", name="Your limits")
    await expect(limits.get_by_role("meter", name="Tokens a day")).to_have_attribute("value", "100")
    await expect(limits.get_by_text("100 of 4,000 used")).to_be_visible()
    await expect(limits.get_by_text("3,900 left")).to_be_visible()
    await expect(limits.get_by_text("0 bytes of 5 MB used")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_label("Period").select_option("Last 90 days")
    await expect(page.get_by_text("115 in all")).to_be_visible()
    await expect(page.get_by_text("Stored messages now")).to_be_visible()
