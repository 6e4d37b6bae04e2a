"""Message templates: saving with a version for each change, restoring, choosing the best one, and looking at them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from app import i18n
from app.domain.checks import refuse_for_all
from app.domain.messaging import versions
from app.domain.messaging.macros import examples
from app.domain.messaging.markdown import to_html
from app.domain.messaging.render import RenderedMessage, TemplateProblem, parse
from app.domain.messaging.system import Texts, compiled, macros_of, mail_of, shipped, texts_for, values_of
from app.domain.messaging.values import of_project
from app.domain.messaging.versions import texts_of
from app.errors import Conflict, Invalid
from app.i18n import _, gettext, language_name
from app.models.messaging import MailKind, Template, TemplateText
from app.models.projects import Project
from app.models.staff import Staff
from app.observe import actor
from app.queue import enqueue

MAX_SUBJECT = 300


# ---- writing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mistake:
    """Something that cannot be sent. field: subject_<language> or body_<language>; line 0: the text as a whole."""

    field: str
    language: str
    what: str
    line: int
    column: int


def problems(texts: Texts, kind: MailKind | None) -> list[Mistake]:
    """The first mistake of each subject and text."""
    found = []
    for code, pair in texts.items():
        for name, text in zip(("subject", "body"), pair, strict=True):
            try:
                checked = parse(text, macros_of(kind))
                if name == "body":
                    compiled("", text, kind).render({})
                    to_html(checked.longest())
            except TemplateProblem as problem:
                found.append(Mistake(f"{name}_{code}", code, str(problem), problem.line, problem.column))
    return found


def mistakes(texts: Texts, kind: MailKind | None) -> dict[str, str]:
    """Field (subject_<language>, body_<language>) -> what is wrong there, also what is missing."""
    found = {one.field: one.what for one in problems(texts, kind)}
    for code, (subject, body) in texts.items():
        if not subject:
            found[f"subject_{code}"] = gettext("Write a subject.")
        elif len(subject) > MAX_SUBJECT:
            found[f"subject_{code}"] = gettext("At most %(n)s characters.") % {"n": MAX_SUBJECT}
        if not body:
            found[f"body_{code}"] = gettext("Write a text.")
    return found


async def save_template(
    session: AsyncSession,
    *,
    template: Template | None,
    texts: Texts,
    values: Mapping[str, Any] | None = None,
    restored: int | None = None,
) -> Template:
    """Create (template is None) or change one; what it said before stays as a version. template: with its texts
    loaded. values: name, category_id, project_id, kind, enabled. restored: the version that these texts come from.

    Raises Invalid with the fields subject_<language>, body_<language>, project (staff who are limited to projects write
    for no others); "" when there is no text at all.
    """
    values = dict(values or {})
    refuse_for_all(template, values)
    kind = values.get("kind", template.kind if template is not None else None)
    texts = {code: (_plain(subject), _plain(body)) for code, (subject, body) in texts.items()}
    texts = {code: pair for code, pair in texts.items() if any(pair)}
    if not texts and kind is None:
        raise Invalid(gettext("Please write a subject and a text in at least one language."))
    if found := mistakes(texts, kind):
        raise Invalid(**found)
    await _refuse_second(session, template, kind, values)
    if template is None:
        template = Template(texts=[])
        session.add(template)
    before = texts_of(template)
    for name, value in values.items():
        setattr(template, name, value)
    present = {text.language: text for text in template.texts}
    template.texts = [present.get(code) or TemplateText(language=code) for code in texts]
    for text in template.texts:
        text.subject, text.body = texts[text.language]
    if texts_of(template) != before:
        flag_modified(template, "name")  # counts its version up, so that a form that is older is noticed
    await session.flush()
    await versions.remember(session, template, before, restored=restored)
    return template


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


async def _refuse_second(
    session: AsyncSession, template: Template | None, kind: MailKind | None, values: Mapping[str, Any]
) -> None:
    """One text of our own per system mail and project."""
    if kind is None or (template is not None and "project_id" not in values):
        return
    same = select(Template.name).where(Template.kind == kind, Template.project_id.is_not_distinct_from(
        values.get("project_id")
    ))  # fmt: skip
    if template is not None:
        same = same.where(Template.id != template.id)
    if (name := await session.scalar(same.limit(1), execution_options={"unscoped": True})) is not None:
        said = gettext('"%(name)s" is the text for this mail and project already. Change that one.')
        raise Invalid(project=said % {"name": name})


async def restore(session: AsyncSession, *, template: Template, number: int) -> Template:
    """Make the texts of a former version those of today, as a new version. Raises NotFound, Conflict, Invalid."""
    texts = versions.read(await versions.one(session, template.id, number))
    if texts == texts_of(template):
        raise Conflict(_("This is what it says now."))
    return await save_template(session, template=template, texts=texts, restored=number)


async def ship_again(session: AsyncSession, *, template: Template) -> Template:
    """Take out the texts of our own, so that the shipped ones are sent. They stay as a version. Raises Conflict."""
    if template.kind is None or not template.texts:
        raise Conflict(_("There is no text of your own here."))
    return await save_template(session, template=template, texts={})


# ---- choosing -------------------------------------------------------------------------------------------------------


def preference(
    *, category_id: int | None = None, project_id: int | None = None, languages: Collection[str] = ()
) -> list[Any]:
    """The order of templates for a message: the project's before the general, the category's before others, those with
    a text in one of the languages before those without."""
    worse: list[Any] = []
    if project_id is not None:
        worse.append(case((Template.project_id == project_id, 0), (Template.project_id.is_(None), 1), else_=2))
    if category_id is not None:
        worse.append(case((Template.category_id == category_id, 0), (Template.category_id.is_(None), 1), else_=2))
    if languages:
        text = select(TemplateText.language).where(
            TemplateText.template_id == Template.id, TemplateText.language.in_(sorted(languages))
        )
        worse.append(case((exists(text), 0), else_=1))
    return [*worse, Template.name_folded, Template.id]


# ---- looking --------------------------------------------------------------------------------------------------------


async def languages_of(session: AsyncSession, project_id: int | None) -> list[str]:
    """The languages that customers of the project, or of any, read; the project's default first."""
    query = select(Project.default_language, Project.languages).where(Project.enabled).order_by(Project.id)
    codes: dict[str, None] = {}
    for default, offered in await session.execute(
        query if project_id is None else query.where(Project.id == project_id)
    ):
        codes |= dict.fromkeys([default, *offered])
    return list(codes)


def lacks(texts: Texts, wanted: Iterable[str], kind: MailKind | None) -> list[tuple[str, str]]:
    """(language, what is missing there)."""
    found: list[tuple[str, str]] = []
    everything = {**(shipped(kind) if kind is not None else {}), **texts}
    for code in wanted:
        if i18n.best(code, tuple(everything)) is None:
            found.append((code, gettext("no text: these customers get another language")))
    used: dict[str, frozenset[str]] = {}
    for code, (subject, body) in texts.items():
        if not subject.strip() or not body.strip():
            found.append((code, gettext("no subject") if body.strip() else gettext("no text yet")))
            continue
        try:
            used[code] = parse(subject, macros_of(kind)).macros | parse(body, macros_of(kind)).macros
        except TemplateProblem:
            found.append((code, gettext("a mistake: it cannot be sent like this")))
    for code, macros in used.items():
        others = [other for other in used if other != code]
        for name in sorted(frozenset().union(*(used[o] for o in others)) - macros):
            has = ", ".join(language_name(other) for other in others if name in used[other])
            found.append((code, gettext("%(name)s, which stands in: %(languages)s") % {"name": name, "languages": has}))
    return found


@dataclass(frozen=True)
class Sample:
    """A text as somebody would get it. empty: fields that it uses and that have no value there."""

    message: RenderedMessage
    values: Mapping[str, str]
    empty: list[str]


async def look(
    session: AsyncSession,
    *,
    subject: str,
    body: str,
    kind: MailKind | None,
    project_id: int | None = None,
    customer_id: int | None = None,
) -> Sample:
    """A text with the values of a customer, or with the examples. Raises TemplateProblem, and NotFound for a customer
    whom the acting person may not see."""
    values = {**examples(*macros_of(kind)), "project.hue": ""}
    if customer_id is not None:
        values |= await values_of(session, customer_id)
    elif project_id is not None and (project := await session.get(Project, project_id)) is not None:
        values |= of_project(project)
    if (staff := await _me(session)) is not None:
        values["staff.name"] = str(staff)
    message = compiled(subject, body, kind)
    empty = sorted(name for name in message.macros if not values.get(name, "").strip())
    return Sample(message.render(values), values, empty)


async def _me(session: AsyncSession) -> Staff | None:
    staff_id = actor.get().staff_id
    return await session.get(Staff, staff_id) if staff_id is not None else None


async def send_test(session: AsyncSession, *, template: Template, language: str, customer_id: int | None = None) -> str:
    """Send the text to the acting staff member, and to nobody else. Returns the address. Raises Invalid, NotFound."""
    texts = {**(shipped(template.kind) if template.kind is not None else {}), **texts_of(template)}
    if language not in texts:
        raise Invalid(language=_("There is no text in this language."))
    return await _to_me(
        session, texts[language], language=language, kind=template.kind, project_id=template.project_id,
        customer_id=customer_id,
    )  # fmt: skip


async def send_test_of(session: AsyncSession, *, kind: MailKind, language: str) -> str:
    """The same for a system mail as the customers of no particular project get it."""
    texts = await texts_for(session, kind=kind, project_id=None)
    code = i18n.best(language, tuple(texts)) or i18n.SOURCE
    return await _to_me(session, texts[code], language=code, kind=kind)


async def _to_me(
    session: AsyncSession,
    pair: tuple[str, str],
    *,
    language: str,
    kind: MailKind | None,
    project_id: int | None = None,
    customer_id: int | None = None,
) -> str:
    staff = await _me(session)
    if staff is None or not staff.email:
        raise Invalid(_("You have no e-mail address in your profile."))
    subject, body = pair
    seen = await look(session, subject=subject, body=body, kind=kind, project_id=project_id, customer_id=customer_id)
    values = dict(seen.values)
    if customer_id is None and project_id is None:  # a real sender, which the mail server takes
        first = await session.scalar(select(Project).where(Project.enabled).order_by(Project.id).limit(1))
        values |= {"project.sender_email": first.sender_email} if first is not None else {}
    await enqueue(session, "messaging.mail", **mail_of(seen.message, language=language, to=staff.email, values=values))
    return staff.email


__all__ = [
    "Mistake", "Sample", "lacks", "languages_of", "look", "mistakes", "preference", "problems", "restore",
    "save_template", "send_test", "send_test_of", "ship_again", "texts_of",
]  # fmt: skip
