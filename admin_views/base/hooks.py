"""Small things that a screen may say of a row and that are nothing by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from admin_views.base.plan import Plan


class Hooks:
    """Part of `AppView`; a screen overrides what it has to say."""

    in_place: ClassVar[tuple[str, ...]] = ()
    """Fields of a dictionary that are changed in its list, and asked for where a look-up offers a new row."""
    more_grants: ClassVar[Mapping[str, str]] = {}
    """What roles can grant here besides the usual and the buttons: action -> label."""

    def tags(self, obj: Any) -> list[dict[str, Any]]:
        return []

    def responsible(self, obj: Any) -> str | None:
        return None

    def links(self, plan: Plan, obj: Any) -> list[tuple[Any, ...]]:
        return []  # what stands among the buttons of the card and only leads somewhere: as `lists.Offer`

    def elsewhere(self, obj: Any) -> str | None:
        return None  # the address of the card that stands for this one

    def editable(self, obj: Any) -> bool:
        return True  # whether the row may be edited as it is; `save` checks again
