"""Discounts: which of them a customer gets on a product on a day, which one wins, and why the others lose.

Precedence: the priority, then the narrower target, among groups the group's own priority, the narrower scope, the
larger discount in money, the older one. A discount never makes a price negative, and one of an amount counts in its
own currency only. Of a set-up fee nothing is taken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app import filters, i18n
from app.domain import checks, whom
from app.domain.config import modules
from app.errors import Invalid
from app.i18n import gettext
from app.models.catalog import Period, Product, ProductGroup
from app.models.customers import Customer, Group, Membership
from app.models.discounts import Discount, DiscountKind, DiscountScope, DiscountTarget
from app.models.projects import Project
from app.observe import actor

WHOLE = 10_000
TOLD = 20
"""So many discounts an explanation names at most; the winner is always among them."""
_TARGETS = {target: n for n, target in enumerate(DiscountTarget)}
_SCOPES = {scope: n for n, scope in enumerate(DiscountScope)}
Explained = dict[str, Any]


class Case(NamedTuple):
    """What somebody is about to pay: a price in minor units, before any discount."""

    customer_id: int
    project_id: int
    product_id: int
    product_group_id: int | None
    period: Period
    price: int
    currency: str


class Won(NamedTuple):
    """discount_id: the discount that won, None: none does. explained: None when there was none to consider."""

    discount_id: int | None
    amount_off: int
    explained: Explained | None


NOTHING = Won(None, 0, None)


def amount_off(discount: Discount, price: int, currency: str) -> int:
    """What it takes off a price, from nothing to the whole of it."""
    if discount.kind is DiscountKind.PERCENT:
        return min(price, (2 * price * discount.percent + WHOLE) // (2 * WHOLE))
    if discount.currency != currency:
        return 0
    off = discount.amount if discount.kind is DiscountKind.AMOUNT else price - discount.amount
    return min(max(off, 0), price)


def in_scope(discount: Discount, case: Case) -> bool:
    match discount.scope:
        case DiscountScope.EVERYTHING:
            return True
        case DiscountScope.PROJECT:
            return discount.project_id == case.project_id
        case DiscountScope.PRODUCT_GROUP:
            return discount.product_group_id is not None and discount.product_group_id == case.product_group_id
        case DiscountScope.PRODUCT:
            return discount.product_id == case.product_id
        case DiscountScope.PERIOD:
            return discount.product_id == case.product_id and discount.period is case.period


def valid_on(discount: Discount, day: date) -> bool:
    """Both days are part of it."""
    first, last = discount.valid_from, discount.valid_until
    return (first is None or first <= day) and (last is None or day <= last)


@dataclass
class Rules:
    """Discounts as they stand for some customers: loaded once, asked for each thing that they pay."""

    discounts: list[Discount]
    groups: Mapping[int, frozenset[int]]
    """Customer -> their groups, as far as a discount asks for them."""
    group_priority: Mapping[int, int]
    meets: Mapping[int, frozenset[int]]
    """Discount with a condition -> the customers who meet it."""
    broken: Mapping[int, str]
    """Discount whose condition cannot be used -> why."""

    def __post_init__(self) -> None:
        self._scoped: dict[
            tuple[Any, ...], list[tuple[Discount, DiscountTarget, int | None, frozenset[int] | None]]
        ] = {}
        self._found: dict[tuple[Any, ...], Won] = {}

    def find(self, case: Case, day: date, *, everything: bool = False) -> Won:
        """The discount on it that day. everything: also say of discounts that are switched off or not valid why.

        Of customers whom the same discounts reach, all get the same answer: it is thought out once for each price.
        """
        where = (case.project_id, case.product_id, case.product_group_id, case.period)
        scoped = self._scoped.get(where)
        if scoped is None:
            scoped = self._scoped[where] = [
                (d, d.target, d.group_id if d.target is DiscountTarget.GROUP else d.customer_id, self.meets.get(d.id))
                for d in self.discounts if in_scope(d, case)
            ]  # fmt: skip
        me, everybody = case.customer_id, DiscountTarget.ALL
        groups = self.groups.get(me, ())
        meant = [
            at for at, (_d, target, who, _meets) in enumerate(scoped)
            if target is everybody or (who == me if target is DiscountTarget.CUSTOMER else who in groups)
        ]  # fmt: skip
        meets = [at for at in meant if (who := scoped[at][3]) is None or me in who]
        key = (where, day, case.price, case.currency, everything, tuple(meant), tuple(meets))
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._think([scoped[at][0] for at in meant], case, day, everything)
        return found

    def reach_all(self, day: date) -> bool:
        """Whether one of them has a say in every price."""
        return any(
            d.target is DiscountTarget.ALL and d.scope is DiscountScope.EVERYTHING and valid_on(d, day)
            for d in self.discounts
        )

    def _think(self, found: list[Discount], case: Case, day: date, everything: bool) -> Won:
        if not everything:
            found = [d for d in found if d.enabled and valid_on(d, day)]
        if not found:
            return NOTHING
        said = [(d, amount_off(d, case.price, case.currency), self._against(d, case, day)) for d in found]
        rivals = [(self._rank(d, off), d, off) for d, off, why in said if not why]
        best = min(rivals, key=lambda r: r[0], default=None)
        told = [
            {"id": d.id, "name": d.name, "off": 0 if why else off, "why": why or self._lost(d, off, best)}
            for d, off, why in said
        ]
        won = best[1].id if best is not None else None
        if len(told) > 1:
            told.sort(key=lambda t: (t["id"] != won, t["off"] == 0, t["id"]))
        explained = {
            "list_price": case.price, "currency": case.currency, "considered": told[:TOLD], "won": won,
        }  # fmt: skip
        return Won(won, best[2] if best is not None else 0, explained)

    def _against(self, discount: Discount, case: Case, day: date) -> str:
        """What keeps it out, whatever the others are; "" when nothing does."""
        if not discount.enabled:
            return "off"
        if not valid_on(discount, day):
            return "early" if discount.valid_from is not None and day < discount.valid_from else "over"
        if discount.id in self.broken:
            return "broken"
        if discount.id in self.meets and case.customer_id not in self.meets[discount.id]:
            return "condition"
        if discount.kind is not DiscountKind.PERCENT and discount.currency != case.currency:
            return "currency"
        return "" if amount_off(discount, case.price, case.currency) else "nothing"

    def _rank(self, d: Discount, off: int) -> tuple[int, ...]:
        """The lowest wins."""
        group = self.group_priority.get(d.group_id or 0, 0) if d.target is DiscountTarget.GROUP else 0
        return (-d.priority, -_TARGETS[d.target], -group, -_SCOPES[d.scope], -off, d.id)

    def _lost(self, d: Discount, off: int, best: tuple[tuple[int, ...], Discount, int] | None) -> str:
        assert best is not None
        if d is best[1]:
            return "won"
        pairs = zip(
            ("priority", "target", "group", "scope", "smaller", "older"), self._rank(d, off), best[0], strict=True
        )
        return next(word for word, mine, winner in pairs if mine != winner)


async def rules(session: AsyncSession, *, customers: ColumnElement[bool], everything: bool = False) -> Rules:
    """The discounts for the customers of this condition, the same whoever asks. everything: also those that are
    switched off."""
    rows = select(Discount).order_by(Discount.id)
    if not modules.on("discounts"):
        rows = rows.where(false())
    if not everything:
        rows = rows.where(Discount.enabled)
    mine = select(Customer.id).where(customers)
    meant = or_(Discount.target != DiscountTarget.CUSTOMER, Discount.customer_id.in_(mine))
    found = list(await session.scalars(rows.where(meant).execution_options(unscoped=True)))
    asked = {d.group_id for d in found if d.target is DiscountTarget.GROUP and d.group_id is not None}
    groups: dict[int, set[int]] = {}
    priority: dict[int, int] = {}
    if asked:
        members = select(Membership.customer_id, Membership.group_id).where(
            Membership.group_id.in_(asked), Membership.customer_id.in_(mine)
        )
        for customer_id, group_id in await session.execute(members):
            groups.setdefault(customer_id, set()).add(group_id)
        found_groups = await session.execute(select(Group.id, Group.priority).where(Group.id.in_(asked)))
        priority = {row.id: row.priority for row in found_groups}
    meets: dict[int, frozenset[int]] = {}
    broken: dict[int, str] = {}
    for discount in found:
        if discount.condition is not None:
            test, problem = _met(discount)
            if problem is not None:
                broken[discount.id] = str(problem)
            meeting = mine.where(test).execution_options(unscoped=True)
            meets[discount.id] = frozenset(await session.scalars(meeting))
    return Rules(found, {c: frozenset(g) for c, g in groups.items()}, priority, meets, broken)


async def find(
    session: AsyncSession, *, customer_id: int, product: Product, period: Period, price: int, currency: str,
    day: date, everything: bool = False,
) -> Won:  # fmt: skip
    """The discount of one customer on one price; for many, make `rules` once."""
    project_id = await session.scalar(select(Customer.project_id).where(Customer.id == customer_id))
    made = await rules(session, customers=Customer.id == customer_id, everything=everything)
    case = Case(customer_id, project_id or 0, product.id, product.group_id, period, price, currency)
    return made.find(case, day, everything=everything)


def reach(found: Iterable[Discount], service: Any, customer: Any, product: Any) -> ColumnElement[bool]:
    """Whether one of these discounts may have a say in a service's price on `service.next_charge_on`: SQL over the
    three, whatever the conditions are."""
    return or_(false(), *(_reaches(d, service, customer, product) for d in found))


def _reaches(d: Discount, service: Any, customer: Any, product: Any) -> ColumnElement[bool]:
    day = service.next_charge_on
    terms: list[ColumnElement[bool]] = [true()]
    if d.valid_from is not None:
        terms.append(day >= d.valid_from)
    if d.valid_until is not None:
        terms.append(day <= d.valid_until)
    if d.target is DiscountTarget.CUSTOMER:
        terms.append(customer.id == d.customer_id)
    elif d.target is DiscountTarget.GROUP:
        member = select(Membership.customer_id).where(
            Membership.customer_id == customer.id, Membership.group_id == d.group_id
        )
        terms.append(member.correlate_except(Membership).exists())
    match d.scope:
        case DiscountScope.PROJECT:
            terms.append(customer.project_id == d.project_id)
        case DiscountScope.PRODUCT_GROUP:
            terms.append(product.group_id == d.product_group_id)
        case DiscountScope.PRODUCT:
            terms.append(service.product_id == d.product_id)
        case DiscountScope.PERIOD:
            terms.append(and_(service.product_id == d.product_id, service.period == d.period))
    return and_(*terms)


# ---- saving ---------------------------------------------------------------------------------------------------------

_of = Discount.__table__.c


FIELDS: dict[str, checks.Check] = {
    "name": checks.line(_of.name, required=True),
    "enabled": checks.yes_no,
    "priority": checks.whole(_of.priority),
    "target": checks.one_of(DiscountTarget),
    "group_id": checks.row_id,
    "customer_id": checks.row_id,
    "condition": whom.condition,
    "scope": checks.one_of(DiscountScope),
    "project_id": checks.row_id,
    "product_group_id": checks.row_id,
    "product_id": checks.row_id,
    "period": lambda value: checks.one_of(Period)(value) if value else None,
    "kind": checks.one_of(DiscountKind),
    "percent": checks.whole(_of.percent, least=0, required=False),
    "amount": checks.whole(_of.amount, least=0, required=False),
    "currency": checks.currency,
    "valid_from": checks.day,
    "valid_until": checks.day,
}
NEEDED: dict[Any, tuple[str, ...]] = {
    DiscountTarget.GROUP: ("group_id",), DiscountTarget.CUSTOMER: ("customer_id",),
    DiscountScope.PROJECT: ("project_id",), DiscountScope.PRODUCT_GROUP: ("product_group_id",),
    DiscountScope.PRODUCT: ("product_id",), DiscountScope.PERIOD: ("product_id", "period"),
    DiscountKind.PERCENT: ("percent",), DiscountKind.AMOUNT: ("amount",), DiscountKind.PRICE: (),
}  # fmt: skip
"""What a target, scope or kind asks for; what another one asks for is emptied."""
_ROWS: dict[str, Any] = {
    "group_id": Group, "customer_id": Customer, "project_id": Project, "product_group_id": ProductGroup,
    "product_id": Product,
}  # fmt: skip


async def save_discount(
    session: AsyncSession, *, values: Mapping[str, Any], discount: Discount | None = None
) -> Discount:
    """Make a discount, or change one. Raises Invalid with every bad field."""
    wanted = checks.clean(values, FIELDS)
    usual: dict[str, Any] = {
        "target": DiscountTarget.ALL, "scope": DiscountScope.EVERYTHING, "kind": DiscountKind.PERCENT
    }  # fmt: skip
    now = {n: wanted.get(n, usual.get(n) if discount is None else getattr(discount, n)) for n in FIELDS}
    needed = {name for what in ("target", "scope", "kind") for name in NEEDED.get(now[what], ())}
    wrong = {name: gettext("Please fill this in.") for name in needed | {"name"} if not now[name]}
    if (now["percent"] or 0) > WHOLE and now["kind"] is DiscountKind.PERCENT:
        wrong["percent"] = gettext("At most 100 per cent.")
    if now["valid_from"] and now["valid_until"] and now["valid_until"] < now["valid_from"]:
        wrong["valid_until"] = gettext("It would end before it begins.")
    narrow = now["scope"] is DiscountScope.PROJECT or now["target"] is DiscountTarget.CUSTOMER
    if actor.get().projects is not None and not (narrow and (discount is None or not for_all(discount))):
        wrong["scope"] = gettext("Choose one of your projects, or a customer: this discount would be for all.")
    if wrong:
        raise Invalid(**wrong)
    for name, model in _ROWS.items():
        if name not in needed:
            wanted[name] = None
        elif wanted.get(name) is not None:
            await checks.known(session, name, model, wanted[name])
    if "period" not in needed:
        wanted["period"] = None
    if now["kind"] is DiscountKind.PERCENT:
        wanted["amount"] = 0
    else:
        wanted["percent"] = 0
        wanted["amount"] = now["amount"] or 0
    if discount is None:
        discount = Discount(**wanted)
        session.add(discount)
    else:
        checks.change(discount, wanted)
    await session.flush()
    return discount


def for_all(discount: Discount) -> bool:
    """Whether it is for customers of every project."""
    return discount.scope is not DiscountScope.PROJECT and discount.target is not DiscountTarget.CUSTOMER


def reached(discount: Discount) -> tuple[ColumnElement[bool], filters.FilterProblem | None]:
    """The customers that a discount is for now, as a condition; and why its own condition cannot be used."""
    test: ColumnElement[bool] = true()
    if discount.target is DiscountTarget.CUSTOMER:
        test = Customer.id == discount.customer_id
    elif discount.target is DiscountTarget.GROUP:
        members = select(Membership.customer_id).where(Membership.group_id == discount.group_id)
        test = Customer.id.in_(members)
    if discount.scope is DiscountScope.PROJECT:
        test = and_(test, Customer.project_id == discount.project_id)
    if discount.condition is None:
        return test, None
    more, problem = _met(discount)
    return and_(test, more), problem


def _met(discount: Discount) -> tuple[ColumnElement[bool], filters.FilterProblem | None]:
    """Its condition. Its days are those of charging, in UTC, in whose time zone ever somebody looks at a price."""
    with i18n.speaking(i18n.language(), "UTC"):
        return filters.compile_stored(discount.condition, Customer)
