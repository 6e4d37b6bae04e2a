"""The configuration in the panel: as a file with what it would change, presets, modules, and taking out the demo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqladmin.authentication import login_required
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from wtforms import BooleanField

from admin_views import access
from admin_views.base import AppForm
from admin_views.base.pages import place_errors
from admin_views.base.panel import PanelBase, packed, posted_form
from admin_views.base.working import work
from app import db
from app.db import utcnow
from app.domain import demo
from app.domain.config import applying, modules, presets, setting, yamlfile
from app.domain.config.pictures import lying_in
from app.domain.config.planning import CONFIGURE, Change, Differences, compare, export, refuse_limited
from app.domain.config.yamlfile import FileProblem
from app.errors import AppError, Invalid
from app.flash import flash
from app.i18n import gettext, language, show_number
from app.integrations.storage import DirectoryStorage, FileMissing
from app.links import Signer
from app.models.config import DEMO_REPORT
from app.models.config import UPLOADS as FOLDER
from app.models.customers import ExternalRef
from app.models.jobs import Job, JobState
from app.queue import enqueue
from app.render import page

URL = "/admin/configuration"
AT_ONCE, MANY = 100_000, 300
"""Bytes, and changes, of a file that is taken over while somebody waits; a larger one is, in the background."""
SHOWN = 500
"""So many rows of differences a page shows."""
_signer = Signer("configuration")


class Configuring(PanelBase):
    @staticmethod
    def _uploads(request: Request) -> DirectoryStorage:
        return DirectoryStorage(request.app.state.settings.data_dir / FOLDER)

    @staticmethod
    def _files(request: Request) -> DirectoryStorage:
        """Where logos lie."""
        return DirectoryStorage(request.app.state.settings.data_dir / "attachments")

    @staticmethod
    def _need(request: Request) -> None:
        access.need(request, *CONFIGURE)
        refuse_limited()

    # ---- the file -------------------------------------------------------------------------------------------------

    @login_required
    async def configuration(self, request: Request) -> Response:
        self._need(request)
        return await self._page(request)

    async def _page(self, request: Request, error: str = "", status: int = 200) -> Response:
        async with self.frame(request, title=gettext("Configuration"), current="configuration") as (session, around):
            context = {
                "error": error, "presets": presets.offered(), "demo": await demo.loaded(session),
            }  # fmt: skip
            return packed(request, page("sqladmin/configuration.html", frame=around, **context), status)

    @login_required
    async def configuration_file(self, request: Request) -> Response:
        self._need(request)
        async with db.reads() as session:
            text = await export(session, self._files(request))
        headers = {"Content-Disposition": 'attachment; filename="desk.yaml"', "X-Content-Type-Options": "nosniff"}
        return Response(text, media_type="application/yaml", headers=headers)

    @login_required
    async def configuration_look(self, request: Request) -> Response:
        """What a file or a preset would change."""
        self._need(request)
        posted = await posted_form(request)
        prune = bool(posted.get("prune"))
        try:
            data = await self._uploaded(posted)
            found = await self._differences(data, prune, self._files(request))
        except (Invalid, FileProblem) as problem:
            return await self._page(request, str(problem), 422)
        stored = await self._uploads(request).save(data)
        async with db.unit() as session:
            late = utcnow() + timedelta(days=1)
            await enqueue(session, "config.forget", due_at=late, file=stored.key)
        context: dict[str, Any] = {
            "changes": [_shown(change) for change in found.changes[:SHOWN]],
            "more": show_number(len(found.changes) - SHOWN) if len(found.changes) > SHOWN else "",
            "summary": applying.summary(found), "file": _signer.sign(stored.key), "prune": prune,
        }  # fmt: skip
        return await self.respond(
            request, "sqladmin/configuration_look.html", title=gettext("What would change"), current="configuration",
            crumbs=_crumbs(gettext("What would change")), **context,
        )  # fmt: skip

    @staticmethod
    async def _uploaded(posted: Any) -> bytes:
        if name := str(posted.get("preset", "")):
            return presets.read(name, language())
        upload = posted.get("files")
        data = await upload.read(yamlfile.MOST_BYTES + 1) if isinstance(upload, UploadFile) else b""
        if not data:
            raise Invalid(gettext("Choose a file."))
        return data

    @staticmethod
    async def _differences(data: bytes, prune: bool, storage: DirectoryStorage) -> Differences:
        """Of a file that changes little, after trying it: what the verbs refuse is told now. Trying holds up whoever
        writes meanwhile."""
        async with lying_in(storage), db.reads() as session:
            found = await compare(session, data, prune=prune)
        if _large(data, found):
            return found
        return (await applying.rehearse(data, prune=prune, storage=storage)).differences

    @login_required
    async def configuration_take(self, request: Request) -> Response:
        self._need(request)
        posted = await posted_form(request)
        key, prune = _signer.read(str(posted.get("file", ""))), bool(posted.get("prune"))
        try:
            if key is None:
                raise Invalid(gettext("Choose a file."))
            data = await self._uploads(request).read(key)
            async with lying_in(self._files(request)), db.reads() as session:
                large = _large(data, await compare(session, data, prune=prune))
            if large:
                async with db.unit() as session:
                    await enqueue(session, "config.take", file=key, prune=prune)
                flash(request.scope, "ok", gettext("It is taken over in the background: see Jobs."))
                return RedirectResponse(URL, 303)
            await applying.take(data, prune=prune, storage=self._files(request))
        except FileMissing:
            return await self._page(request, gettext("The file is not kept any more. Choose it again."), 422)
        except AppError as problem:
            return await self._page(request, str(problem), 422)
        flash(request.scope, "ok", gettext("Taken over."))
        return RedirectResponse(URL, 303)

    # ---- modules --------------------------------------------------------------------------------------------------

    @login_required
    async def modules(self, request: Request) -> Response:
        self._need(request)
        posted = await posted_form(request) if request.method == "POST" else None
        form = modules_form(posted)
        error = None
        if posted is not None:
            try:
                async with db.unit() as session:
                    await modules.switch(session, states={name: bool(form[name].data) for name in modules.MODULES})
            except Invalid as problem:
                error = place_errors(form, problem)
            else:
                flash(request.scope, "ok", gettext("Saved."))
                return RedirectResponse("/admin/modules", 303)
        return await self.respond(
            request, "sqladmin/modules.html", 422 if posted is not None else 200, title=gettext("Modules"),
            current="modules", form=form, error=error, modules=list(modules.MODULES.values()),
        )  # fmt: skip

    # ---- the demo -------------------------------------------------------------------------------------------------

    @login_required
    async def demo_removal(self, request: Request) -> Response:
        """Says what would go; pressed, it goes in the background."""
        self._need(request)
        if request.method == "POST":
            await posted_form(request)
            async with db.unit() as session:
                if await demo.loaded(session) and not await _going(session):
                    await enqueue(session, "demo.remove")
            return RedirectResponse(f"{URL}/demo", 303)
        async with self.frame(request, title=gettext("Demo data"), current="configuration") as (session, around):
            around["crumbs"] = _crumbs(gettext("Demo data"))
            context = await self._removal(session)
            return packed(request, page("sqladmin/demo.html", frame=around, **context))

    @login_required
    async def demo_progress(self, request: Request) -> Response:
        self._need(request)
        async with db.reads() as session:
            context = await self._removal(session)
        return HTMLResponse(page("sqladmin/demo_state.html", **context))

    async def _removal(self, session: AsyncSession) -> dict[str, Any]:
        going, report = await _going(session), setting(DEMO_REPORT)
        latest = await session.scalar(select(Job).where(Job.name == "demo.remove").order_by(Job.id.desc()).limit(1))
        nouns = select(ExternalRef.noun, func.count()).where(ExternalRef.source == demo.SOURCE)
        counts: dict[str, int] = {row[0]: row[1] for row in await session.execute(nouns.group_by(ExternalRef.noun))}
        names = {view.identity: str(view.name_plural) for view in self.screens}
        progress = None
        if going is not None:
            progress = work(
                label=gettext("Demo data"), url=f"{URL}/demo", state=going.state, going=True, done=going.done,
                total=going.total,
            )  # fmt: skip
        ended = going is None and latest is not None
        told = report if ended and latest is not None and latest.state is JobState.DONE else None
        return {
            "progress": progress,
            "counts": [(names[noun], show_number(n)) for noun, n in counts.items() if noun in names],
            "loaded": bool(counts),
            "failed": latest.error if ended and latest and latest.state is JobState.FAILED else "",
            "removed": [(names[n], show_number(c)) for n, c in told["counts"].items() if n in names] if told else [],
            "kept": told["kept"] if told else [], "done": told is not None,
        }  # fmt: skip


def _large(data: bytes, found: Differences) -> bool:
    return len(data) > AT_ONCE or len(found.changes) > MANY


def _crumbs(here: str) -> list[dict[str, Any]]:
    return [{"label": gettext("Configuration"), "url": URL}, {"label": here, "url": None}]


async def _going(session: AsyncSession) -> Job | None:
    busy = select(Job).where(Job.name == "demo.remove", Job.state.in_((JobState.DUE, JobState.RUNNING)))
    return await session.scalar(busy.limit(1))


def _shown(change: Change) -> dict[str, Any]:
    words = {"create": gettext("new"), "change": gettext("changes"), "remove": gettext("goes")}
    return {
        "section": gettext(change.section.label), "label": change.label, "action": words[change.action],
        "kind": {"create": "info", "change": "", "remove": "bad"}[change.action],
        "fields": applying.told(change) if change.action == "change" else [],
    }  # fmt: skip


def modules_form(posted: Any = None) -> AppForm:
    fields = {
        m.name: BooleanField(gettext(m.label), description=gettext(m.about), render_kw={"class": "switch"})
        for m in modules.MODULES.values()
    }
    return cast(AppForm, type("ModulesForm", (AppForm,), fields)(posted, **modules.chosen()))
