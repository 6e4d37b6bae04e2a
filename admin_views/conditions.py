"""What the builder of conditions asks while it is used: the fields, how many match, and why one row is in or out."""

from __future__ import annotations

import json
from typing import Any

from sqladmin.authentication import login_required
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from admin_views.base.asked import Asked
from admin_views.base.conditions import FEW, catalogue, checked, names_in, why
from admin_views.base.listing import count, parse_ids, total_text
from admin_views.base.panel import PanelBase, posted_form
from admin_views.base.plan import plan_of
from app import db, filters
from app.errors import NotFound
from app.i18n import gettext


class Conditions(PanelBase):
    @login_required
    async def fields(self, request: Request) -> Response:
        """What rows of the screen can be filtered by, and the words of the builder."""
        view = self.find(request.path_params["identity"])
        return JSONResponse({"fields": catalogue(view.model), "words": words(), "few": FEW})

    @login_required
    async def condition(self, request: Request) -> Response:
        """A condition in words, how many rows match, the names of what it speaks of, and with `pk` why that row is in
        or out. It reads only; a POST, because a condition is longer than an address may be."""
        view = self.find(request.path_params["identity"])
        posted = await posted_form(request)
        plan, told = plan_of(request, view), dict[str, Any](said="", match="", problem=None, names={})
        try:
            data: Any = filters.loads(str(posted.get("condition", "")) or "null")
        except filters.FilterProblem as problem:
            return JSONResponse({**told, "problem": {"path": "", "text": problem.reason}})
        async with db.reads() as session:
            named = await names_in(session, data, view.model, lambda m: self.names_are_known(request, m))
            told["names"] = {m.__tablename__: {str(i): n for i, n in of.items()} for m, of in named.items()}
            try:
                if data is None or (wanted := checked(data, view.model)) is None:
                    return JSONResponse(told)
                condition = filters.parse(data, view.model)
                told["said"] = filters.say(condition, view.model, named)
                if not plan.may("list"):
                    return JSONResponse(told)
                if pk := parse_ids(str(posted.get("pk", ""))):
                    told["why"] = await why(session, condition, view, pk[0], named)
                else:
                    asked = Asked(filter_params=(("filter", json.dumps(wanted)),), condition=condition)
                    n, capped = await count(session, plan, asked)
                    told["match"] = gettext("%(number)s match") % {"number": total_text(n, capped)}
            except filters.FilterProblem as problem:
                told["problem"] = {"path": problem.path, "text": problem.reason}
            except NotFound:
                told["why"] = {"in": False, "lines": []}
            except DBAPIError as error:
                if not db.took_too_long(error):
                    raise
                told["match"] = gettext("This takes too long to count.")
        return JSONResponse(told)


def words() -> dict[str, str]:
    """What the builder says."""
    return {
        "all": gettext("All of these"), "any": gettext("At least one of these"), "none": gettext("None of these"),
        "join": gettext("How the conditions of this group go together"), "add": gettext("Add a condition"),
        "addGroup": gettext("Add a group"), "remove": gettext("Remove this condition"),
        "removeGroup": gettext("Remove this group"), "field": gettext("Field"), "op": gettext("Comparison"),
        "value": gettext("Value"), "low": gettext("From"), "high": gettext("To"), "choose": gettext("Choose a field"),
        "condition": gettext("Condition {n}"), "where": gettext("of which"),
        "number": gettext("How many"), "yes": gettext("Yes"), "no": gettext("No"), "find": gettext("Find"),
        "nothing": gettext("Nothing found"), "more": gettext("Go on typing to see fewer."),
        "when": gettext("Kind of date"), "day": gettext("A day"), "moment": gettext("A moment"),
        "today": gettext("Today"), "yesterday": gettext("Yesterday"), "tomorrow": gettext("Tomorrow"),
        "now": gettext("Now"), "ago": gettext("Some time ago"), "ahead": gettext("In some time"),
        "unit": gettext("Unit"), "h": gettext("hours"), "d": gettext("days"), "w": gettext("weeks"),
        "m": gettext("months"), "y": gettext("years"), "text": gettext("Edit as text"),
        "rows": gettext("Edit as conditions"), "broken": gettext("This text cannot be shown as conditions."),
        "failed": gettext("This could not be loaded. Please try again."), "removed": gettext("Removed"),
        "in": gettext("Included"), "out": gettext("Not included"), "unseen": gettext("You cannot see this one."),
        "takeOut": gettext("Remove {name}"),
    }  # fmt: skip
