"""Modules: parts of Bursar that a provider may do without. Switched off, a part is neither shown nor served, and what
it does in the background rests; its data stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import checks
from app.domain.config import live
from app.domain.config.settings import declare, put, setting
from app.errors import Invalid
from app.i18n import _, gettext
from app.models.projects import Project

NAME = "modules"
"""The setting: module -> whether it is on."""
OFF = _("This part is switched off (Configuration, Modules).")
CLOSED = _("This page is not offered here.")


@dataclass(frozen=True)
class Module:
    """screens: tables whose screens it is. actions: (screen, action) of other screens that belong to it. columns:
    (table, column) that are not shown without it, with * for every table. pages: beginnings of the names of routes of
    the client area. needs: it rests without that module."""

    name: str
    label: str
    about: str
    icon: str
    screens: frozenset[str] = frozenset()
    actions: frozenset[tuple[str, str]] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()
    pages: tuple[str, ...] = ()
    needs: str = ""


MODULES: Mapping[str, Module] = {
    module.name: module
    for module in (
        Module(
            "money", _("Money"), _("Accounts, payments, invoices, expenses, documents; services are charged."),
            "report-money",
            frozenset({"account", "payment", "invoice", "expense", "payer", "payment_method", "finance_document",
                       "document_template", "tax_rate", "exchange_rate"}),
            frozenset({("customer", "action:payment"), ("customer", "action:document"), ("customer", "action:attach"),
                       ("project", "action:numbers")}),
            pages=("client.invoice", "client.payment", "client.expenses", "client.statement", "client.payer",
                   "client.service.new", "client.service.order", "client.service.extend"),
        ),
        Module(
            "discounts", _("Discounts"), _("Lower prices for groups, customers or periods. Off: none of them counts."),
            "discount", frozenset({"discount"}), needs="money",
        ),
        Module(
            "groups", _("Customer groups"),
            _("Coloured marks that say what customers may do and see. Off: who is a member stays one."),
            "users-group", frozenset({"customer_group"}),
        ),
        Module(
            "projects", _("Several brands"), _("More than one project, each with customers and senders of its own."),
            "building-store", actions=frozenset({("project", "create")}),
            columns=frozenset({("*", "project_id"), ("customer", "available_projects")}),
        ),
        Module(
            "phone", _("Phone verification"), _("Customers prove their phone number with a code."), "phone",
            columns=frozenset({("customer", "verified_phone"), ("customer", "phone_verified_at"),
                               ("customer", "phone_verified_by")}),
            pages=("client.profile.phone",),
        ),
        Module(
            "tickets", _("Tickets"),
            _("Questions of customers and answers to messages. Off: mail that answers is put aside."),
            "ticket", frozenset({"ticket", "canned_reply"}), pages=("client.ticket", "client.answer"),
        ),
        Module(
            "automation", _("Automation"), _("Rules that act by themselves when something happens."), "bolt",
            frozenset({"automation_rule", "automation_run"}),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Hidden:
    """What is not there at present."""

    modules: frozenset[str] = frozenset()
    screens: frozenset[str] = frozenset()
    actions: frozenset[tuple[str, str]] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()
    pages: tuple[str, ...] = ()
    fields: Mapping[str, bool] = field(default_factory=dict)

    def action(self, screen: str, action: str) -> bool:
        return screen in self.screens or (screen, action) in self.actions

    def column(self, table: str, column: str) -> bool:
        return (table, column) in self.columns or ("*", column) in self.columns

    def page(self, name: str) -> bool:
        return name.startswith(self.pages)


def hidden() -> Hidden:
    """As this process knows the configuration."""
    return _hidden(live.stamp())


@lru_cache(maxsize=4)
def _hidden(_stamp: object) -> Hidden:
    away = frozenset(name for name in MODULES if not _on(name))
    gone = [MODULES[name] for name in MODULES if name in away]
    return Hidden(
        away, frozenset().union(*(m.screens for m in gone)), frozenset().union(*(m.actions for m in gone)),
        frozenset().union(*(m.columns for m in gone)), tuple(page for m in gone for page in m.pages),
    )  # fmt: skip


def _on(name: str) -> bool:
    chosen: Mapping[str, bool] = setting(NAME) or {}
    needs = MODULES[name].needs
    return bool(chosen.get(name, True)) and (not needs or _on(needs))


def on(name: str) -> bool:
    """Whether a module is in use."""
    return name not in hidden().modules


def chosen() -> dict[str, bool]:
    """What was chosen for each, whatever it needs."""
    kept: Mapping[str, bool] = setting(NAME) or {}
    return {name: bool(kept.get(name, True)) for name in MODULES}


def check(value: Any) -> dict[str, bool]:
    """The setting, clean."""
    if not isinstance(value, dict):
        raise checks.Bad(gettext("Names with their values are expected here."))
    for name, state in value.items():
        if name not in MODULES:
            raise checks.Bad(gettext("One of these, please: %(names)s.") % {"names": ", ".join(MODULES)})
        checks.yes_no(state)
    return {name: value.get(name, True) for name in sorted(MODULES)}  # what is not named is on


declare(NAME, check)


async def switch(session: AsyncSession, *, states: Mapping[str, bool]) -> None:
    """Switch modules on and off. Raises Invalid at the module that cannot do without it."""
    if not states.get("projects", True):
        n = await session.scalar(select(func.count()).where(Project.enabled).select_from(Project)) or 0
        if n > 1:
            raise Invalid(projects=gettext("%(n)s projects are in use. Take the others out of use first.") % {"n": n})
    await put(session, name=NAME, value=check({**chosen(), **states}))
