"""Buttons: everything that a screen can do besides create and edit, as data.

One route, ``/{identity}/action/{slug}``: GET shows the form or the confirmation, POST runs one verb in one unit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from admin_views.base.fields import AppForm
from app.errors import Invalid
from app.i18n import _, gettext

if TYPE_CHECKING:
    from admin_views.base.asked import Asked
    from admin_views.base.screen import AppView

MOST_OBJECTS = 1000
"""A verb gets at most so many rows at once; what may concern more carries the filter and works in the background."""


PLACES = ("head", "row", "selection", "card")


@dataclass(frozen=True)
class Done:
    """What happened, for the flash; where to go next (default: back)."""

    message: str
    url: str | None = None
    kind: str = "ok"
    response: Response | None = None
    """The answer itself, in place of going somewhere: a file."""


@dataclass
class Press:
    """One press of a button: on which screen, by whom, on which rows."""

    request: Request
    view: AppView
    button: Button
    session: AsyncSession
    pks: tuple[int, ...]
    asked: Asked | None
    """Set when the button is for all that match the list's filter instead of chosen rows."""
    objects: list[Any] = field(default_factory=list)
    look: str = ""
    """Set when the form is not sent but looked at: what for."""
    said: str = ""
    """What happened while it was looked at, for the page."""
    query: str = ""
    """Chosen rows: how the list looked where they were chosen, as its address says it."""

    @property
    def one(self) -> Any:
        """The only row; Invalid when there are several or none."""
        if len(self.objects) != 1:
            raise Invalid(_("Choose exactly one."))
        return self.objects[0]

    @property
    def hidden(self) -> dict[str, Any]:
        """What the form carries along, so that the POST means the same rows."""
        if self.asked is not None:
            return {"all": "1", "query": self.asked.complete()}
        return {"pks": ",".join(map(str, self.pks)), **({"query": self.query} if self.query else {})}


Verb = Callable[..., Awaitable[str | Done]]


class Flow:
    """What a button shows and does. The usual one: a form, then ``verb(session, objects, **form data)``."""

    template: ClassVar[str] = "sqladmin/form.html"
    form: type[AppForm] = AppForm
    look_template: ClassVar[str] = ""
    """The part of the page that a script asks for while the form is filled in."""
    needs_rows: ClassVar[bool] = True

    async def build(self, press: Press, posted: Any = None) -> AppForm:
        """The form, empty or with what was posted."""
        kind = press.button.form or self.form
        return kind(posted)

    def groups(self, press: Press, form: AppForm) -> list[dict[str, Any]]:
        return [{"label": None, "help": None, "fields": [f.name for f in form], "more": False}]

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        """More for the template."""
        return {}

    async def confirm(self, press: Press, form: AppForm) -> dict[str, Any] | None:
        """What to confirm before it is done (see sqladmin/form.html), or None. Raises Invalid to go back."""
        return None

    async def before(self, press: Press, form: AppForm) -> None:
        """After a POST, also of a form with mistakes, before the confirmation: work in a unit of its own, such as
        storing uploads, which a browser cannot show again."""

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str | Done:
        verb = press.button.verb
        assert verb is not None
        return await verb(session, press.objects, **form.data)


@dataclass(frozen=True)
class Button:
    """A thing to do. `on`: any of `PLACES`; "head" needs no rows. The grant is ``(screen, "action:" + slug)`` unless
    `grant` names another action."""

    slug: str
    label: str
    icon: str
    on: frozenset[str] = frozenset({"row", "card"})
    verb: Verb | None = None
    form: type[AppForm] | None = None
    flow: Flow = field(default_factory=Flow)
    lede: str = ""
    submit: str = ""
    grant: str = ""
    grant_all: str = ""
    """The action to be granted besides for all that a list shows; a button in the head means that."""
    also: tuple[str, str] | None = None
    """(screen, action) that has to be granted besides."""
    primary: bool = False
    danger: bool = False
    more: bool = False
    shown: Callable[[Any], bool] | None = None
    """Whether the button makes sense for this row; the verb checks again."""

    @property
    def action(self) -> str:
        return self.grant or f"action:{self.slug}"

    def url(self, identity: str, pk: Any = None) -> str:
        return f"/admin/{identity}/action/{self.slug}" + (f"?pks={pk}" if pk is not None else "")


class DeleteFlow(Flow):
    """Deleting: says what is attached, and refuses with the reasons."""

    template = "sqladmin/delete.html"

    async def context(self, press: Press, form: AppForm) -> dict[str, Any]:
        attached: list[Mapping[str, Any]] = []
        refused: list[str] = []
        for obj in press.objects:
            attached += await press.view.attached(press.session, obj)
            refused += await press.view.refusals(press.session, obj)
        names = ", ".join(str(o) for o in press.objects[:5])
        if len(press.objects) > 5:
            names = gettext("%(names)s and %(n)s more") % {"names": names, "n": len(press.objects) - 5}
        one = press.objects[0] if len(press.objects) == 1 and refused else None
        instead = press.view.instead(press.request, one) if one is not None else None
        return {"record_label": names, "attached": attached, "refused": refused, "instead": instead}

    async def act(self, session: AsyncSession, press: Press, form: AppForm) -> str | Done:
        for obj in press.objects:
            await press.view.remove(session, obj)
        return Done(_("Deleted.") + "", url=press.view.list_url)


DELETE = Button(
    "delete",
    _("Delete"),
    "trash",
    on=frozenset({"card", "selection"}),
    flow=DeleteFlow(),
    grant="delete",
    danger=True,
    more=True,
    submit=_("Delete"),
)

Statement = Select[Any]
