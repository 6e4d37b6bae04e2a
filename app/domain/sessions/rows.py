"""The session rows: making them, reading who a token stands for, ending them."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, String, cast, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app import db
from app.db import utcnow
from app.errors import AppError
from app.models import audit
from app.models.config import ConfigVersion
from app.models.customers import Customer, CustomerStatus
from app.models.projects import Project
from app.models.sessions import LoginSession, SessionKind
from app.models.staff import Grant, Staff, StaffProject, StaffRole
from app.models.users import Right, User, UserCustomer, UserRole

STAFF_IDLE = timedelta(hours=12)
TOUCH_EVERY = timedelta(minutes=1)


Grants = frozenset[tuple[str, str]]
"""(screen, action) pairs; ``*`` stands for every one."""


@dataclass(frozen=True)
class SessionView:
    """A living session and what each request needs of it. For a visit, staff and customer are both set."""

    id: int
    kind: SessionKind
    expires_at: datetime
    last_seen_at: datetime
    staff_id: int | None = None
    staff_name: str = ""
    grants: Grants = frozenset()
    projects: frozenset[int] | None = None
    user_id: int | None = None
    user_name: str = ""
    role: UserRole | None = None
    rights: frozenset[Right] = frozenset()
    customer_id: int | None = None
    customer_name: str = ""
    project_id: int | None = None
    project_name: str = ""
    project_hue: int = 1
    language: str = ""
    timezone: str = ""
    theme: str = ""
    density: str = ""
    shortcuts: bool = True
    seen_at: datetime | None = None
    parent_id: int | None = None
    reason: str = ""
    may_act: bool = False
    config: int = 0
    """The version of the configuration (`app.domain.config.live`)."""

    @property
    def is_visit(self) -> bool:
        return self.kind is SessionKind.VISIT


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


OWN = frozenset({("bulk_run", "list"), ("bulk_run", "details")})
"""Everybody may look at what they have begun themselves; the screen shows nothing else."""


def granted(grants: Grants, screen: str, action: str) -> bool:
    """Whether these grants allow `action` on `screen`."""
    if (screen, action) in OWN:
        return True
    return (screen, action) in grants or (screen, "*") in grants or ("*", action) in grants or ("*", "*") in grants


def _alive(row: Any, now: datetime) -> bool:
    if row.ended_at is not None or row.expires_at <= now:
        return False
    return row.kind is not SessionKind.STAFF or row.last_seen_at > now - STAFF_IDLE


async def _living() -> Select[Any]:
    """A session by its token, with the person of staff, their grants and their limits: asked at every request."""
    grants = (
        select(func.aggregate_strings(Grant.screen + " " + Grant.action, "\n"))
        .join(StaffRole, StaffRole.role_id == Grant.role_id)
        .where(StaffRole.staff_id == LoginSession.staff_id)
        .scalar_subquery()
    )
    limits = (
        select(func.aggregate_strings(cast(StaffProject.project_id, String), " "))
        .where(StaffProject.staff_id == LoginSession.staff_id)
        .scalar_subquery()
    )
    version = select(ConfigVersion.version).scalar_subquery()
    row = LoginSession.__table__.c
    columns = [row[name] for name in row.keys() if name not in ("token_hash", "ip", "agent")]  # noqa: SIM118
    staff = [
        Staff.username, Staff.full_name, Staff.enabled, Staff.language, Staff.timezone,
        Staff.theme, Staff.density, Staff.shortcuts, Staff.seen_at,
    ]  # fmt: skip
    return (
        select(*columns, *staff, grants.label("grants"), limits.label("limits"), version.label("config"))
        .select_from(LoginSession)
        .outerjoin(Staff, Staff.id == LoginSession.staff_id)
        .where(LoginSession.token_hash == db.given("token", String()))
    )


@lru_cache(maxsize=256)
def _grants(text: str) -> Grants:
    return frozenset((screen, action) for screen, _space, action in (line.partition(" ") for line in text.split("\n")))


async def session_of(token: str) -> SessionView | None:
    """The living session of a token; None when it ended, expired, idled out, or its person may not sign in any more."""
    if not 20 <= len(token) <= 100:
        return None
    now = utcnow()
    async with db.reads() as session:
        row = next(iter(await db.ask(session, "session", _living, token=token_hash(token))), None)
        if row is None or not _alive(row, now):
            return None
        view = SessionView(
            id=row.id, kind=row.kind, expires_at=row.expires_at, last_seen_at=row.last_seen_at,
            parent_id=row.parent_id, reason=row.reason, may_act=row.may_act,
            config=row.config or 0,
        )  # fmt: skip
        if row.kind is SessionKind.STAFF:
            return _with_staff(view, row)
        customer = await session.scalar(
            select(Customer)
            .where(Customer.id == row.customer_id)
            .options(joinedload(Customer.project))
            .execution_options(unscoped=True)
        )
        if (found := _with_customer(view, customer)) is None:
            return None
        if row.kind is SessionKind.CLIENT:
            user = await session.scalar(select(User).where(User.id == row.user_id).execution_options(unscoped=True))
            return await _with_user(session, found, user, customer)
        return await _with_visit(session, found, row, now)


async def shut_project(token: str) -> int | None:
    """The project of a session of a customer's user that would live if this project were not switched off."""
    if not 20 <= len(token) <= 100:
        return None
    async with db.reads() as session:
        found: int | None = await session.scalar(
            select(Project.id)
            .join(Customer, Customer.project_id == Project.id)
            .join(LoginSession, LoginSession.customer_id == Customer.id)
            .where(
                LoginSession.token_hash == token_hash(token), LoginSession.kind == SessionKind.CLIENT,
                LoginSession.ended_at.is_(None), LoginSession.expires_at > utcnow(), Project.enabled.is_(False),
            )
            .execution_options(unscoped=True)
        )  # fmt: skip
        return found


def _with_staff(view: SessionView, row: Any) -> SessionView | None:
    if row.staff_id is None or not row.enabled:
        return None
    return replace(
        view, staff_id=row.staff_id, staff_name=row.full_name or row.username,
        grants=_grants(row.grants) if row.grants else frozenset(),
        projects=frozenset(map(int, row.limits.split())) if row.limits else None,
        language=row.language, timezone=row.timezone,
        theme=row.theme, density=row.density, shortcuts=row.shortcuts, seen_at=row.seen_at,
    )  # fmt: skip


def _with_customer(view: SessionView, customer: Customer | None) -> SessionView | None:
    if customer is None or customer.status is CustomerStatus.CLOSED or not customer.project.enabled:
        return None
    project = customer.project
    return replace(
        view, customer_id=customer.id, customer_name=customer.name, project_id=project.id, project_name=project.name,
        project_hue=project.hue, language=customer.language or project.default_language, timezone=customer.timezone,
    )  # fmt: skip


async def _with_user(
    session: AsyncSession, view: SessionView, user: User | None, customer: Customer | None
) -> SessionView | None:
    if user is None or customer is None or not user.enabled:
        return None
    link = await session.get(UserCustomer, (user.id, customer.id), options=[joinedload(UserCustomer.own_role)])
    if link is None:
        return None
    return replace(
        view, user_id=user.id, user_name=str(user), role=link.role, rights=link.rights,
        language=user.language or view.language,
    )  # fmt: skip


async def _with_visit(session: AsyncSession, view: SessionView, row: Any, now: datetime) -> SessionView | None:
    parent = await session.scalar(
        select(LoginSession).where(LoginSession.id == row.parent_id).execution_options(unscoped=True)
    )
    if parent is None or not _alive(parent, now) or parent.staff_id != row.staff_id:
        return None
    seen = _with_staff(view, row)
    if seen is None or not granted(seen.grants, "customer", "action:enter"):
        return None
    if seen.projects is not None and view.project_id not in seen.projects:
        return None
    return replace(seen, may_act=row.may_act and granted(seen.grants, "customer", "action:act"))


async def touch(view: SessionView) -> None:
    """Note that the session is used, at most once a minute. One of the few writes that a GET may cause."""
    now = utcnow()
    if view.last_seen_at > now - TOUCH_EVERY:
        return
    ids = [view.id] + ([view.parent_id] if view.parent_id else [])  # a visit keeps its staff session awake
    async with db.unit() as session:
        await session.execute(
            update(LoginSession)
            .where(LoginSession.id.in_(ids), LoginSession.ended_at.is_(None))
            .values(last_seen_at=now)
            .execution_options(audited=True, synchronize_session=False)
        )


# ---- making and ending them ------------------------------------------------------------------------------------


async def note(
    session: AsyncSession,
    action: str,
    noun: str,
    noun_id: int | None,
    changes: dict[str, Any],
    *,
    customer_id: int | None = None,
    reason: str = "",
) -> None:
    """An audit row in the running transaction."""  # fmt: skip
    await session.run_sync(
        lambda s: audit.write(s, action, noun, noun_id, changes, customer_id=customer_id, note=reason)
    )


async def open_session(session: AsyncSession, *, life: timedelta, **columns: Any) -> tuple[int, str]:
    """Insert a session row. Returns its id and the token, which is kept nowhere else. The caller writes the audit."""
    token, now = secrets.token_urlsafe(32), utcnow()
    made = await session.execute(
        insert(LoginSession)
        .values(
            token_hash=token_hash(token), last_seen_at=now, created_at=now, **({"expires_at": now + life} | columns)
        )
        .returning(LoginSession.id)
        .execution_options(audited=True)
    )
    return made.scalar_one(), token


async def end(session: AsyncSession, *conditions: Any) -> list[int]:
    """End the living sessions that match, and the visits that hang on them."""
    living = select(LoginSession.id).where(LoginSession.ended_at.is_(None), *conditions)
    ids = list((await session.scalars(living.execution_options(unscoped=True))).all())
    if ids:
        await session.execute(
            update(LoginSession)
            .where(or_(LoginSession.id.in_(ids), LoginSession.parent_id.in_(ids)), LoginSession.ended_at.is_(None))
            .values(ended_at=utcnow())
            .execution_options(audited=True, synchronize_session=False)
        )
    return ids


async def sign_out(session: AsyncSession, *, view: SessionView) -> None:
    """End this session and the visits that hang on it."""
    await end(session, LoginSession.id == view.id)
    noun, noun_id = ("staff", view.staff_id) if view.kind is SessionKind.STAFF else ("user", view.user_id)
    await note(session, "sign_out", noun, noun_id, {"session": [view.id, None]})


async def living_of_staff(session: AsyncSession, *, staff_id: int) -> list[LoginSession]:
    """The sessions in which a staff member is signed in now, the one used last first; without visits."""
    now = utcnow()
    rows = await session.scalars(
        select(LoginSession)
        .where(
            LoginSession.staff_id == staff_id, LoginSession.ended_at.is_(None),
            LoginSession.kind == SessionKind.STAFF, LoginSession.expires_at > now,
            LoginSession.last_seen_at > now - STAFF_IDLE,
        )
        .order_by(LoginSession.last_seen_at.desc(), LoginSession.id.desc())
    )  # fmt: skip
    return list(rows)


async def end_sessions_of(
    session: AsyncSession, *, staff_id: int | None = None, user_id: int | None = None, keep: int | None = None
) -> int:
    """End every session of a staff member or a user (and visits that hang on them), but `keep`. Returns how many."""
    if (staff_id is None) == (user_id is None):
        raise AppError("name either a staff member or a user")
    whose = LoginSession.staff_id == staff_id if staff_id is not None else LoginSession.user_id == user_id
    conditions = [whose, LoginSession.id != keep] if keep is not None else [whose]
    if keep is not None and staff_id is not None:
        conditions.append(or_(LoginSession.parent_id.is_(None), LoginSession.parent_id != keep))
    ids = await end(session, *conditions)
    if ids:
        noun, noun_id = ("staff", staff_id) if staff_id is not None else ("user", user_id)
        await note(session, "sessions_ended", noun, noun_id, {"sessions": [ids, None]})
    return len(ids)
