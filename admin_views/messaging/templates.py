"""Message templates, and with them the texts of the system's own mails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from markupsafe import Markup
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from starlette.requests import Request
from wtforms import Form, HiddenField, SelectField, validators
from wtforms.fields.core import UnboundField

from admin_views import access
from admin_views.base import AppForm, AppView, Button, Done, Flow, LookupField, Press
from admin_views.messaging.message_form import language_tabs, languages, text_fields
from admin_views.messaging.preview import kind_of, macro_rows, missing, seen
from app import i18n
from app.domain.checks import kept_for_all
from app.domain.messaging import templates, versions
from app.domain.messaging.system import MAILS, shipped
from app.errors import Invalid, NotFound
from app.i18n import _, gettext, language_name, show_moment
from app.models.messaging import MailKind, Template
from app.models.templates import TemplateVersion
from app.render import page

CARD = frozenset({"card"})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


# ---- buttons --------------------------------------------------------------------------------------------------------


class TestForm(AppForm):
    language = SelectField(_("Language"))
    as_customer = LookupField(
        _("Preview as"), target="customer", description=_("With the values of this customer. Empty: with examples.")
    )


class TestFlow(Flow):
    """A test mail to oneself, in one of the languages that there are."""

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        form = cast(Any, TestForm(posted))
        template = press.one
        codes = dict.fromkeys([*templates.texts_of(template), *(shipped(template.kind) if template.kind else ())])
        form.language.choices = [(code, language_name(code)) for code in codes]
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str | Done:
        data = form.data
        if data["as_customer"] is not None:
            access.need(press.request, "customer", "details")
        address = await templates.send_test(
            session, template=press.one, language=data["language"], customer_id=data["as_customer"]
        )
        return gettext("A test mail is on its way to %(address)s.") % {"address": address}


class RestoreForm(AppForm):
    version = SelectField(_("Version"), [validators.InputRequired()], coerce=int)


class RestoreFlow(Flow):
    async def build(self, press: Press, posted: Any = None) -> AppForm:
        asked = _number(press.request.query_params.get("version", ""))
        form = cast(Any, RestoreForm(posted, data={"version": asked}))
        found = await versions.latest(press.session, press.one.id, most=200)
        form.version.choices = [(v.number, _said(v)) for v in found]
        return cast(AppForm, form)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str | Done:
        number = form.data["version"]
        await templates.restore(session, template=press.one, number=number)
        return gettext("Version %(n)s is in use again.") % {"n": number}


def _said(version: TemplateVersion) -> str:
    when = show_moment(version.at) if version.at is not None else gettext("at the beginning")
    return ", ".join(str(part) for part in (version.number, when, version.staff) if part is not None)


async def ship_again(session: AsyncSession, chosen: list[Template]) -> str:
    for template in chosen:
        await templates.ship_again(session, template=template)
    return gettext("The shipped text is sent again. Yours stays among the versions.")


class KindForm(AppForm):
    kind = HiddenField()


class SystemFlow(Flow):
    """The list of the system's mails: it leads to where they are written, and sends tests of them to oneself."""

    template = "sqladmin/system_mails.html"
    form = KindForm
    needs_rows = False

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        request, own = press.request, i18n.language()
        query = select(Template).where(Template.kind.is_not(None)).order_by(Template.id)
        rows = await press.session.scalars(query.options(selectinload(Template.texts), selectinload(Template.project)))
        written: dict[MailKind, list[dict[str, Any]]] = {kind: [] for kind in MailKind}
        for t in rows:
            assert t.kind is not None
            written[t.kind].append(
                {
                    "url": press.view.card_url(t.id),
                    "project": str(t.project or gettext("all projects")),
                    "enabled": t.enabled,
                    "languages": [language_name(text.language) for text in t.texts],
                }
            )
        mails = []
        for kind, mail in MAILS.items():
            pair = shipped(kind)[own]
            mails.append(
                {
                    "kind": kind.value,
                    "label": str(kind.label),
                    "purpose": str(mail.purpose),
                    "in_use": mail.in_use,
                    "own": written[kind],
                    "mail": await seen(press.session, pair, language=own, kind=kind, project_id=None),
                    "macros": [m.name for m in mail.macros],
                    "new_url": f"{press.view.list_url.removesuffix('list')}create?kind={kind.value}",
                }
            )
        return {
            "mails": mails,
            "may_write": access.may(request, press.view.identity, "create"),
            "test_url": press.button.url(press.view.identity),
        }

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str | Done:
        kind = kind_of(form.data["kind"] or "")
        if kind is None:
            raise NotFound
        address = await templates.send_test_of(session, kind=kind, language=i18n.language())
        said = gettext("A test mail is on its way to %(address)s.") % {"address": address}
        return Done(said, url=press.button.url(press.view.identity))


SYSTEM = Button(
    "system", _("System mails"), "robot", on=frozenset({"head"}), flow=SystemFlow(), grant="list",
    lede=_("What Bursar writes by itself. Without a text of your own the shipped one is sent."),
)  # fmt: skip
TEST = Button("test", _("Test mail to me"), "mail", on=CARD, flow=TestFlow(), grant="details", more=True,
              submit=_("Send"))  # fmt: skip
SHIP = Button(
    "ship", _("Back to the shipped text"), "arrow-back-up", on=CARD, verb=ship_again, grant="edit", more=True,
    lede=_("Your texts are taken out, and stay among the versions."),
    shown=lambda template: template.kind is not None and bool(template.texts),
)  # fmt: skip
RESTORE = Button(
    "restore", _("Restore a version"), "history", on=frozenset(), flow=RestoreFlow(), grant="edit",
    lede=_("Its texts become those of today, as a new version."), submit=_("Restore"),
)  # fmt: skip


# ---- the screen -----------------------------------------------------------------------------------------------------


class Templates(AppView, model=Template):
    name, name_plural, icon, category = _("Message template"), _("Templates"), "template", "Messages"
    purpose = _("Texts that you send again and again, in every language.")
    form_template = "sqladmin/template.html"
    related = ()
    leave_out = ("kind",)
    buttons = (SYSTEM, TEST, SHIP, RESTORE)

    def offered(self, rows: Select[Any], asked: Mapping[str, str]) -> Select[Any]:
        """For the composer: those of the category and project that it names, in the order of preference."""
        order = templates.preference(
            category_id=_number(asked.get("category", "")) or None,
            project_id=_number(asked.get("project", "")) or None,
            languages=[i18n.language()],
        )
        return rows.where(Template.kind.is_(None), Template.enabled).order_by(*order)

    def card_options(self) -> list[Any]:
        return [*super().card_options(), selectinload(Template.texts)]

    def edit_options(self) -> list[Any]:
        return [selectinload(Template.texts)]

    async def form_fields(self, session: AsyncSession, obj: Any) -> dict[str, UnboundField[Any]]:
        codes = await languages(session)
        codes += [t.language for t in obj.texts if t.language not in codes] if obj is not None else []
        unbound = {
            "kind": HiddenField(),
            "preview_as": LookupField(
                _("Preview as"), target="customer",
                description=_("With the values of this customer. Empty: with examples."),
            ),
        }  # fmt: skip
        return {**text_fields(codes), **cast("dict[str, UnboundField[Any]]", unbound)}

    async def initial(self, session: AsyncSession, obj: Any) -> dict[str, Any]:
        return {"kind": obj.kind.value if obj is not None and obj.kind is not None else ""}

    async def form_context(self, session: AsyncSession, obj: Any, form: Form) -> dict[str, Any]:
        fields = cast(Any, form)
        kind = obj.kind if obj is not None else kind_of(fields.kind.data or "")
        codes = [f.name.removeprefix("body_") for f in fields if f.name.startswith("body_")]
        fresh = fields.kind.raw_data is None  # not posted
        if fresh:
            self._fill(fields, obj, kind)
        texts = {c: (fields[f"subject_{c}"].data or "", fields[f"body_{c}"].data or "") for c in codes}
        texts = {c: pair for c, pair in texts.items() if any(pair)}
        project_id = fields.project.data
        names = ["name", "project", "enabled"] if kind else ["name", "category", "project", "enabled"]
        mail = None
        if texts:
            code = next(iter(texts))
            mail = await seen(session, texts[code], language=code, kind=kind, project_id=project_id)
        wanted = await templates.languages_of(session, project_id)
        return {
            "languages": language_tabs(codes),
            "macros": macro_rows(kind),
            "kind": {"label": str(kind.label), "purpose": str(MAILS[kind].purpose)} if kind else None,
            "groups": [{"label": None, "help": None, "fields": names, "more": False}],
            "look": {"mail": mail, "missing": missing(texts, wanted, kind), "mistakes": []},
        }

    @staticmethod
    def _fill(fields: Any, obj: Any, kind: MailKind | None) -> None:
        """What the form begins with: the texts that there are, and for a system mail the shipped ones."""
        texts = {**(shipped(kind) if kind else {}), **(templates.texts_of(obj) if obj is not None else {})}
        for code, (subject, body) in texts.items():
            if f"subject_{code}" in fields:
                fields[f"subject_{code}"].data, fields[f"body_{code}"].data = subject, body
        if kind is not None and not fields.name.data:
            fields.name.data = str(kind.label)

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        codes = [name.removeprefix("body_") for name in values if name.startswith("body_")]
        texts = {c: (values.pop(f"subject_{c}") or "", values.pop(f"body_{c}") or "") for c in codes}
        values.pop("preview_as", None)
        given = values.pop("kind", "") or ""
        kind = obj.kind if obj is not None else kind_of(given)
        if obj is None:
            values["kind"] = kind
        if obj is None and given and kind is None:
            raise Invalid(gettext("There is no such system mail."))
        if kind is not None:  # what is as shipped stays as shipped
            plain = {c: (s.strip(), b.strip().replace("\r\n", "\n")) for c, (s, b) in texts.items()}
            texts = {c: pair for c, pair in texts.items() if plain[c] != shipped(kind).get(c)}
        elif not any(part.strip() for pair in texts.values() for part in pair):
            missing_text = gettext("Please write a subject and a text in at least one language.")
            raise Invalid(**{f"subject_{codes[0]}": missing_text})
        return await templates.save_template(session, template=obj, texts=texts, values=values)

    async def refusals(self, session: AsyncSession, obj: Any) -> list[str]:
        return kept_for_all(obj) or await super().refusals(session, obj)

    # ---- the card ------------------------------------------------------------------------------------------------

    async def sections(self, session: AsyncSession, obj: Template, request: Request) -> list[dict[str, Any]]:
        own = templates.texts_of(obj)
        texts = {**(shipped(obj.kind) if obj.kind else {}), **own}
        shown = []
        if number := _number(request.query_params.get("version", "")):
            shown.append(await self._difference(session, obj, number, request))
        for code, pair in sorted(texts.items(), key=lambda p: (p[0] != i18n.language(), p[0])):
            mail = await seen(session, pair, language=code, kind=obj.kind, project_id=obj.project_id)
            html = page("sqladmin/template_text.html", mail=mail, body=pair[1], own=code in own, kind=obj.kind)
            shown.append({"label": language_name(code), "kind": "html", "html": Markup(html)})  # noqa: S704
        return shown

    async def _difference(self, session: AsyncSession, obj: Template, number: int, request: Request) -> dict[str, Any]:
        version = await versions.one(session, obj.id, number)
        former = await versions.one(session, obj.id, number - 1) if number > 1 else None
        before = versions.read(former) if former is not None else {}
        now = versions.read(version) == templates.texts_of(obj)
        may = access.may(request, self.identity, "edit") and not now
        changed = versions.differences(before, versions.read(version))
        html = page(
            "sqladmin/template_difference.html", said=_said(version),
            found=[(language_name(d.language), d.lines) for d in changed],
            restore_url=f"{RESTORE.url(self.identity, obj.id)}&version={number}" if may else "",
            close_url=self.card_url(obj.id),
        )  # fmt: skip
        label = gettext("What version %(n)s has changed") % {"n": number}
        return {"label": label, "kind": "html", "html": Markup(html)}  # noqa: S704

    async def side(self, session: AsyncSession, obj: Template, request: Request) -> list[dict[str, Any]]:
        items = [
            {"label": gettext("System mail"), "value": str(obj.kind.label) if obj.kind else ""},
            {"label": gettext("Category"), "value": str(obj.category or "")},
            {"label": gettext("Project"), "value": str(obj.project or gettext("all projects"))},
            {"label": gettext("In use"), "value": gettext("yes") if obj.enabled else gettext("no")},
        ]
        wanted = await templates.languages_of(session, obj.project_id)
        gone = missing(templates.texts_of(obj), wanted, obj.kind)
        found = await versions.latest(session, obj.id)
        html = page("sqladmin/template_versions.html", versions=[self._row(obj, v) for v in found])
        return [
            {"label": gettext("Details"), "kind": "kv", "items": [i for i in items if i["value"]]},
            {"label": gettext("What is missing"), "kind": "words",
             "words": [f"{m['name']}: {m['what']}" for m in gone] or [gettext("Nothing")]},
            {"label": gettext("Versions"), "kind": "html", "html": Markup(html)},  # noqa: S704
        ]  # fmt: skip

    def _row(self, obj: Template, version: TemplateVersion) -> dict[str, Any]:
        return {
            "number": version.number,
            "url": f"{self.card_url(obj.id)}?version={version.number}",
            "at": version.at,
            "who": str(version.staff or "") or ("Bursar" if version.at is not None else ""),
            "restored": version.restored,
            "changed": [(language_name(code), plus, minus) for code, (plus, minus) in version.changed.items()],
        }

    async def data_contents(self, session: AsyncSession, request: Request) -> dict[str, Any]:
        """The texts of one template, for the composer."""
        template = await self.load(session, request.query_params.get("id", ""), selectinload(Template.texts))
        return {"contents": {t.language: {"subject": t.subject, "body": t.body} for t in template.texts}}
