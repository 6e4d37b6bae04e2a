"""What a first view costs: everything that a browser with an empty cache loads for one page, as it travels."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.hands import sign_in
from tests.browser.house import House

pytestmark = [pytest.mark.browser, pytest.mark.pages, pytest.mark.parametrize("house", ["sqlite"], indirect=True)]
MOST = 150_000
PAGES = {
    "sign-in": "/login", "dashboard": "/admin/", "list": "/admin/customer/list", "card": "/admin/customer/details/1",
    "register": "/admin/customer/create", "composer": "/admin/customer/action/message?pks=1",
}  # fmt: skip


def weigh(context: BrowserContext, url: str) -> tuple[int, list[str]]:
    """The bytes that came, and the addresses that were asked."""
    page = context.new_page()
    network, asked, size = context.new_cdp_session(page), [], [0]
    network.on("Network.loadingFinished", lambda e: size.append(int(e["encodedDataLength"])))
    page.on("request", lambda request: asked.append(request.url))
    network.send("Network.enable")
    page.goto(url, wait_until="networkidle")
    page.evaluate("document.fonts.ready.then(() => true)")
    return sum(size), asked


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_first_view_is_light_and_asks_nobody_else(chromium: Browser, house: House, language: str) -> None:
    first = chromium.new_context(base_url=house.url)
    sign_in(page := first.new_page())
    page.wait_for_url("**/admin/")
    page.evaluate("language => fetch('/language', {method: 'POST', body: new URLSearchParams({language})})", language)
    state = first.storage_state()
    first.close()
    sizes = {}
    for name, url in PAGES.items():
        context = chromium.new_context(base_url=house.url, storage_state=None if name == "sign-in" else state)
        sizes[name], asked = weigh(context, url)
        context.close()
        assert all(a.startswith(house.url) and "/statics/" not in a for a in asked), name
        assert len([a for a in asked if a.endswith(".css")]) >= 4, name
    print(sizes)
    assert min(sizes.values()) > 20_000 and max(sizes.values()) < MOST, sizes
