"""Customers who register by themselves: what a project asks of them, and how a registration becomes an account.

Until the address is confirmed there is neither a customer nor a user, only a `Registration` that ends after some days.
The answer never tells whether an address is known: its owner gets another mail then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.db import utcnow
from app.domain import brands, checks, custom, customers, users
from app.domain.brands import PREFIX, Brand
from app.domain.customers.fields import cleaned
from app.domain.sessions import USER_PASSWORD, check_new_password, hash_password, links, throttle
from app.domain.sessions.letters import of_registration
from app.domain.sessions.links import Gone
from app.domain.sessions.rows import note
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _, gettext
from app.links import Signer
from app.models.customers import Customer, CustomerKind, Group
from app.models.messaging import MailKind
from app.models.projects import Project
from app.models.registrations import Registration
from app.models.sessions import OneUse, OneUseKind
from app.models.users import User
from app.queue import enqueue

KEPT = timedelta(days=7)
"""After it a registration that was not confirmed is forgotten."""
FIELDS: dict[str, str] = {
    "contact_person": _("Name"),
    "legal_name": _("Company name"),
    "vat_number": _("VAT number"),
    "registration_number": _("Registration number"),
    "phone": _("Phone"),
    "address": _("Address"),
    "country": _("Country"),
}
"""What a project may ask besides e-mail, password, type and language."""
OF_COMPANY = ("legal_name", "vat_number", "registration_number")
_signer = Signer("registration")


@dataclass(frozen=True)
class SignUp:
    """How customers of a project register (`Project.signup`)."""

    open: bool = False
    kinds: tuple[CustomerKind, ...] = (CustomerKind.INDIVIDUAL, CustomerKind.COMPANY)
    asked: tuple[str, ...] = ("contact_person", "legal_name", "country")
    required: tuple[str, ...] = ("contact_person", "legal_name")
    groups: tuple[int, ...] = ()

    def fields(self) -> Sequence[str]:
        """The fields of the form, in its order."""
        companies = any(kind is not CustomerKind.INDIVIDUAL for kind in self.kinds)
        return [name for name in FIELDS if name in self.asked and (companies or name not in OF_COMPANY)]


def settings_of(kept: Mapping[str, Any]) -> SignUp:
    """What a project has set. What is not set is as usual."""
    usual = SignUp()
    kinds = tuple(k for k in CustomerKind if k.value in kept.get("kinds", [u.value for u in usual.kinds]))
    asked = tuple(name for name in FIELDS if name in kept.get("asked", usual.asked))
    return SignUp(
        bool(kept.get("open")), kinds or usual.kinds, asked,
        tuple(name for name in asked if name in kept.get("required", usual.required)),
        tuple(g for g in kept.get("groups", ()) if isinstance(g, int)),
    )  # fmt: skip


async def configure(
    session: AsyncSession, *, project: Project, open: bool, kinds: Sequence[str], asked: Sequence[str],
    required: Sequence[str], groups: Sequence[int],
) -> None:  # fmt: skip
    """Say how customers of a project register. Raises Invalid."""
    if open and not kinds:
        raise Invalid(kinds=gettext("Offer at least one account type."))
    known = await checks.all_known(session, "groups", Group, groups)
    project.signup = {
        "open": open, "kinds": [k for k in kinds if k in {kind.value for kind in CustomerKind}],
        "asked": [name for name in FIELDS if name in asked or name in required],
        "required": [name for name in FIELDS if name in required], "groups": sorted(known),
    }  # fmt: skip
    await session.flush()


# ---- registering ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What somebody has filled in."""

    email: str
    password: str
    kind: str = CustomerKind.INDIVIDUAL.value
    language: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    """Of custom fields, by key, as they are kept."""
    terms: bool = False
    came_from: str = ""


def check(brand: Brand, wish: Wish) -> dict[str, Any]:
    """The fields of the customer to be. Raises Invalid with every bad field."""
    how, wrong = settings_of(brand.signup), {}
    kind = next((k for k in how.kinds if k.value == wish.kind), None)
    if kind is None:
        raise Invalid(kind=gettext("Please choose one of the offered values."))
    asked = [n for n in how.fields() if kind is not CustomerKind.INDIVIDUAL or n not in OF_COMPANY]
    given = {name: wish.values.get(name, "").strip() for name in asked}
    for name in how.required:
        if name in asked and not given[name]:
            wrong[name] = gettext("Please fill this in.")
    if brand.terms.strip() and not wish.terms:
        wrong["terms"] = gettext("Without accepting the terms there is no account.")
    language = wish.language if wish.language in brand.languages else brand.language
    values: dict[str, Any] = {**given, "kind": kind.value, "language": language, "email": wish.email}
    values["custom"] = dict(wish.custom)
    values["name"] = given.get("legal_name") or given.get("contact_person") or wish.email
    for look in (
        lambda: checks.at("email", checks.required_email, wish.email),
        lambda: check_new_password(wish.password, least=USER_PASSWORD),
        lambda: cleaned(values, custom_of=custom.SIGNING_UP),
    ):
        try:
            look()
        except Invalid as error:
            wrong |= {name: str(text) for name, text in error.fields.items() if name not in wrong}
    if wrong:
        raise Invalid(**wrong)
    return values


async def register(*, brand: Brand, wish: Wish, ip: str | None) -> str:
    """Keep what somebody has filled in, and mail a link to the address. Returns what stands for it when the mail is
    asked for once more. Raises Invalid with every bad field, TooMany, NotFound where nobody may register."""
    if not brand.enabled or not settings_of(brand.signup).open:
        raise NotFound
    values = check(brand, wish)
    email = checks.at("email", checks.required_email, wish.email)
    address = f"signup-{throttle.key_of_address(ip)}" if ip else None
    await throttle.admit(throttle.key_of("sign up", f"{brand.id} {email}"), address)
    hashed = await hash_password(wish.password)
    values |= {"registration_ip": ip, "came_from": " ".join(wish.came_from.split())[:200]}
    async with db.unit() as session:
        row = Registration(
            project_id=brand.id, email=email, password_hash=hashed, fields=values,
            terms_at=utcnow() if wish.terms else None,
        )  # fmt: skip
        session.add(row)
        await session.flush()
        await enqueue(session, "signup.mail", total=1, registration_id=row.id)
        return _signer.sign(str(row.id))


def kept_out(brand: Brand) -> str:
    """What a program gets that has filled in the trap: it looks like any other answer."""
    return _signer.sign(f"x{brand.id}")


async def mail_again(*, token: str, ip: str | None) -> None:
    """Send the mail once more, if there is still something to confirm; nothing tells. Raises TooMany."""
    text = _signer.read(token) or ""
    address = f"signup-{throttle.key_of_address(ip)}" if ip else None
    await throttle.admit(throttle.key_of("sign up again", text), address)
    async with db.unit() as session:
        await enqueue(session, "signup.mail", total=1, registration_id=int(text) if text.isdecimal() else 0)


async def letter(session: AsyncSession, registration_id: int) -> dict[str, Any] | None:
    """The mail to who has registered, with a link made for it; to who has an account already another one. None: there
    is nothing to confirm any more."""
    row = await session.get(Registration, registration_id)
    if row is None:
        return None
    project = await session.get_one(Project, row.project_id)
    brand = await brands.brand(project.id)
    if brand is None or not project.enabled:
        return None
    if await users.known(session, row.project_id, row.email) is not None:
        kind = MailKind.ADDRESS_KNOWN
        macros = {"signin.link": address_at(brand, "/login"), "signin.reset": address_at(brand, "/forgot")}
    else:
        kind, hours = MailKind.REGISTRATION, int(links.LIFE[OneUseKind.CONFIRM].total_seconds()) // 3600
        path = await links.make(session, kind=OneUseKind.CONFIRM, data={"registration": row.id})
        macros = {"confirm.link": address_at(brand, path.removeprefix("/client")), "confirm.hours": str(hours)}
    name = str(row.fields.get("contact_person") or row.fields.get("name") or row.email)
    return await of_registration(
        session, kind=kind, project=project, name=name, to=row.email, language=str(row.fields.get("language", "")),
        macros=macros,
    )  # fmt: skip


def path_at(brand: Brand, path: str) -> str:
    """The path of an open page of the client area as this brand shows it; path: behind `/client`."""
    return f"{PREFIX}{brand.slug}{path}" if brand.slug and not brand.host else f"/client{path}"


def address_at(brand: Brand, path: str) -> str:
    return brand.url + path_at(brand, path)


# ---- confirming -----------------------------------------------------------------------------------------------------


async def waiting(session: AsyncSession, token: str) -> Registration:
    """The registration that a link confirms. Raises Gone."""
    link = await links.look(session, token, OneUseKind.CONFIRM)
    row = await session.get(Registration, link.data.get("registration"))
    if row is None:
        raise Gone
    return row


async def confirm(session: AsyncSession, *, token: str) -> Customer:
    """Make the account. The person signs in afterwards: whoever has the mailbox need not be who chose the password.
    Raises Gone, Conflict when there is an account with this address by now."""
    row = await waiting(session, token)
    await links.take(session, token, OneUseKind.CONFIRM)
    project = await session.get_one(Project, row.project_id)
    if not project.enabled:
        raise Gone
    if await users.known(session, row.project_id, row.email) is not None:
        raise Conflict(_("There is an account with this address already. Sign in, or choose a new password."))
    wanted = settings_of(project.signup).groups
    groups = list(await session.scalars(select(Group.id).where(Group.id.in_(wanted)))) if wanted else []
    values = {name: value for name, value in row.fields.items() if name != "email"}
    known = custom.by_key(Customer)  # a field may have been removed meanwhile
    values["custom"] = {key: value for key, value in values.get("custom", {}).items() if key in known}
    customer = await customers.register_customer(
        session, project_id=project.id, email=row.email, groups=groups, send_welcome=True,
        terms_accepted_at=row.terms_at, **values,
    )  # fmt: skip
    user = (
        await session.scalars(select(User).where(User.project_id == project.id, User.username == row.email.lower()))
    ).one()
    user.password_hash = row.password_hash
    await session.execute(
        delete(Registration).where(Registration.project_id == project.id, Registration.email == row.email)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    await session.flush()
    await note(session, "registered", "customer", customer.id, {}, customer_id=customer.id)
    return customer


async def tidy(session: AsyncSession) -> int:
    """Forget registrations that nobody has confirmed, and links that are long over. Returns how many registrations."""
    old = delete(Registration).where(Registration.created_at < utcnow() - KEPT)
    done = await session.execute(old.returning(Registration.id).execution_options(synchronize_session=False))
    await session.execute(
        delete(OneUse).where(OneUse.expires_at < utcnow() - timedelta(days=30))
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    return len(done.all())
