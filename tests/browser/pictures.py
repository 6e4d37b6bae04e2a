"""Pictures of every page: both themes, a phone and a screen, four languages; `make pictures`.

    make pictures ARGS="--page customer --language de --theme dark --width 360"

takes only the pages whose name contains the word. They lie in var/pictures/, with a contact sheet, index.html. Pages
are found by following the links of a panel on demo data, so a new one is there by itself; STATES adds what stands only
after a click.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import func, select

from app import cookies, db
from app.domain.sessions import passwords
from app.domain.staff import add_staff
from app.i18n import LANGUAGES
from app.models.customers import Customer
from app.models.messaging import Delivery
from app.observe import SYSTEM, acting
from tests import factories
from tests.browser.house import PASSWORD, ROOT, _free_port, find_chromium
from tests.generated.routes import addresses

FOLDER = ROOT / "var" / "pictures"
THEMES = ("light", "dark")
WIDTHS = (360, 1280)
HEIGHTS = {360: 740, 1280: 900}
SEEDS = {"staff": ["/admin/", "/admin/design", "/admin/customer/details/99999999"], "customer": ["/client/"],
         "nobody": ["/login", "/client/login"]}  # fmt: skip
SHORT = {"details": "card", "admin": "", "list": "list", "N": ""}
SKIPPED = re.compile(r"/(?:files|static|filter|lookup|part|data|body)(?:/|$)|/logout|/leave")


@dataclass(frozen=True)
class Wanted:
    """One page: its name, who opens it, its address, and what is done there first."""

    name: str
    who: str
    url: str
    state: str = ""


def _filter(page: Page) -> None:
    page.locator("[popovertarget=builder]").first.click()
    page.locator("#builder .field >> visible=true").first.wait_for()


def _chosen(page: Page) -> None:
    page.locator("[data-check]").first.check()


def _refused(page: Page) -> None:
    page.locator(".footbar button[form=form]").last.click()
    page.locator(".field .error").first.wait_for()


def _mistaken(page: Page) -> None:
    page.locator("#username").fill("nobody")
    page.locator("#password").fill("not this one")
    page.locator("form.gate-fields button.primary").click()
    page.locator("#wrong").wait_for()


STATES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "customer-list+filter": ("customer-list", _filter),
    "customer-list+chosen": ("customer-list", _chosen),
    "customer-create+mistakes": ("customer-create", _refused),
    "login+mistake": ("login", _mistaken),
}
"""Name -> the page, and how it comes into that state."""


# ---- the panel -----------------------------------------------------------------------------------------------------


async def _people(database: str) -> None:
    """For each language a colleague and a user of a customer who has something to read."""
    db.configure(database)
    with acting(SYSTEM):
        async with db.unit() as session:
            most = select(Delivery.customer_id).group_by(Delivery.customer_id).order_by(func.count().desc()).limit(1)
            customer = (await session.scalars(select(Customer).where(Customer.id == most.scalar_subquery()))).one()
            hashed = await passwords.hash_password(PASSWORD)
            for code in LANGUAGES:
                await add_staff(
                    session, username=f"olga-{code}", full_name="Olga Owner", email=f"olga-{code}@example.com",
                    password=PASSWORD, language=code,
                )  # fmt: skip
                await factories.create_user(
                    session, customer=customer, username=f"anna-{code}", email=f"anna-{code}@example.com",
                    full_name=customer.name, language=code, password_hash=hashed,
                )  # fmt: skip
    await db.dispose()


@contextmanager
def panel(people: Callable[[str], Coroutine[Any, Any, None]] = _people) -> Iterator[str]:
    """`bursar up` on demo data of its own, to whose database `people` adds. Gives its address."""
    data, port = Path(tempfile.mkdtemp(prefix="bursar-pictures-")), _free_port()
    env = {n: v for n, v in os.environ.items() if not n.startswith("BURSAR_")}
    env |= {"PYTHONPATH": str(ROOT), "BURSAR_DATA_DIR": str(data)}
    with (data / "log.txt").open("wb") as log:
        command = [sys.executable, "-m", "app", "up", "--port", str(port)]
        running = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
            while not _healthy(url):
                if running.poll() is not None or time.monotonic() > end:
                    sys.exit((data / "log.txt").read_text()[-4000:])
                time.sleep(0.3)
            asyncio.run(people(f"sqlite+aiosqlite:///{data / 'bursar.db'}"))
            yield url
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)
            shutil.rmtree(data, ignore_errors=True)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _sign_in(url: str, who: str, code: str) -> httpx.Client:
    browser = httpx.Client(base_url=url, headers={"Origin": url, "Accept": "text/html"}, timeout=30)
    if who == "nobody":
        browser.headers["cookie"] = f"{cookies.LANGUAGE}={code}"
        return browser
    name, path = {"staff": ("olga", "/login"), "customer": ("anna", "/client/login")}[who]
    answer = browser.post(path, data={"username": f"{name}-{code}", "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return browser


# ---- which pages there are -----------------------------------------------------------------------------------------


def _name(url: str) -> str:
    """customer-card-user for /admin/customer/details/7?tab=user"""
    parts = urlsplit(url)
    words = [SHORT.get(w, w) for w in re.sub(r"/\d+(?=/|$)", "/N", parts.path).split("/")]
    if parts.path.startswith("/admin/design"):
        words = ["design"]
    name = "-".join(w for w in [*words, *parse_qs(parts.query).get("tab", [])] if w)
    return {"": "dashboard", "customer-card": "customer-card"}.get(name, name)


def find_pages(url: str) -> list[Wanted]:
    """Follow the links from the first pages, one page of each kind."""
    found: dict[str, Wanted] = {}
    for who, seeds in SEEDS.items():
        waiting = list(seeds)
        browser = _sign_in(url, who, "en")
        while waiting:
            address = waiting.pop(0)
            name = "not-found" if "99999999" in address else _name(address)
            if name in found or SKIPPED.search(urlsplit(address).path):
                continue
            answer = browser.get(address)
            if "<html" not in answer.text or (answer.status_code != 200 and name != "not-found"):
                continue
            found[name] = Wanted(name, who, address)
            if who != "nobody":
                start = "/admin/" if who == "staff" else "/client/"
                waiting += sorted(a for a in addresses(answer.text) if a.startswith(start) and "pin=" not in a)
        browser.close()
    found |= {
        name: Wanted(name, found[base].who, found[base].url, name)
        for name, (base, _do) in STATES.items() if base in found
    }  # fmt: skip
    return sorted(found.values(), key=lambda w: (["nobody", "staff", "customer"].index(w.who), w.name))


# ---- taking them ---------------------------------------------------------------------------------------------------


def _context(browser: Browser, url: str, who: str, code: str) -> BrowserContext:
    context = browser.new_context(base_url=url, locale=code, reduced_motion="reduce", device_scale_factor=1)
    context.set_default_timeout(15_000)
    jar = {cookies.LANGUAGE: code}
    if who != "nobody":
        signed = _sign_in(url, who, code)
        jar |= dict(signed.cookies)
        signed.close()
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in jar.items()])
    return context


def take(url: str, code: str, pages: list[Wanted], themes: list[str], widths: list[int]) -> list[str]:
    """The pictures of one language. Gives what went wrong."""
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        opened: dict[str, Page] = {}
        for wanted in pages:
            if wanted.who not in opened:
                opened[wanted.who] = _context(browser, url, wanted.who, code).new_page()
                opened[wanted.who].on("dialog", lambda dialog: dialog.accept())
            try:
                _take(opened[wanted.who], wanted, code, themes, widths)
            except Exception as problem:  # one page must not cost the others
                problems.append(f"{wanted.name} ({code}): {str(problem).splitlines()[0]}")
        browser.close()
    return problems


def _take(page: Page, wanted: Wanted, code: str, themes: list[str], widths: list[int]) -> None:
    page.set_viewport_size({"width": widths[-1], "height": HEIGHTS.get(widths[-1], 900)})
    page.goto(wanted.url, wait_until="load")
    if wanted.state:
        STATES[wanted.state][1](page)
    page.evaluate("document.fonts.ready.then(() => true)")
    for width in reversed(widths):
        least = HEIGHTS.get(width, 900)
        page.set_viewport_size({"width": width, "height": least})
        whole = int(page.evaluate("document.documentElement.scrollHeight"))  # a bar at the foot then stands at the foot
        page.set_viewport_size({"width": width, "height": min(max(least, whole), 12_000)})
        page.evaluate("scrollTo(0, 0)")
        for theme in themes:
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.screenshot(path=picture(wanted.name, code, theme, width), animations="disabled")


def picture(name: str, code: str, theme: str, width: int) -> Path:
    return FOLDER / f"{name}.{code}.{theme}.{width}.png"


def contact_sheet() -> None:
    """index.html: all pictures that lie there, one page below the other."""
    names = sorted(p.name for p in FOLDER.glob("*.png"))
    rows: dict[str, list[str]] = {}
    for name in names:
        rows.setdefault(name.split(".")[0], []).append(name)
    body = "".join(
        f"<h2 id='{escape(page)}'>{escape(page)}</h2><div>"
        + "".join(
            f"<figure><a href='{escape(n)}'><img src='{escape(n)}' loading='lazy' alt=''></a>"
            f"<figcaption>{escape(n.removeprefix(page + '.').removesuffix('.png'))}</figcaption></figure>"
            for n in files
        )
        + "</div>"
        for page, files in rows.items()
    )
    style = (
        "body{font:14px sans-serif;margin:16px;background:#888}div{display:flex;gap:12px;overflow-x:auto}"
        "figure{margin:0;flex:none}img{height:320px;max-width:480px;object-fit:cover;object-position:top}"
    )
    html = f"<!doctype html><meta charset=utf-8><title>Pictures</title><style>{style}</style>{body}"
    (FOLDER / "index.html").write_text(html, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--page", action="append", help="a part of the page's name; may stand several times")
    parser.add_argument("--language", action="append", choices=list(LANGUAGES))
    parser.add_argument("--theme", action="append", choices=THEMES)
    parser.add_argument("--width", action="append", type=int)
    parser.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1))
    asked = parser.parse_args()
    if find_chromium() is None:
        sys.exit("no Chromium on this machine: install it, or set BURSAR_CHROMIUM")
    if not (asked.page or asked.language or asked.theme or asked.width):
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with panel() as url:
        pages = [w for w in find_pages(url) if not asked.page or any(p in w.name for p in asked.page)]
        themes, widths = asked.theme or list(THEMES), sorted(asked.width or WIDTHS)
        codes = asked.language or list(LANGUAGES)
        parts = [(code, pages[n::2]) for code in codes for n in range(2)]
        with ProcessPoolExecutor(asked.processes, multiprocessing.get_context("spawn")) as pool:
            going = [pool.submit(take, url, code, part, themes, widths) for code, part in parts if part]
            problems = [line for done in going for line in done.result()]
    contact_sheet()
    n = len(pages) * len(themes) * len(widths) * len(codes)
    print(f"{n} pictures of {len(pages)} pages in {time.monotonic() - start:.0f} s: {FOLDER}/index.html")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
