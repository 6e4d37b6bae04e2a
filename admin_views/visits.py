"""Visits: who of staff was inside whose account, when, why, and what was changed meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, func, select

from admin_views.access import granted
from admin_views.base import AppView
from admin_views.base.cells import esc, moment
from admin_views.base.plan import Column, Plan
from app.db import utcnow
from app.domain.impersonation import UNCHANGING
from app.domain.sessions import Grants
from app.i18n import _, gettext, ngettext, show_number
from app.models.audit import ActorKind, Audit
from app.models.sessions import LoginSession


def _changes() -> ColumnElement[Any]:
    """How many changes stand in the audit from the time of the visit."""
    found = select(func.count()).where(
        Audit.customer_id == LoginSession.customer_id, Audit.staff_id == LoginSession.staff_id,
        Audit.at >= LoginSession.created_at, Audit.at <= func.coalesce(LoginSession.ended_at, LoginSession.expires_at),
        Audit.kind == ActorKind.STAFF, Audit.action.not_in(UNCHANGING),
    )  # fmt: skip
    return found.correlate(LoginSession).scalar_subquery()


def _plain(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _changed(visit: Any) -> str:
    if not visit.changes:
        return f'<span class="faint">{esc(gettext("nothing"))}</span>'
    end = visit.ended_at or visit.expires_at
    query = urlencode({
        "staff.in": visit.staff_id, "customer.in": visit.customer_id,
        "at.from": _plain(visit.created_at), "at.until": _plain(end),
    })  # fmt: skip
    said = ngettext("%(n)s entry", "%(n)s entries", visit.changes) % {"n": show_number(visit.changes)}
    return f'<a href="/admin/audit/list?{esc(query)}">{esc(said)}</a>'


CHANGED = Column("changes", _("Changed meanwhile"), "lesser", None, _changed, stored=False)


class Visits(AppView, model=LoginSession):
    name, name_plural, icon, category = _("Visit by staff"), _("Visits by staff"), "eye", "Configuration"
    purpose = _("Who of you was inside whose account, and why.")
    readonly = True
    can_create = can_edit = can_delete = can_view_details = False
    columns = ("created_at", "customer_id", "staff_id", "reason", "may_act", "ended_at")
    needs = ("staff_id", "customer_id", "created_at", "ended_at", "expires_at")

    def _plan(self, grants: Grants) -> Plan:
        """With what was changed, for those who may read the audit."""
        plan = super()._plan(grants)
        return replace(plan, columns=(*plan.columns, CHANGED)) if granted(grants, "audit", "list") else plan

    def computed(self) -> dict[str, ColumnElement[Any]]:
        return {"changes": _changes()}

    @staticmethod
    def cell_ended_at(visit: Any) -> str:
        """Nobody ends a visit whose time is over: then that is its end."""
        if visit.ended_at is None and visit.expires_at > utcnow():
            return esc(gettext("not yet"))
        return moment(visit.ended_at or visit.expires_at)
