"""Setting a password by the link that an administrator gave."""

from playwright.async_api import expect

from chatvault.actor import Role
from conftest import SignIn
from support.browsing import OpenPage
from support.signing_in import insert_user

NEW = "another-horse-battery"


async def test_sets_a_password_once(open_page: OpenPage, sign_in: SignIn) -> None:
    admin = await sign_in("adam", role=Role.ADMIN)
    user = await insert_user("carol", Role.USER)
    made = await admin.put(f"/admin/users/{user.id}/password-reset")
    path = f"/reset/{(await made.json())['token']}"

    page = await open_page(path)
    await page.get_by_label("New password").fill("short")
    await page.get_by_role("button", name="Set password").click()
    await expect(page.get_by_label("New password")).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Set password").click()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("Username").fill("carol")
    await page.get_by_label("Password", exact=True).fill(NEW)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_label("Password", exact=True)).to_have_count(0)

    again = await open_page(path)
    await again.get_by_label("New password").fill(NEW)
    await again.get_by_role("button", name="Set password").click()
    await expect(again.get_by_role("alert")).to_be_visible()
