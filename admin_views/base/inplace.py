"""Dictionaries changed where they stand: a few fields of a row, in its list or beside a look-up.

A screen says ``in_place = ("name", "hue")``. Two buttons come of it: "place" changes a row, "add" makes one. Without
scripts each is a page of its own; place.js asks for the form alone (`PART`: "place") and puts it where it belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import JSONResponse
from wtforms import HiddenField

from admin_views.base.buttons import Button, Done, Flow, Press
from admin_views.base.fields import AppForm, ListField, LookupField
from admin_views.base.plan import plan_of
from app.errors import Conflict
from app.i18n import _, gettext

if TYPE_CHECKING:
    from admin_views.base.screen import AppView

ASKED = "place"
"""What place.js asks for instead of the page."""
HEADER = "x-fragment"


def asked_for(request: Request) -> bool:
    return request.headers.get(HEADER) == ASKED


class PlaceFlow(Flow):
    """The fields that the screen names, of the row that is pressed. new: of one that is not there yet."""

    def __init__(self, *, new: bool = False) -> None:
        self.needs_rows = not new  # type: ignore[misc]
        self.new = new

    def _row(self, press: Press) -> Any:
        return None if self.new else press.one

    async def _start(self, press: Press) -> tuple[type[AppForm], dict[str, Any]]:
        """The whole form of the row, and what stands in it now."""
        view, obj = press.view, self._row(press)
        kind = await view.form_class(press.session, obj)
        return kind, {**(view.form_data(obj) if obj is not None else {}), **await view.initial(press.session, obj)}

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        kind, start = await self._start(press)
        rest = {f.name: None for f in cast("Iterable[Any]", kind()) if f.name not in press.view.in_place}
        small = type(f"Place{press.view.model.__name__}", (kind,), {**rest, "version": HiddenField()})
        version = press.view.version_of(self._row(press)) if not self.new else None
        made = cast(Any, small(posted) if posted is not None else small(data={**start, "version": version}))
        for field in made:  # the page around it may have fields of the same names
            field.id = field.label.field_id = f"place-{field.name}"
        return cast(AppForm, made)

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        view, obj = press.view, self._row(press)
        if obj is not None and str(view.version_of(obj) or "") != str(form.data["version"] or ""):
            raise Conflict(_("Somebody else has changed this meanwhile. Open it again."))
        kind, start = await self._start(press)
        whole = cast(Any, kind(data=start))
        for field in whole:
            if field.name in view.in_place:
                field.data = form.data[field.name]
            elif field.data is None and (isinstance(field, ListField) or getattr(field, "multiple", False)):
                field.data = []
        obj = await view.save(session, obj, view.values(whole))
        said = gettext("Saved.") if not self.new else gettext("%(name)s is added.") % {"name": view.lookup_label(obj)}
        if asked_for(press.request):
            made = JSONResponse({"id": str(view.pk_of(obj)), "text": view.lookup_label(obj), "said": said})
            return Done(said, response=made)
        return Done(said, url=view.list_url)


PLACE = Button("place", _("Edit here"), "pencil", on=frozenset({"row"}), flow=PlaceFlow(), grant="edit",
               submit=_("Save"))  # fmt: skip
ADD = Button("add", _("Add"), "plus", on=frozenset(), flow=PlaceFlow(new=True), grant="create", submit=_("Add"))
BUTTONS = (PLACE, ADD)


def add_url(view: AppView) -> str:
    return ADD.url(view.identity)


def offer_new(request: Request, find: Callable[[str], AppView], form: Any) -> None:
    """Look-ups of a form in which a row of a dictionary is chosen say where a new one is made, to who may do that."""
    for field in form:
        if not isinstance(field, LookupField):
            continue
        view = next((v for v in (find(field.target),) if v.in_place), None)
        if view is not None and plan_of(request, view).may_create:
            field.add_url, field.add_label = add_url(view), gettext("New: %(noun)s") % {"noun": view.name}
