"""What the demo's provider has set up: brands, attitudes, groups, categories, products, staff and roles.

A row that exists under the same name is used as it is, and stays when the demo is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Base
from app.domain.demo.charging import make_discounts, yearly
from app.domain.demo.texts import CANNED, CATEGORIES
from app.domain.staff import ACTIONS, CAMPAIGN_ACTIONS, PAYMENT_ACTIONS, SERVICE_ACTIONS
from app.models.billing import Gateway, PaymentMethod
from app.models.catalog import Period, Product, ProductGroup, ProductProject
from app.models.customers import Attitude, Group
from app.models.messaging import Category
from app.models.projects import Project
from app.models.staff import Grant, Role, Staff, StaffRole
from app.models.tickets import CannedReply

T = TypeVar("T", bound=Base)
LOOK = ("list", "details")

ROLES: dict[str, tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "Support": ("Answers customers and helps in their panel.", (
        ("customer", (*LOOK, "edit", "action:message", "action:enter", "action:note")), ("user", (*LOOK, "edit")),
        ("payer", LOOK), ("service", LOOK), ("account", LOOK), ("payment", LOOK), ("invoice", LOOK), ("expense", LOOK),
        ("note", (*LOOK, "create", "edit")), ("ticket", (*LOOK, "create", "edit")),
        ("delivery", LOOK), ("product", LOOK), ("attachment", LOOK), ("subscription", LOOK),
        ("suppressed_address", (*LOOK, "create")),
        ("canned_reply", (*LOOK, "create", "edit")), ("inbound_mail", (*LOOK, "edit")),
    )),
    "Finance": ("Accounts, payments, invoices, expenses, services and prices.", (
        ("customer", (*LOOK, "edit", "export", "action:message", "action:note", "action:payment", "action:document",
                      "action:attach")),
        ("payer", ACTIONS),
        ("service", (*ACTIONS, *SERVICE_ACTIONS)), ("product", ACTIONS), ("product_group", ACTIONS),
        ("payment_method", ACTIONS), ("discount", (*ACTIONS, "action:explain")),
        ("note", (*LOOK, "create")),
        ("payment", (*ACTIONS, *PAYMENT_ACTIONS)),
        ("account", (*ACTIONS, "action:correct", "action:transfer", "action:refund", "action:statement")),
        ("expense", (*ACTIONS, "action:take_back")), ("exchange_rate", ACTIONS),
        ("invoice", (*ACTIONS, "action:issue", "action:send", "action:pay", "action:credit")),
        ("finance_document", LOOK), ("document_template", ACTIONS), ("tax_rate", ACTIONS),
    )),
    "Marketing": ("Campaigns and their templates.", (
        ("customer", (*LOOK, "export", "action:message", "action:message_all", "action:segment")),
        ("campaign", (*ACTIONS, *CAMPAIGN_ACTIONS)), ("segment", (*ACTIONS, "action:message")),
        ("delivery", (*LOOK, "export")), ("message_template", ACTIONS), ("message_category", ACTIONS),
        ("customer_group", ACTIONS), ("attachment", ACTIONS), ("suppressed_address", LOOK),
    )),
    "Read-only": ("Sees everything, changes nothing.", (("*", LOOK),)),
}  # fmt: skip
"""Role -> what it is for, and its grants. Owner is not the demo's: it comes with the first staff member."""

STAFF = (
    ("jana.berg", "Jana Berg", "de", "Europe/Berlin", "Support"),
    ("tomás.vidal", "Tomás Vidal", "es", "Europe/Madrid", "Support"),
    ("olga.sokolova", "Ольга Соколова", "ru", "Europe/Moscow", "Finance"),
    ("marta.solé", "Marta Solé", "es", "Europe/Madrid", "Marketing"),
    ("erik.åström", "Erik Åström", "en", "Europe/Stockholm", "Read-only"),
)
PROJECTS = (
    ("Nordhost", 3, "EUR", ["en", "de"], "en", "Nordhost support", "support@nordhost.example"),
    ("Kupol", 6, "RUB", ["ru", "en"], "ru", "Поддержка Kupol", "help@kupol.example"),
    ("Mirador", 4, "EUR", ["es", "en"], "es", "Mirador Clientes", "hola@mirador.example"),
)
ATTITUDES = (
    ("Loyal", 1, "star"), ("Likes to talk", 2, "message"), ("Sensitive", 6, "alert-triangle"),
    ("Pays late", 5, "clock"),
)  # fmt: skip
GROUPS = (
    ("Key accounts", 4, 50, True, False), ("Resellers", 2, 40, True, True), ("Long-term", 3, 20, True, True),
    ("DACH", 6, 10, True, True), ("Students", 7, 5, True, True), ("Watched", 5, 90, False, False),
)  # fmt: skip
PRODUCTS = (
    ("Web hosting", "Web Start", 490, Period.MONTH, 0), ("Web hosting", "Business Hosting M", 1290, Period.MONTH, 0),
    ("Web hosting", "Shop Hosting", 2990, Period.MONTH, 1900), ("Servers", "Cloud Server S", 890, Period.MONTH, 0),
    ("Servers", "Cloud Server L", 3490, Period.MONTH, 0), ("Servers", "Dedicated 32", 8900, Period.MONTH, 4900),
    ("Servers", "Backup 1 TB", 2400, Period.QUARTER, 0), ("Domains", ".example domain", 1200, Period.YEAR, 0),
    ("Domains", "Wildcard certificate", 5900, Period.YEAR, 0), ("Connectivity", "Fibre 500", 4900, Period.MONTH, 9900),
)  # fmt: skip
"""Group, name, price in euro cents, period, set-up fee; Kupol sells them in roubles, one euro for a hundred."""
METHODS = (
    ("Bank transfer", Gateway.BANK, "Nordhost GmbH, Musterbank\nIBAN DE02 1203 0000 0000 2020 51, BIC BYLADEM1001"),
    ("Card", Gateway.TEST, ""), ("Direct debit", Gateway.BY_HAND, ""), ("Cash", Gateway.BY_HAND, ""),
)  # fmt: skip


class Dictionaries:
    """Makes them, and holds them for the rest."""

    def __init__(self, session: AsyncSession, mark: Callable[..., None]) -> None:
        self.session, self.mark = session, mark
        self.projects: dict[str, Project] = {}
        self.groups: dict[str, Group] = {}
        self.categories: dict[str, Category] = {}
        self.staff: dict[str, Staff] = {}
        self.attitudes: list[Attitude] = []
        self.products: list[tuple[Product, frozenset[int]]] = []
        self.domains = 0

    @property
    def desk(self) -> list[Staff]:
        """Those who talk with customers."""
        return [self.staff[name] for name in ("jana.berg", "tomás.vidal", "olga.sokolova")]

    def products_of(self, project_id: int) -> list[Product]:
        return [product for product, projects in self.products if project_id in projects]

    async def exists(self, entity: Any, **by: str) -> Any:
        return await self.session.scalar(select(entity).filter_by(**by))

    async def one(self, entity: type[T], by: dict[str, str], **columns: Any) -> tuple[T, bool]:
        """The row of this name, and whether it had to be made."""
        found = await self.exists(entity, **by)
        if found is not None:
            return found, False
        row = entity(**by, **columns)
        self.session.add(row)
        await self.session.flush()
        self.mark(row)
        return row, True

    async def make(self) -> None:
        for name, hue, currency, languages, default, sender, email in PROJECTS:
            self.projects[name], _new = await self.one(
                Project, {"name": name}, hue=hue, currency=currency, languages=languages, default_language=default,
                sender_name=sender, sender_email=email, site=f"https://{name.lower()}.example",
                slug=name.lower(), signup={"open": True},
            )  # fmt: skip
        for name, hue, icon in ATTITUDES:
            self.attitudes.append((await self.one(Attitude, {"name": name}, hue=hue, icon=icon))[0])
        for name, hue, priority, suspend, delete in GROUPS:
            self.groups[name], _new = await self.one(
                Group, {"name": name}, hue=hue, priority=priority, may_suspend=suspend, may_delete=delete
            )
        for name, names, department, subscribable, priority in CATEGORIES:
            self.categories[name], _new = await self.one(
                Category, {"name": name}, names=names, department=department, subscribable=subscribable,
                priority=priority,
            )  # fmt: skip
        for name, texts in CANNED.items():
            await self.one(CannedReply, {"name": name}, texts=texts)
        for name, gateway, told in METHODS:
            await self.one(PaymentMethod, {"name": name}, gateway=gateway, instructions=told)
        await self._products()
        await self._staff()
        await self.session.flush()

    async def _products(self) -> None:
        groups = {}
        for name in dict.fromkeys(product[0] for product in PRODUCTS):
            groups[name], _new = await self.one(ProductGroup, {"name": name})
        self.domains = groups["Domains"].id
        kupol = self.projects["Kupol"].id
        euro = frozenset(p.id for p in self.projects.values() if p.id != kupol)
        for currency, rate, places in (("EUR", 1, euro), ("RUB", 100, frozenset({kupol}))):
            for group, name, price, period, fee in PRODUCTS:
                product = Product(
                    name=name, group_id=groups[group].id, price=price * rate, currency=currency, period=period,
                    setup_fee=fee * rate, projects=[ProductProject(project_id=p) for p in sorted(places)],
                )  # fmt: skip
                product.prices = yearly(product)
                self.session.add(product)
                self.products.append((product, places))
        await self.session.flush()
        found = make_discounts(self.groups, self.projects)
        self.session.add_all(found)
        await self.session.flush()
        self.mark(*(product for product, _places in self.products), *found)

    async def _staff(self) -> None:
        roles: dict[str, Role] = {}
        for name, (description, grants) in ROLES.items():
            rows = [Grant(screen=screen, action=action) for screen, actions in grants for action in actions]
            roles[name], _new = await self.one(Role, {"name": name}, description=description, grants=rows)
        for username, full_name, language, timezone, role in STAFF:
            self.staff[username], new = await self.one(
                Staff, {"username": username}, full_name=full_name, language=language, timezone=timezone,
                email=f"{username.split('.')[0].replace('á', 'a')}@nordhost.example",
            )  # fmt: skip
            if new:
                self.session.add(StaffRole(staff_id=self.staff[username].id, role_id=roles[role].id))
