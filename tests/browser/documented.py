"""The pictures of docs/client.md: five pages of the client area, on a desk and on a phone; `make docs`.

They show a customer of the demo who has services, invoices and something to read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import func, select

from app import db
from app.domain.sessions import passwords
from app.models.billing import Invoice
from app.models.catalog import Service, ServiceStatus
from app.models.customers import Customer, CustomerStatus
from app.models.messaging import Delivery
from app.models.projects import Project
from app.models.tickets import Ticket
from app.observe import SYSTEM, acting
from tests import factories
from tests.browser.house import PASSWORD, ROOT, find_chromium
from tests.browser.pictures import panel

FOLDER = ROOT / "docs" / "pictures"
PAGES = {
    "overview": "/client", "services": "/client/services", "messages": "/client/messages",
    "invoices": "/client/invoices", "data": "/client/data",
}  # fmt: skip
"""Name of the picture -> the page."""
SIZES = {1280: 800, 360: 740}
USER = "docs"


async def _somebody(database: str) -> None:
    """A user for the customer of the first project who has most to show."""
    db.configure(database)

    def n(model: type[Service] | type[Invoice] | type[Delivery] | type[Ticket]) -> object:
        return select(func.count()).where(model.customer_id == Customer.id).scalar_subquery()

    with acting(SYSTEM):
        async with db.unit() as session:
            running = select(Service.id).where(
                Service.customer_id == Customer.id, Service.status == ServiceStatus.ACTIVE
            )
            english = select(Project.id).where(Project.default_language == "en").order_by(Project.id).limit(1)
            wanted = (
                select(Customer)
                .where(
                    Customer.project_id == english.scalar_subquery(), Customer.status == CustomerStatus.ACTIVE,
                    running.exists(), select(Ticket.id).where(Ticket.customer_id == Customer.id).exists(),
                    select(Delivery.campaign_id).where(Delivery.customer_id == Customer.id).exists(),
                )
                .order_by(n(Invoice).desc(), n(Service).desc(), n(Delivery).desc(), Customer.id)  # type: ignore[attr-defined]
                .limit(1)
            )  # fmt: skip
            customer = (await session.scalars(wanted)).one()
            await factories.create_user(
                session, customer=customer, username=USER, full_name=customer.name, email="docs@example.com",
                language="en", password_hash=await passwords.hash_password(PASSWORD),
            )  # fmt: skip
    await db.dispose()


def _take(browser: Browser, url: str, width: int) -> None:
    context = browser.new_context(
        base_url=url, locale="en-GB", viewport={"width": width, "height": SIZES[width]}, reduced_motion="reduce",
        color_scheme="light",
    )  # fmt: skip
    page: Page = context.new_page()
    page.goto("/client/login")
    page.get_by_label("User name or e-mail").fill(USER)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", level=1).wait_for()
    for name, path in PAGES.items():
        page.goto(path, wait_until="load")
        page.evaluate("document.fonts.ready.then(() => true)")
        page.screenshot(path=picture(name, width), animations="disabled")
        with Image.open(picture(name, width)) as shot:  # 256 colours: a third of the size, and nobody sees it
            shot.convert("RGB").quantize(256).save(picture(name, width), optimize=True)
    context.close()


def picture(name: str, width: int) -> Path:
    return FOLDER / f"client-{name}-{width}.png"


def main() -> None:
    if find_chromium() is None:
        sys.exit("no Chromium on this machine: install it, or set BURSAR_CHROMIUM")
    with panel(_somebody) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for width in SIZES:
            _take(browser, url, width)
        browser.close()
    print(f"{len(PAGES) * len(SIZES)} pictures in {FOLDER}")


if __name__ == "__main__":
    main()
