"""Small things that a screen may say of a row and that are nothing by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import ColumnElement

from app.observe import actor

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from starlette.requests import Request
    from wtforms import Form

    from admin_views.base.plan import Plan
    from admin_views.base.related import Related


class Hooks:
    """Part of `AppView`; a screen overrides what it has to say."""

    model: Any
    bulk: ClassVar[tuple[str, ...]] = ()
    """Fields of the form that can be changed on many rows at once, by the verbs of app/domain/bulk/kinds.py."""
    export_more: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """What an export can tell besides the columns: (key, label, screen whose list one has to be allowed to see)."""
    own: ClassVar[bool] = False
    """Everybody sees this screen, and of its rows those that they have begun themselves (`staff_id`)."""
    in_place: ClassVar[tuple[str, ...]] = ()
    """Fields of a dictionary that are changed in its list, and asked for where a look-up offers a new row."""
    more_grants: ClassVar[Mapping[str, str]] = {}
    """What roles can grant here besides the usual and the buttons: action -> label."""

    def mine(self) -> list[ColumnElement[bool]]:
        """What an `own` screen asks of a row wherever one is looked for."""
        return [self.model.staff_id == actor.get().staff_id] if self.own else []

    def tags(self, obj: Any) -> list[dict[str, Any]]:
        return []

    def responsible(self, obj: Any) -> str | None:
        return None

    def links(self, plan: Plan, obj: Any) -> list[tuple[Any, ...]]:
        return []  # what stands among the buttons of the card and only leads somewhere: as `lists.Offer`

    def instead(self, request: Request, obj: Any) -> dict[str, str] | None:
        return None  # {label, url} of what is offered where deleting this row is refused

    def elsewhere(self, obj: Any) -> str | None:
        return None  # the address of the card that stands for this one

    def editable(self, obj: Any) -> bool:
        return True  # whether the row may be edited as it is; `save` checks again

    async def form_context(self, session: AsyncSession, obj: Any, form: Form) -> dict[str, Any]:
        """More for the template of the form."""
        return {}

    async def attached(self, session: AsyncSession, obj: Any) -> list[Mapping[str, Any]]:
        """What is deleted along with it: [{label, n, url}]."""
        return []

    def hue(self, obj: Any) -> int | None:
        return getattr(obj, "hue", None)

    async def strip(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        """At most five figures: [{label, value, note}]."""
        return []

    async def side(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        return []

    async def tab_sections(
        self, session: AsyncSession, obj: Any, request: Request, tab: Related
    ) -> list[dict[str, Any]]:
        """What stands below the list of a tab."""
        return []

    async def card_context(self, session: AsyncSession, obj: Any, request: Request) -> dict[str, Any]:
        """More for the template of the card, such as the progress of a campaign."""
        return {}
