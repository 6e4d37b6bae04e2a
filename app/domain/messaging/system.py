"""The system's own mails: what each is for, the fields that it may use, the text that is shipped, and sending one.

A new one is a member of `MailKind` and an entry here. Its text is a template like any other: staff replace it per
project and language, and what they leave out stays as shipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app import i18n
from app.domain.messaging.macros import MacroSpec
from app.domain.messaging.render import CompiledMessage, RenderedMessage, TemplateProblem, parse
from app.domain.messaging.shell import HUES, wrap_html
from app.domain.messaging.suppression import is_suppressed
from app.domain.messaging.values import of_customer
from app.i18n import LANGUAGES, SOURCE, _, speaking
from app.integrations.mail import valid_address
from app.models.customers import Customer
from app.models.jobs import Job
from app.models.messaging import MailKind, Template
from app.models.projects import Project
from app.observe import log
from app.queue import enqueue

Texts = Mapping[str, tuple[str, str]]
"""Language -> (subject, text)."""
NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class SystemMail:
    """One of the system's own mails. subject, body: marked for translation, so there is one per language."""

    purpose: str
    subject: str
    body: str
    macros: tuple[MacroSpec, ...] = ()
    """Its fields besides those that every message has."""
    in_use: bool = True
    """False: nothing sends it yet."""


_OF_INVOICE = (
    MacroSpec("invoice.title", _("Invoice or credit note, with its number"), "Invoice 2026-00017"),
    MacroSpec("invoice.number", _("Number of the invoice"), "2026-00017"),
    MacroSpec("invoice.total", _("Total of the invoice, with its currency"), "1,284.50 EUR"),
    MacroSpec("invoice.left", _("What is still to be paid, with its currency"), "1,284.50 EUR"),
    MacroSpec("invoice.due", _("The day until which it is to be paid"), "Dec 6, 2026"),
    MacroSpec("invoice.days", _("Days until it is due"), "5"),
)

MAILS: Final[dict[MailKind, SystemMail]] = {
    MailKind.WELCOME: SystemMail(
        _("To a customer whom staff have registered."),
        _("Welcome to {{ project.name }}"),
        _(
            "Hello {% if customer.contact_person %}{{ customer.contact_person }}"
            "{% else %}{{ customer.name }}{% endif %},\n\n"
            "your account at {{ project.name }} is ready. You can sign in with your e-mail address.\n\n"
            "If you have a question, just answer this message."
        ),
    ),
    MailKind.PASSWORD_RESET: SystemMail(
        _("To somebody who has forgotten the password."),
        _("A new password for {{ project.name }}"),
        _(
            "Hello {{ user.name }},\n\n"
            "somebody, probably you, has asked for a new password for your account at {{ project.name }}.\n\n"
            "[Choose a new password]({{ reset.link }})\n\n"
            "The link works once, for {{ reset.minutes }} minutes. If it was not you, you need not do anything: your "
            "password stays as it is."
        ),
        (
            MacroSpec("reset.link", _("The link that leads to a new password"), "https://nordhost.example/reset/x7Kq"),
            MacroSpec("reset.minutes", _("For how many minutes the link works"), "30"),
        ),
    ),
    MailKind.REGISTRATION: SystemMail(
        _("To somebody who has registered, so that they confirm the address."),
        _("Please confirm your registration at {{ project.name }}"),
        _(
            "Hello {{ user.name }},\n\n"
            "somebody, probably you, has registered at {{ project.name }} with this address.\n\n"
            "[Confirm the registration]({{ confirm.link }})\n\n"
            "The link works once, for {{ confirm.hours }} hours. If it was not you, you need not do anything: without "
            "it there is no account."
        ),
        (
            MacroSpec("confirm.link", _("The link to confirm"), "https://nordhost.example/client/link/x7Kq"),
            MacroSpec("confirm.hours", _("For how many hours the link works"), "48"),
        ),
    ),
    MailKind.ADDRESS_KNOWN: SystemMail(
        _("To somebody who registers although there is an account with the address."),
        _("You have an account at {{ project.name }} already"),
        _(
            "Hello {{ user.name }},\n\n"
            "somebody, probably you, has tried to register at {{ project.name }} with this address. There is an "
            "account with it already, so nothing was changed.\n\n"
            "[Sign in]({{ signin.link }}), or [choose a new password]({{ signin.reset }}) if you have forgotten "
            "yours.\n\n"
            "If it was not you, you need not do anything."
        ),
        (
            MacroSpec("signin.link", _("The link to sign in"), "https://nordhost.example/client/login"),
            MacroSpec("signin.reset", _("Where a new password is asked for"), "https://nordhost.example/client/forgot"),
        ),
    ),
    MailKind.SECURITY: SystemMail(
        _("To somebody whose password or second factor was changed."),
        _("Your sign-in at {{ project.name }} was changed"),
        _(
            "Hello {{ user.name }},\n\n"
            "{{ security.what }}\n\n"
            "If it was not you, choose a new password at once and tell us."
        ),
        (MacroSpec("security.what", _("What has changed, as a sentence"), "Your password was changed."),),
    ),
    MailKind.EMAIL_CHANGED: SystemMail(
        _("To the old address, when an e-mail address was changed."),
        _("Your e-mail address at {{ project.name }} was changed"),
        _(
            "Hello {{ user.name }},\n\n"
            "your e-mail address at {{ project.name }} was changed from {{ email.old }} to {{ email.new }}.\n\n"
            "If you did not ask for this, please tell us: just answer this message."
        ),
        (
            MacroSpec("email.old", _("The address before"), "jana@example.com"),
            MacroSpec("email.new", _("The address from now on"), "jana.mueller@example.org"),
        ),
    ),
    MailKind.ADDRESS_CONFIRM: SystemMail(
        _("To a new e-mail address, before it takes the place of the old one."),
        _("Please confirm your new e-mail address"),
        _(
            "Hello {{ user.name }},\n\n"
            "this address is to be yours at {{ project.name }} from now on.\n\n"
            "[Confirm this address]({{ confirm.link }})\n\n"
            "The link works once, for {{ confirm.span }}. If you did not ask for this, you need not do anything: "
            "nothing changes."
        ),
        (
            MacroSpec("confirm.link", _("The link that confirms it"), "https://nordhost.example/client/confirm/x7Kq"),
            MacroSpec("confirm.span", _("How long the link works"), "1 day"),
        ),
    ),
    MailKind.INVITATION: SystemMail(
        _("To somebody whom a customer invites as a user of their account."),
        _("{{ invite.by }} invites you to the account of {{ customer.name }}"),
        _(
            "Hello {{ user.name }},\n\n"
            "{{ invite.by }} invites you to the account of {{ customer.name }} at {{ project.name }}. Your role there: "
            "{{ invite.role }}.\n\n"
            "[Look at the invitation]({{ confirm.link }})\n\n"
            "The link works once, for {{ confirm.span }}. If you do not know them, you need not do anything."
        ),
        (
            MacroSpec("invite.by", _("Who invites"), "Jana Müller"),
            MacroSpec("invite.role", _("The role that they get"), "Finance"),
            MacroSpec("confirm.link", _("The link that confirms it"), "https://nordhost.example/client/join/x7Kq"),
            MacroSpec("confirm.span", _("How long the link works"), "7 days"),
        ),
    ),
    MailKind.PHONE_CODE: SystemMail(
        _("To a customer who verifies a phone number, where codes do not go by SMS."),
        _("Your code for {{ project.name }}"),
        _(
            "Hello {% if customer.contact_person %}{{ customer.contact_person }}"
            "{% else %}{{ customer.name }}{% endif %},\n\n"
            "your code is {{ code.digits }}. It verifies the phone number {{ code.phone }} and works for "
            "{{ confirm.span }}.\n\n"
            "If you did not ask for it, you need not do anything."
        ),
        (
            MacroSpec("code.digits", _("The code"), "481 516"),
            MacroSpec("code.phone", _("The phone number"), "+49 30 1234567"),
            MacroSpec("confirm.span", _("How long the link works"), "10 minutes"),
        ),
    ),
    MailKind.TICKET_ANSWERED: SystemMail(
        _("To a customer whose ticket was answered."),
        _("Re: {{ ticket.subject }}"),
        _(
            "{{ ticket.answer }}\n\n"
            "{% if staff.name %}{{ staff.name }}, {% endif %}{{ project.sender_name }}"
            "{% if ticket.link %}\n\n[The whole conversation]({{ ticket.link }}){% endif %}"
        ),
        (
            MacroSpec("ticket.number", _("Number of the ticket"), "381"),
            MacroSpec("ticket.subject", _("Subject of the ticket"), "My server is slow"),
            MacroSpec(
                "ticket.answer",
                _("What staff have answered"),
                "We have found the reason.\nIt is mended.",
                21_000,
                lines=True,
            ),
            MacroSpec("ticket.link", _("The link to the ticket"), "https://nordhost.example/client/tickets/381"),
        ),
    ),
    MailKind.INVOICE: SystemMail(
        _("To a customer, with an invoice or credit note attached."),
        _("{{ invoice.title }} from {{ project.name }}"),
        _(
            "Hello {% if customer.contact_person %}{{ customer.contact_person }}"
            "{% else %}{{ customer.name }}{% endif %},\n\n"
            "{{ invoice.title }} over {{ invoice.total }} is attached."
            "{% if invoice.due %}\n\nPlease pay it until {{ invoice.due }}.{% endif %}\n\n"
            "If you have a question, just answer this message."
        ),
        _OF_INVOICE,
    ),
    MailKind.REMINDER: SystemMail(
        _("To a customer whose invoice is due soon: ten, five, three and one day before, and on the day."),
        _("{{ invoice.title }} is due on {{ invoice.due }}"),
        _(
            "Hello {% if customer.contact_person %}{{ customer.contact_person }}"
            "{% else %}{{ customer.name }}{% endif %},\n\n"
            "{{ invoice.left }} of {{ invoice.title }} are still to be paid until {{ invoice.due }}. It is attached "
            "once more.\n\n"
            "If you have paid already, you need not do anything."
        ),
        _OF_INVOICE,
    ),
    MailKind.VISIT: SystemMail(
        _("To a customer whose account staff have entered, where the project wants it."),
        _("Our support is in your account at {{ project.name }}"),
        _(
            "Hello {% if customer.contact_person %}{{ customer.contact_person }}"
            "{% else %}{{ customer.name }}{% endif %},\n\n"
            "{{ visit.staff }} of {{ project.sender_name }} has entered your account on {{ visit.begin }}, for at most "
            "30 minutes.\n\nThe reason: {{ visit.reason }}\n\n"
            "Passwords, e-mail addresses and payment methods are closed to our staff. If you have a question, just "
            "answer this message."
        ),
        (
            MacroSpec("visit.staff", _("Who entered"), "Jana Berg"),
            MacroSpec("visit.reason", _("Why"), "Ticket 381: the server is slow"),
            MacroSpec("visit.begin", _("When it began"), "Nov 22, 2026, 11:45 AM"),
        ),
    ),
    MailKind.DATA_READY: SystemMail(
        _("To a user who has asked for a copy of all data of the customer."),
        _("Your data at {{ project.name }}"),
        _(
            "Hello {{ user.name }},\n\n"
            "the copy of the data of {{ customer.name }} is ready. It can be downloaded until {{ data.until }}, after "
            "signing in.\n\n"
            "[My data]({{ data.link }})\n\n"
            "If you did not ask for it, please tell us: just answer this message."
        ),
        (
            MacroSpec(
                "data.link", _("The page where the copy can be downloaded"), "https://nordhost.example/client/data"
            ),
            MacroSpec("data.until", _("The day until which it is kept"), "Dec 6, 2026"),
        ),
    ),
}


def macros_of(kind: MailKind | None) -> tuple[MacroSpec, ...]:
    """The fields of this mail besides those that every message has."""
    return MAILS[kind].macros if kind is not None else ()


@lru_cache
def shipped(kind: MailKind) -> dict[str, tuple[str, str]]:
    """Language -> (subject, text) as it is shipped."""
    texts = {}
    for code in LANGUAGES:
        with speaking(code):
            texts[code] = (str(MAILS[kind].subject), str(MAILS[kind].body))
    return texts


async def texts_for(session: AsyncSession, *, kind: MailKind, project_id: int | None) -> dict[str, tuple[str, str]]:
    """Language -> (subject, text) that a customer of this project gets: the project's own, else that for all projects,
    else the shipped one."""
    texts = dict(shipped(kind))
    templates = await session.scalars(
        select(Template)
        .where(
            Template.kind == kind, Template.enabled,
            Template.project_id.is_(None) | (Template.project_id == project_id),
        )
        .options(selectinload(Template.texts))
        .order_by(Template.id.desc()),
        execution_options={"unscoped": True},  # the same mail whoever causes it
    )  # fmt: skip
    for template in sorted(templates, key=lambda t: t.project_id is not None):
        texts |= {text.language: (text.subject, text.body) for text in template.texts}
    return texts


@lru_cache(maxsize=64)
def compiled(subject: str, body: str, kind: MailKind | None) -> CompiledMessage:
    """A text ready for many recipients, with the fields of its kind. Raises TemplateProblem."""
    more = macros_of(kind)
    return CompiledMessage(parse(subject, more), parse(body, more))


async def written(
    session: AsyncSession, *, kind: MailKind, project_id: int | None, language: str, values: Mapping[str, str]
) -> tuple[str, RenderedMessage]:
    """(language, message) for one recipient. A text that cannot be used any more is replaced by the shipped one."""
    texts = await texts_for(session, kind=kind, project_id=project_id)
    code = i18n.best(language, tuple(texts)) or SOURCE
    try:
        return code, compiled(*texts[code], kind).render(values)
    except TemplateProblem as problem:
        log("messaging").error("the text for %s in %s cannot be used: %s", kind.value, code, problem)
        code = i18n.best(language, tuple(shipped(kind))) or SOURCE
        return code, compiled(*shipped(kind)[code], kind).render(values)


async def values_of(session: AsyncSession, customer_id: int) -> dict[str, str]:
    """The value of each field for this customer, and `default`: the language of the project. Raises NotFound, also for
    a customer whom the acting person may not see."""
    [default], values = await of_customer(session, customer_id, Project.default_language)
    return {"default": default} | values


async def send(
    session: AsyncSession, *, kind: MailKind, customer_id: int, to: str = "", macros: Mapping[str, str] = NONE,
    attachments: Sequence[int] = (), language: str = "", key: str | None = None,
) -> Job | None:  # fmt: skip
    """Write one of the system's mails now, and have a worker send it once this transaction is committed.

    to: empty is the customer's address. macros: the values of the fields that only this mail has, and what differs from
    the customer's. attachments: ids of `Attachment` rows; the worker reads the files. language: empty is that of the
    customer. key: at most one mail with this key ever; a second call returns the first job. None: there is no address,
    or nothing may be sent to it. What the mail server refuses is told at the job.

    Raises NotFound. Not for what nobody else may read: the mail lies in a job until it is sent; for that there is
    `written`."""
    known = await values_of(session, customer_id)
    to = to or known["customer.email"]
    if not valid_address(to) or await is_suppressed(session, to):
        return None
    project_id = await session.scalar(select(Customer.project_id).where(Customer.id == customer_id))
    values = {**known, **macros}
    wanted = language or known["customer.language"] or known["default"]
    code, message = await written(session, kind=kind, project_id=project_id, language=wanted, values=values)
    return await enqueue(
        session, "messaging.mail", key=key, total=1, customer_id=customer_id, attachments=list(attachments),
        **mail_of(message, language=code, to=to, values=values),
    )  # fmt: skip


async def tell_old_address(
    session: AsyncSession, *, customer_id: int, old: str, new: str, name: str = "", language: str = ""
) -> None:
    """Tell the owner of an address that another one is in its place now. name, language: of a user; empty is the
    customer's."""
    if not old or old.casefold() == new.casefold():
        return
    macros = {"email.old": old, "email.new": new} | ({"user.name": name} if name else {})
    await send(session, kind=MailKind.EMAIL_CHANGED, customer_id=customer_id, to=old, macros=macros, language=language)


def mail_of(message: RenderedMessage, *, language: str, to: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of the job that sends one mail."""
    page = wrap_html(
        message.html, project_name=values["project.name"], site=values["project.site"], language=language,
        title=message.subject, color=HUES.get(values.get("project.hue", ""), ""),
    )  # fmt: skip
    return {
        "to": to, "sender": values["project.sender_email"], "sender_name": values["project.sender_name"],
        "subject": message.subject, "text": message.text, "html": page,
    }  # fmt: skip
