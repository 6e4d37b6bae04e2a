"""Users of an account at the same moment, and what a confirmation allows: once, and only one of two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import reads, unit
from app.domain import billing, confirmations, customers, members, users
from app.domain.billing import payers
from app.domain.members import STAFF, By
from app.errors import AppError, Conflict, Forbidden, Invalid, NotFound
from app.integrations.codes import Way
from app.models.billing import Payer
from app.models.confirmations import Confirmation
from app.models.customers import Customer
from app.models.users import RIGHTS, CustomerRole, Right, User, UserCustomer, UserRole
from app.observe import Actor, Kind, acting
from tests.factories import create_account, create_customer, create_customer_role, create_payer, create_user

pytestmark = pytest.mark.usefixtures("database")


async def both(*deeds: Callable[[], Awaitable[Any]]) -> list[str]:
    """Two at once: what each ended in."""

    async def ended(deed: Callable[[], Awaitable[Any]]) -> str:
        try:
            await deed()
        except AppError as error:
            return type(error).__name__
        return "done"

    return sorted(await asyncio.gather(*(ended(deed) for deed in deeds)))


@pytest.mark.parametrize("how", ["remove", "disable", "demote"])
async def test_two_owners_who_turn_on_each_other_leave_one(how: str) -> None:
    async with unit() as session:
        customer = await create_customer(session)
        first, second = [await create_user(session, customer=customer) for _n in range(2)]

    def against(other: User, who: User) -> Callable[[], Awaitable[None]]:
        by = By(RIGHTS[UserRole.OWNER], who.id)

        async def deed() -> None:
            async with unit() as session:
                link = await members.member(session, customer.id, other.id)
                if how == "remove":
                    await members.remove_member(session, link=link, by=by)
                elif how == "disable":
                    await members.set_enabled(session, link=link, by=by, enabled=False)
                else:
                    await members.change_member(session, link=link, by=by, role="read_only")

        return deed

    assert await both(against(second, first), against(first, second)) == ["Conflict", "done"]
    async with reads() as session:
        left = select(func.count()).select_from(UserCustomer).join(User, User.id == UserCustomer.user_id)
        owners = left.where(UserCustomer.role == UserRole.OWNER, User.enabled)
        assert await session.scalar(owners) == 1


async def test_an_invitation_is_accepted_once() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        row = await members.invite(session, customer=customer, email="ben@new.example", role="finance", by=STAFF)
    token = confirmations.link_of(row).rpartition("/")[2]

    async def accept() -> None:
        async with unit() as session:
            found = await confirmations.by_token(session, token, hold=True)
            await members.accept(session, row=found, full_name="Ben", password="a long password")

    assert await both(accept, accept) == ["NotFound", "done"]
    async with reads() as session:
        user = (await session.scalars(select(User))).one()
        link = await session.get(UserCustomer, (user.id, customer.id))
        assert user.username == "ben@new.example" and link is not None and link.role is UserRole.FINANCE


async def test_a_role_that_is_gone_is_given_to_nobody() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        role = await create_customer_role(session, customer=customer, rights=["pay"])
        row = await members.invite(session, customer=customer, email="b@new.example", role=f"own-{role.id}", by=STAFF)
        with pytest.raises(Conflict):
            await members.delete_role(session, role=role, by=STAFF)
        row.args = {**row.args, "own_role_id": role.id + 1}
    async with unit() as session:
        found = await confirmations.by_token(session, confirmations.link_of(row).rpartition("/")[2], hold=True)
        with pytest.raises(NotFound):
            await members.accept(session, row=found, password="a long password")
    async with reads() as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 0


async def test_another_customers_role_cannot_be_given() -> None:
    async with unit() as session:
        mine, other = await create_customer(session), await create_customer(session)
        user = await create_user(session, customer=mine, role=UserRole.READ_ONLY)
        foreign = await create_customer_role(session, customer=other)
        link = await members.member(session, mine.id, user.id)
        with pytest.raises(Invalid):
            await members.change_member(session, link=link, by=STAFF, role=f"own-{foreign.id}")
        with pytest.raises(NotFound):
            await members.own_role(session, mine.id, foreign.id)


@pytest.mark.parametrize("right", list(Right))
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_no_right_is_given_that_the_giver_lacks(right: Right) -> None:
    async with unit() as session:
        customer = await create_customer(session)
        by = By(frozenset(Right) - {right}, 999)
        with pytest.raises(Invalid) as refused:
            await members.save_role(session, customer_id=customer.id, name="X", rights=[right.value], by=by)
        assert set(refused.value.fields) == {"rights"}
        kept = await members.save_role(session, customer_id=customer.id, name="X", rights=[right.value], by=STAFF)
        for rights in ([], [right.value]):
            with pytest.raises((Forbidden, Invalid)):
                await members.save_role(session, customer_id=customer.id, name="X", rights=rights, by=by, role=kept)
        assert all(right not in offer.rights for offer in await members.offers(session, customer.id, by))


async def test_two_roles_of_one_name_are_one() -> None:
    async with unit() as session:
        customer = await create_customer(session)

    async def make() -> None:
        async with unit() as session:
            await members.save_role(session, customer_id=customer.id, name="Desk", rights=["write"], by=STAFF)

    assert await both(make, make) == ["Invalid", "done"]
    async with reads() as session:
        assert await session.scalar(select(func.count()).select_from(CustomerRole)) == 1


async def test_the_same_code_asked_for_twice_is_sent_once() -> None:
    async with unit() as session:
        customer = await create_customer(session, phone="+49 30 1234567")

    async def ask() -> None:
        async with unit() as session:
            found = await session.get_one(Customer, customer.id)
            await confirmations.send_code(session, customer=found, way=Way.SMS)

    assert await both(ask, ask) == ["Conflict", "done"]
    async with reads() as session:
        row = (await session.scalars(select(Confirmation))).one()
    code = confirmations.code_of(row)
    wrong = str((int(code) + 1) % 10**6).zfill(6)

    async def guess() -> None:
        await confirmations.check_code(customer_id=customer.id, code=wrong)

    assert await both(*[guess] * 8) == ["Invalid"] * 8
    async with reads() as session:
        assert (await session.get_one(Confirmation, row.id)).tries == 5
    with pytest.raises(Invalid):
        await confirmations.check_code(customer_id=customer.id, code=code)


async def test_a_number_that_staff_verified_with_another_one_stays_verified() -> None:
    async with unit() as session:
        customer = await create_customer(session, phone="+49 30 1234567", verified_phone="+49 30 7654321")
        await customers.change_customer(session, customer=customer, values={"phone": "+49 30 1111111"})
        assert customer.verified_phone == "+49 30 7654321"


# ---- payers ---------------------------------------------------------------------------------------------------------


async def test_at_most_one_payer_is_the_usual_one_and_invoices_follow_it() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        first, second = [await create_payer(session, customer=customer) for _n in range(2)]
        account = await create_account(session, customer=customer)
        assert await billing.invoices.payer_of(session, account) is None, "two, and none is the usual one"
        await payers.make_usual(session, payer=first)
        assert await billing.invoices.payer_of(session, account) == first.id
        account.payer_id = first.id
        await payers.make_usual(session, payer=second)
        assert (first.usual, second.usual, account.payer_id) == (False, True, second.id)
        await payers.archive(session, payer=second)
        assert (second.usual, account.payer_id) == (False, None)
        assert [p.id for p in await payers.offered(session, customer.id)] == [first.id]
        assert await billing.invoices.payer_of(session, account) == first.id, "the only one that is left"


async def test_the_same_payer_added_twice_at_once_is_one() -> None:
    async with unit() as session:
        customer = await create_customer(session)

    async def add() -> None:
        async with unit() as session:
            values = {"kind": "company", "name": "Engines GmbH", "country": "DE", "vat_number": "DE136695976"}
            await payers.add_own(session, customer_id=customer.id, values=values)

    assert await both(add, add) == ["Conflict", "done"]
    async with reads() as session:
        assert await session.scalar(select(func.count()).select_from(Payer)) == 1


async def test_who_was_switched_off_by_staff_is_not_switched_on_by_the_customer() -> None:
    async with unit() as session:
        customer = await create_customer(session)
        boss, other = [await create_user(session, customer=customer) for _n in range(2)]
    by = By(frozenset(Right), boss.id)

    async def switch(on: bool, how: By) -> None:
        async with unit() as session:
            link = await members.member(session, customer.id, other.id)
            await members.set_enabled(session, link=link, by=how, enabled=on)

    await switch(False, by)
    await switch(True, by)
    with acting(Actor(Kind.STAFF, 1)):
        async with unit() as session:
            await users.change_user(session, user=await session.get_one(User, other.id), values={"enabled": False})
    with pytest.raises(Conflict, match="support"):
        await switch(True, by)
    with acting(Actor(Kind.STAFF, 1)):
        await switch(True, STAFF)
    await switch(False, by)
    await switch(True, by)
