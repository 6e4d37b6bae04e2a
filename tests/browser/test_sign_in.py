"""Two-factor sign-in and passkeys in Chromium: a real authenticator of the browser's own, by the DevTools protocol."""

from __future__ import annotations

import pyotp
import pytest

from tests.browser.house import PASSWORD, STAFF, House, Walk

pytestmark = [pytest.mark.parametrize("house", ["sqlite"], indirect=True), pytest.mark.again]


def test_staff_add_a_passkey_and_an_app_and_sign_in_with_each(walk: Walk, house: House) -> None:
    page, base = walk.page, house.url.replace("127.0.0.1", "localhost")  # browsers have passkeys for names only
    devtools = walk.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    authenticator = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def by_password() -> None:
        walk.context.clear_cookies()
        page.goto(f"{base}/login")
        page.get_by_label("User name or e-mail").fill(STAFF)
        page.locator("#password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()

    by_password()
    page.wait_for_url("**/admin/")
    page.goto(f"{base}/admin/profile/security")
    page.get_by_label("Name of the new passkey").fill("My laptop")
    page.locator("#add-proof").fill(PASSWORD)
    page.get_by_role("button", name="Add this device").click()
    page.get_by_text("The passkey is added.").wait_for()
    assert page.get_by_text("My laptop").first.is_visible()
    keys = devtools.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]
    assert [(k["rpId"], k["isResidentCredential"]) for k in keys] == [("localhost", True)]

    walk.context.clear_cookies()
    page.goto(f"{base}/login?next=/admin/customer/list")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{base}/admin/customer/list")  # without a password; the address before it ends with the same

    page.goto(f"{base}/admin/profile/security")
    page.locator("summary", has_text="Set up").click()
    page.locator("#begin-proof").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/security/app")
    picture = page.get_by_alt_text("Picture to scan")
    assert picture.evaluate("e => e.complete && e.naturalWidth > 100")
    page.get_by_text("Enter it by hand").click()
    secret = page.locator("code").inner_text().replace(" ", "")
    page.locator("#confirm-code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Switch it on").click()
    code = page.locator(".codes li").first.inner_text()
    walk.shot("codes")

    by_password()
    page.wait_for_url("**/login/second")
    page.get_by_role("button", name="Use a passkey instead").click()
    page.wait_for_url("**/admin/")
    by_password()
    page.wait_for_url("**/login/second")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/admin/")

    page.goto(f"{base}/admin/profile/security")
    page.get_by_text("9 recovery codes are left").wait_for()
    page.get_by_role("button", name="Remove My laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_text("The passkey is removed.").wait_for()
    page.locator("summary", has_text="Switch off").click()
    page.locator("#off-proof").fill(PASSWORD)
    page.get_by_role("button", name="Switch it off").click()
    page.get_by_text("Two-factor sign-in is off.").wait_for()
    by_password()
    page.wait_for_url("**/admin/")
    told = [mail for to, mail in house.sink.messages if to == "olga@example.com"]
    assert told and all("sign-in" in str(mail["Subject"]) for mail in told)
