"""Every page of the panel, the client area and the sign-in in Chromium: it keeps the policy for contents, and axe-core
finds nothing, in both themes and in two languages.

WCAG 2.2 A and AA and axe's own best practices; anything serious or critical fails.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.house import Watch
from tests.generated.served import Served, pages_of, policy_kept, served  # noqa: F401

AXE = (Path(__file__).parents[1] / "browser" / "vendor" / "axe.min.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (only) => {
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false, runOnly: only});
  return found.violations.filter(v => v.impact === "serious" || v.impact === "critical").map(
    v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + n.html.slice(0, 160)).join(" | "));
}"""


ERRORS = {
    "user": ["/client/nowhere", "/client/tickets/99999999"], "reader": ["/client/users"], "nobody": ["/client/nowhere"],
}  # fmt: skip
"""Pages that say what went wrong."""
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? null
  : [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 3).map(e => e.tagName + "." + e.className).join(" ")"""
SEND = """() => {  // what is required and empty is said at the field, and nothing is sent
  const form = document.querySelector("main form[data-guard][method=post]");
  if (!form || !form.matches(":invalid")) return false;
  form.requestSubmit();
  return document.querySelectorAll(".field .error").length > 0;
}"""


def mistakes(page: Page) -> list[str]:
    """The form of a page once more, with what is wrong in it."""
    return [f"mistakes, {line}" for line in findings(page)] if page.evaluate(SEND) else []


def too_wide(page: Page) -> list[str]:
    """Whether a page of the client area is wider than a phone or a tablet."""
    found = []
    for width in (360, 768, 1024):
        page.set_viewport_size({"width": width, "height": 740})
        if (wide := page.evaluate(WIDE)) is not None:
            found.append(f"wider than {width}: {wide}")
    page.set_viewport_size({"width": 1280, "height": 720})
    return found


def findings(page: Page) -> list[str]:
    """Every rule in the light theme; in the dark one the colours, for nothing else depends on it."""
    page.emulate_media(color_scheme="light")
    page.evaluate(AXE)  # not as a script of the page: the policy would refuse it
    found: list[str] = page.evaluate(RUN, {"type": "tag", "values": TAGS})
    page.emulate_media(color_scheme="dark")
    dark: list[str] = page.evaluate(RUN, {"type": "rule", "values": ["color-contrast"]})
    return [*found, *(f"dark, {line}" for line in dark)]


def _speak(served: Served, who: str, code: str) -> dict[str, str]:  # noqa: F811
    """Choose the language; the cookies of this person's browser."""
    name, _sep, value = served.world.cookies[who].partition("=")
    jar = {name: value} if name else {}
    if who == "visit":  # only looks: it reads what the customer reads
        return jar
    with httpx.Client(
        base_url=served.url, headers={"Origin": served.url, "Cookie": f"{name}={value}"}, timeout=60
    ) as browser:
        answer = browser.post("/client/language" if who in ("user", "reader") else "/language", data={"language": code})
        assert answer.status_code == 303
        return jar | {n: v for n, v in answer.cookies.items() if n != name}


@pytest.mark.browser
@pytest.mark.pages
@pytest.mark.parametrize("code", ["en", "de"])
@pytest.mark.parametrize(("who", "least"), [("owner", 130), ("user", 35), ("reader", 15), ("visit", 20), ("nobody", 4)])
def test_policy_and_axe(served: Served, chromium: Browser, who: str, least: int, code: str) -> None:  # noqa: F811
    pages, wrong = pages_of(served, who), []
    context = chromium.new_context(base_url=served.url, reduced_motion="reduce")
    where = served.url + ("/client" if who == "visit" else "")
    jar = _speak(served, who, code)
    context.add_cookies([{"name": name, "value": value, "url": where} for name, value in jar.items()])
    watch = Watch()
    watch.look_at(context)
    page = context.new_page()
    refused = ERRORS.get(who, ())
    for url in [*pages, *refused][("en", "de").index(code) :: 2]:  # every other page in German
        found = policy_kept(page, watch, url)
        if url in refused:
            found = []  # a browser notes that the page was not there
        found += findings(page)
        if who != "owner":
            found += [*too_wide(page), *mistakes(page)]
        wrong += [f"{url}: {line}" for line in found]
    assert page.evaluate("document.documentElement.lang") == code or who == "visit"
    context.close()
    assert wrong == []
    assert len(pages) >= least


@pytest.mark.browser
@pytest.mark.pages
def test_axe_sees_what_is_wrong(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><input><p><font color=#ddd>pale</font></main>")
    assert {line.split(":")[0] for line in findings(page)} >= {"label", "color-contrast"}
    page.close()
