"""axe-core on every page of the panel, the client area and the sign-in, in both themes and two languages.

WCAG 2.2 A and AA and axe's own best practices; anything serious or critical fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import chromium  # noqa: F401
from tests.generated.test_csp import Served, pages_of, served  # noqa: F401

AXE = (Path(__file__).parents[1] / "browser" / "vendor" / "axe.min.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (tags) => {
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false, runOnly: tags});
  return found.violations.filter(v => v.impact === "serious" || v.impact === "critical").map(
    v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + n.html.slice(0, 160)).join(" | "));
}"""


def findings(page: Page) -> list[str]:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)  # not as a script of the page: the policy would refuse it
    found: list[str] = page.evaluate(RUN, TAGS)
    return found


def _speak(served: Served, who: str, code: str, cookies: dict[str, str]) -> None:  # noqa: F811
    path = "/client/language" if who in ("user", "visit") else "/language"
    with httpx.Client(base_url=served.url, headers={"Origin": served.url}) as browser:
        headers = {"cookie": served.world.cookies[who]}
        answer = browser.post(path, data={"language": code}, headers=headers)
        assert answer.status_code == 303
        cookies |= dict(answer.cookies)


@pytest.mark.browser
@pytest.mark.parametrize(("code", "theme"), [("en", "light"), ("de", "dark")])
@pytest.mark.parametrize(("who", "least"), [("owner", 130), ("user", 7), ("visit", 6), ("nobody", 2)])
def test_axe_finds_nothing_serious(
    served: Served, chromium: Browser, who: str, least: int, code: str, theme: Any  # noqa: F811
) -> None:  # fmt: skip
    context = chromium.new_context(base_url=served.url, reduced_motion="reduce", color_scheme=theme)
    jar: dict[str, str] = {}
    _speak(served, who, code, jar)
    name, _sep, value = served.world.cookies[who].partition("=")
    jar |= {name: value} if name else {}
    where = served.url + ("/client" if who == "visit" else "")
    context.add_cookies([{"name": n, "value": v, "url": where} for n, v in jar.items()])
    page = context.new_page()
    pages, wrong = pages_of(served, who), []
    for url in pages:
        page.goto(url, wait_until="load")
        wrong += [f"{url}: {line}" for line in findings(page)]
    assert page.evaluate("document.documentElement.lang") == code
    context.close()
    assert wrong == []
    assert len(pages) >= least


@pytest.mark.browser
def test_axe_sees_what_is_wrong(chromium: Browser) -> None:  # noqa: F811
    page = chromium.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><input><p><font color=#ddd>pale</font></main>")
    assert {line.split(":")[0] for line in findings(page)} >= {"label", "color-contrast"}
    page.close()
