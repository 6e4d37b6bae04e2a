"""Names: what columns, screens and headings of the menu are called, per language."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from admin_views import headings
from admin_views.base import AppForm, AppView, Button, Done, Flow, Press
from admin_views.base.cells import esc
from admin_views.base.frame import GROUPS, HOME, MENU
from admin_views.base.screen import BUTTON, CREATE, MANY, ONE
from app import filters
from app.domain import labels
from app.domain.sessions import Grants
from app.errors import AppError, Forbidden, Invalid, NotFound
from app.i18n import HEADING, LANGUAGES, Named, _, gettext, ngettext, speaking
from app.models.labels import Label
from app.observe import actor

EVERYTHING: Grants = frozenset({("*", "*")})
PREFIX = "text:"
"""Before item and language in the name of an input."""


@lru_cache
def screens() -> dict[str, AppView]:
    """All screens, in the order of the menu."""
    from admin_views.screens import SCREENS

    return {kind.identity: kind() for kind in SCREENS}


def items_of(screen: str) -> dict[str, Named]:
    """What can be renamed of a screen: its own names, every column, what else its filter knows, its buttons, and the
    headings of its forms and cards. Raises NotFound."""
    if screen == MENU:
        return {label.item: label for label in (HOME[0], *GROUPS) if isinstance(label, Named)}
    view = screens().get(screen)
    if view is None:
        raise NotFound
    plan = view.plan(EVERYTHING)
    columns = [c.label for c in plan.offered]
    known = [view.name_plural, view.name, *columns, *(f.label for f in filters.fields(view.model).values())]
    known += [view.create_named] if plan.may_create else []
    known += [*(b.label for b in view.all_buttons()), *headings.of(view, plan)]
    return {label.item: label for label in known if isinstance(label, Named)}


def screen_name(screen: str) -> str:
    view = screens().get(screen)
    return gettext("Menu") if screen == MENU else str(view.name_plural) if view is not None else screen


def _said(item: str, label: Named) -> str:
    if item == ONE:
        return gettext("The screen, one of its rows")
    if item.startswith(BUTTON) or item == CREATE:
        return gettext("Button: %(name)s") % {"name": label.original()}
    if item.startswith(HEADING):
        return gettext("Heading: %(name)s") % {"name": label.original()}
    return gettext("The screen") if item == MANY else label.original()


class NamesFlow(Flow):
    """All names of one screen, in every language."""

    template = "sqladmin/names.html"
    needs_rows: ClassVar[bool] = False

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        posted = await press.request.form() if press.request.method == "POST" else {}
        screen = str(posted.get("screen") or press.request.query_params.get("screen") or "customer")
        items, own = items_of(screen), await labels.own_names(press.session, screen)
        usual = {}
        for code in LANGUAGES:
            with speaking(code):
                usual[code] = {item: label.original() for item, label in items.items()}
        return {
            "screen": screen,
            "url": press.button.url(press.view.identity),
            "screens": [(MENU, screen_name(MENU)), *((name, screen_name(name)) for name in screens())],
            "names": [
                {
                    "label": _said(item, label),
                    "texts": [
                        {
                            "name": (name := f"{PREFIX}{item}:{code}"),
                            "code": code,
                            "language": language_name,
                            "usual": usual[code][item],
                            "text": str(posted.get(name, own.get((item, code), ""))),
                        }
                        for code, language_name in LANGUAGES.items()
                    ],
                }
                for item, label in items.items()
            ],
        }

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> Done:
        posted = await press.request.form()
        screen, texts = str(posted.get("screen", "")), {}
        known = items_of(screen)
        for name, text in posted.multi_items():
            if name.startswith(PREFIX):
                item, _colon, code = name.removeprefix(PREFIX).rpartition(":")
                if item not in known or code not in LANGUAGES:
                    raise AppError(_("The form has a name that this screen does not have."), 400)
                texts[item, code] = str(text)
        try:
            n = await labels.rename_screen(session, screen=screen, texts=texts)
        except Invalid as problem:
            bad = ", ".join(str(known[name.rpartition(":")[0]]) for name in problem.fields)
            raise AppError(f"{bad}: {problem}", 422) from None
        said = ngettext("%(n)s name is changed.", "%(n)s names are changed.", n) % {"n": n}
        return Done(said, url=f"{press.button.url(press.view.identity)}?all=1&screen={screen}")


class Names(AppView, model=Label):
    name, name_plural, icon, category = _("Own name"), _("Names"), "language", "Configuration"
    purpose = _(
        "What columns, screens, buttons and headings are called here, where that differs from what Bursar calls them."
    )
    leave_out = ("screen", "item", "language")
    can_create = False
    buttons = (
        Button(
            "rename", _("Change names"), "pencil", on=frozenset({"head"}), flow=NamesFlow(), grant="edit", primary=True,
            lede=_("An empty field keeps the usual name, which stands in it in grey."), submit=_("Save"),
        ),
    )  # fmt: skip

    @staticmethod
    def cell_screen(obj: Any) -> str:
        return esc(screen_name(obj.screen))

    @staticmethod
    def cell_item(obj: Any) -> str:
        known = items_of(obj.screen) if obj.screen == MENU or obj.screen in screens() else {}
        return esc(_said(obj.item, known[obj.item]) if obj.item in known else obj.item)

    async def refusals(self, session: AsyncSession, obj: Any) -> list[str]:
        return [] if actor.get().projects is None else [str(Forbidden())]

    async def save(self, session: AsyncSession, obj: Any, values: dict[str, Any]) -> Any:
        await labels.change_label(session, label=obj, text=values["text"] or "")
        return obj
