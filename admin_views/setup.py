"""Setting up step by step: the pages, and the list of what is left for the first page of the panel."""

from __future__ import annotations

from typing import Any, cast

from sqladmin.authentication import login_required
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from wtforms import RadioField, SelectField, StringField, validators

from admin_views import access
from admin_views.base import AppForm
from admin_views.base.fields import field_of
from admin_views.base.pages import place_errors
from admin_views.base.panel import PanelBase, packed, posted_form
from admin_views.configuration import modules_form
from app import db
from app.domain import demo
from app.domain.config import applying, modules, presets, setup
from app.domain.config.planning import CONFIGURE, refuse_limited
from app.domain.config.setup import FIELDS, STEPS, Invited
from app.errors import AppError, Invalid, NotFound
from app.flash import flash
from app.i18n import LANGUAGES, _, gettext, language, language_name, ngettext
from app.models.projects import Project
from app.models.staff import Role
from app.queue import enqueue
from app.render import page

URL = "/admin/setup"
ROWS = 3
"""Colleagues at once."""
LEDES = {
    "brand": _("The name that customers read, and the address that messages come from."),
    "preset": _("Roles, categories, texts and products to begin with. All of it can be changed."),
    "modules": _("What you do without is not shown to anybody and rests. Its data stays."),
    "colleagues": _("They get a mail with a link to a password of their own."),
    "demo": _("Invented customers to try things out with. One button removes them."),
}


class Setup(PanelBase):
    @login_required
    async def setup(self, request: Request) -> Response:
        access.need(request, *CONFIGURE)
        refuse_limited()
        step = request.query_params.get("step") or setup.next_step() or next(iter(STEPS))
        if step not in STEPS:
            raise NotFound
        posted = await posted_form(request) if request.method == "POST" else None
        if posted is not None and posted.get("later"):
            async with db.unit() as session:
                await setup.leave(session)
            return RedirectResponse("/admin/", 303)
        async with db.reads() as session:
            form = await _form(session, step, posted)
        error = None
        if posted is not None and (posted.get("skip") or form.validate()):
            following = _after(step)
            try:
                async with db.unit() as session:
                    said = "" if posted.get("skip") else await _save(session, step, form)
                    await setup.mark(session, step=step)
                    if following is None:
                        await setup.leave(session)
            except Invalid as problem:
                error = place_errors(form, problem)
            except AppError as problem:
                error = str(problem)
            else:
                if said:
                    flash(request.scope, "ok", said)
                return RedirectResponse(f"{URL}?step={following}" if following else "/admin/", 303)
        return await self._step(request, step, form, error, 200 if posted is None else 422)

    @login_required
    async def setup_hide(self, request: Request) -> Response:
        """The list of what is left is not wanted any more."""
        access.need(request, *CONFIGURE)
        refuse_limited()
        await posted_form(request)
        async with db.unit() as session:
            await setup.leave(session, hide=True)
        return RedirectResponse("/admin/", 303)

    async def _step(self, request: Request, step: str, form: AppForm, error: str | None, status: int) -> Response:
        done = setup.done()
        async with self.frame(request, title=gettext("Set up"), current="configuration") as (_session, around):
            context = {
                "steps": [
                    {"label": gettext(label), "done": name in done and name != step, "current": name == step,
                     "url": f"{URL}?step={name}" if name in done and name != step else None}
                    for name, label in STEPS.items()
                ],
                "step": step, "title": gettext(STEPS[step]), "lede": gettext(LEDES[step]), "form": form,
                "error": error, "last": _after(step) is None, "rows": range(ROWS),
                "presets": presets.offered() if step == "preset" else [],
                "modules": list(modules.MODULES.values()) if step == "modules" else [],
                "loaded": await demo.loaded(_session) if step == "demo" else False,
            }  # fmt: skip
            return packed(request, page("sqladmin/setup.html", frame=around, **context), status)


def _after(step: str) -> str | None:
    names = list(STEPS)
    return next(iter(names[names.index(step) + 1 :]), None)


async def _form(session: AsyncSession, step: str, posted: Any) -> AppForm:
    match step:
        case "brand":
            columns = inspect(Project).column_attrs
            kind = type("BrandForm", (AppForm,), {name: field_of(columns[name]) for name in FIELDS})
            spoken = [(code, language_name(code)) for code in LANGUAGES]
            project = await setup.first_project(session)
            start: dict[str, Any] = {name: getattr(project, name) for name in FIELDS} if project is not None else {
                "languages": list(dict.fromkeys([language(), "en"])), "default_language": language(),
            }  # fmt: skip
            made: Any = kind(posted, **start)
            made.languages.choices = made.default_language.choices = spoken  # those of the client area
            return cast(AppForm, made)
        case "preset":
            offered = [*((p["name"], p["label"]) for p in presets.offered()), ("empty", gettext("Empty"))]
            field = RadioField(_("What do you sell?"), [validators.InputRequired()], choices=offered)
            return cast(AppForm, type("PresetForm", (AppForm,), {"preset": field})(posted))
        case "modules":
            return modules_form(posted)
        case "colleagues":
            roles = [(name, name) for name in await session.scalars(select(Role.name).order_by(Role.name))]
            fields: dict[str, Any] = {}
            for n in range(ROWS):
                named = {"n": n + 1}
                fields |= {
                    f"full_name_{n}": StringField(gettext("Name of colleague %(n)s") % named),
                    f"email_{n}": StringField(gettext("E-mail of colleague %(n)s") % named,
                                              render_kw={"type": "email", "autocomplete": "off"}),
                    f"role_{n}": SelectField(
                        gettext("Role of colleague %(n)s") % named, choices=roles, validate_choice=False
                    ),
                }  # fmt: skip
            return cast(AppForm, type("ColleaguesForm", (AppForm,), fields)(posted))
    return AppForm(posted)


async def _save(session: AsyncSession, step: str, form: AppForm) -> str:
    """Do what the step says, and what is to be told of it."""
    match step:
        case "brand":
            await setup.save_brand(session, values=form.data)
            return ""
        case "preset":
            if form["preset"].data != "empty":
                taken = await applying.apply(session, presets.read(form["preset"].data, language()))
                n = taken.differences.count("create")
                said = ngettext("%(n)s entry to begin with is made.", "%(n)s entries to begin with are made.", n)
                return said % {"n": n}
            return ""
        case "modules":
            await modules.switch(session, states={name: bool(form[name].data) for name in modules.MODULES})
            return ""
        case "colleagues":
            people = [
                Invited(n, form[f"full_name_{n}"].data or "", form[f"email_{n}"].data or "", form[f"role_{n}"].data)
                for n in range(ROWS) if form[f"email_{n}"].data or form[f"full_name_{n}"].data
            ]  # fmt: skip
            made = await setup.invite(session, people=people)
            said = ngettext("%(n)s colleague is invited.", "%(n)s colleagues are invited.", made)
            return said % {"n": made} if made else ""
    if not await demo.loaded(session):
        await enqueue(session, "demo.add")
    return gettext("The demo data is being made. It takes a moment.")


async def block(session: AsyncSession) -> dict[str, Any] | None:
    """What is left to do, for the first page."""
    tasks = await setup.checklist(session)
    if not tasks:
        return None
    return {
        "kind": "setup", "label": gettext("What is left to set up"), "url": URL,
        "count": sum(not t.done for t in tasks), "tasks": tasks, "hide_url": f"{URL}/hide",
    }  # fmt: skip
