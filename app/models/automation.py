"""Automation: rules (when, if, then), what became of each event, and what has to be remembered between two looks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigId, Choice, Json, Name, Stamped, Versioned, about, choice, utcnow
from app.i18n import _
from app.models.customers import Customer, Group
from app.models.projects import Project
from app.models.staff import Staff


class Trigger(Choice):
    REGISTERED = "registered", _("A customer is registered")
    CHANGED = "changed", _("A field of a customer changes")
    JOINED = "joined", _("A customer joins a group")
    LEFT = "left", _("A customer leaves a group")
    EXPIRING = "expiring", _("A service expires soon")
    OVERDUE = "overdue", _("An invoice is overdue")
    BALANCE = "balance", _("A balance falls below an amount")
    WAITING = "waiting", _("A ticket waits for us")
    DAILY = "daily", _("Every day, at a time")


class RunState(Choice):
    DUE = "due", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    SKIPPED = "skipped", _("Left out")
    STOPPED = "stopped", _("Stopped")
    BROKEN = "broken", _("Broken")


class Rule(Base, Versioned, Stamped):
    """actions: [{"key", "kind", ...}] in their order; the key is the action's own and stays. names: table -> id -> the
    name of a row that condition or actions speak of, as it was when the rule was saved. zone: whose days and hours are
    meant. armed: which balances are below the amount is known, so that a fall is noticed; armed_upto: what was touched
    until then (an id) is part of it."""

    __tablename__ = "automation_rule"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    name: Mapped[str] = mapped_column(Name, unique=True, info=about(_("Name"), listed=True, searched=True, css="lead"))
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), index=True,
        info=about(_("Project"), listed=True, css="least", help=_("Empty: for all projects.")),
    )  # fmt: skip
    position: Mapped[int] = mapped_column(
        default=0, server_default="0",
        info=about(_("Position"), css="lesser num", help=_("What one event sets off happens in this order.")),
    )  # fmt: skip
    trigger: Mapped[Trigger] = mapped_column(
        choice(Trigger), default=Trigger.REGISTERED,
        info=about(_("What happens"), listed=True, css="sentence full", group=_("When")),
    )  # fmt: skip
    days: Mapped[int] = mapped_column(
        default=7, server_default="7",
        info=about(_("Days"), filtered=False, group=_("When"), when="trigger=expiring|overdue",
                   help=_("So long before a service expires, or after an invoice was due.")),
    )  # fmt: skip
    hours: Mapped[int] = mapped_column(
        default=24, server_default="24",
        info=about(_("Hours"), filtered=False, group=_("When"), when="trigger=waiting",
                   help=_("Since the customer has written.")),
    )  # fmt: skip
    amount: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0",
        info=about(_("Below"), filtered=False, widget="money", currency="currency", group=_("When"),
                   when="trigger=balance"),
    )  # fmt: skip
    currency: Mapped[str] = mapped_column(
        String(3), default="EUR", server_default="EUR",
        info=about(_("Currency"), filtered=False, widget="currency", group=_("When"), when="trigger=balance",
                   help=_("Accounts in this currency.")),
    )  # fmt: skip
    field: Mapped[str] = mapped_column(
        String(80), default="", server_default="",
        info=about(_("Field"), filtered=False, widget="watched", group=_("When"), when="trigger=changed"),
    )  # fmt: skip
    was: Mapped[str] = mapped_column(
        String(200), default="", server_default="",
        info=about(_("From"), filtered=False, group=_("When"), when="trigger=changed", help=_("Empty: any value.")),
    )  # fmt: skip
    becomes: Mapped[str] = mapped_column(
        String(200), default="", server_default="",
        info=about(_("To"), filtered=False, group=_("When"), when="trigger=changed", help=_("Empty: any value.")),
    )  # fmt: skip
    group_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer_group.id", ondelete="SET NULL"), index=True,
        info=about(_("Group"), filtered=False, group=_("When"), when="trigger=joined|left",
                   help=_("However they become a member: by hand, by its rule, by an import.")),
    )  # fmt: skip
    clock: Mapped[str] = mapped_column(
        String(5), default="09:00", server_default="09:00",
        info=about(_("Time of day"), filtered=False, widget="clock", group=_("When"), when="trigger=daily",
                   help=_("In your time zone, as it is now.")),
    )  # fmt: skip
    zone: Mapped[str] = mapped_column(String(64), default="UTC", server_default="UTC", info={"hidden": True})
    condition: Mapped[dict[str, Any] | None] = mapped_column(Json, info={"hidden": True})
    actions: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list, info={"hidden": True})
    names: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    enabled: Mapped[bool] = mapped_column(
        default=False, server_default=false(), index=True, info=about(_("In use"), listed=True, css="state")
    )
    enabled_at: Mapped[datetime | None] = mapped_column(info=about(_("In use since"), css="when"))
    armed: Mapped[bool] = mapped_column(default=False, server_default=false(), info={"hidden": True})
    armed_upto: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0", info={"hidden": True})
    secret: Mapped[str] = mapped_column(
        String(400), default="", server_default="", info=about(_("Secret of the webhook"), sensitive=True)
    )

    project: Mapped[Project | None] = relationship(lazy="raise")
    group: Mapped[Group | None] = relationship(lazy="raise")

    @property
    def group_name(self) -> str:
        """What the group was called when the rule was saved."""
        known: dict[str, str] = (self.names or {}).get("customer_group", {})
        return "–" if self.group_id is None else known.get(str(self.group_id), f"#{self.group_id}")

    def __str__(self) -> str:
        return self.name


class RuleRun(Base):
    """What became of one event under one rule. event: what happened; held: {"condition", "leaves": [[path, holds]]};
    done: key of an action -> {"state", "what", ...}. chain: the rules whose doing led to the event, "3,7"."""

    __tablename__ = "automation_run"
    __table_args__ = (
        UniqueConstraint("rule_id", "event_key"),
        Index("ix_automation_run_customer", "customer_id", "at"),
        Index("ix_automation_run_state", "state", "id"),
        Index("ix_automation_run_at", "at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    at: Mapped[datetime] = mapped_column(default=utcnow, info=about(_("When"), listed=True, css="when"))
    rule_id: Mapped[int] = mapped_column(
        ForeignKey("automation_rule.id", ondelete="CASCADE"), info=about(_("Rule"), listed=True, css="lead")
    )
    customer_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), info=about(_("Customer"), listed=True, css="meta")
    )
    event_key: Mapped[str] = mapped_column(String(160), info={"hidden": True})
    event: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict, info=about(_("Event"), listed=True, filtered=False, css="text")
    )
    state: Mapped[RunState] = mapped_column(
        choice(RunState), default=RunState.DUE, info=about(_("State"), listed=True, css="state")
    )
    reason: Mapped[str] = mapped_column(String(300), default="", server_default="", info={"hidden": True})
    done: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict, info=about(_("What was done"), listed=True, filtered=False, css="sentence full")
    )
    held: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, info={"hidden": True})
    chain: Mapped[str] = mapped_column(String(80), default="", server_default="", info={"hidden": True})
    depth: Mapped[int] = mapped_column(default=0, server_default="0", info=about(_("Depth"), css="lesser num"))
    tries: Mapped[int] = mapped_column(default=0, server_default="0", info={"hidden": True})
    finished_at: Mapped[datetime | None] = mapped_column(info=about(_("Finished"), css="when"))

    rule: Mapped[Rule] = relationship(lazy="raise")
    customer: Mapped[Customer | None] = relationship(lazy="raise")

    def __str__(self) -> str:
        return f"#{self.id}"


class BelowAmount(Base):
    """An account whose balance was below the amount of a rule at the last look."""

    __tablename__ = "automation_below"

    rule_id: Mapped[int] = mapped_column(ForeignKey("automation_rule.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, index=True)


class RuleNotice(Base):
    """What a rule tells a staff member; the bell shows it."""

    __tablename__ = "automation_notice"
    __table_args__ = (Index("ix_automation_notice_staff", "staff_id", "at"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("automation_run.id", ondelete="CASCADE"), primary_key=True)
    action: Mapped[str] = mapped_column(String(12), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(String(500), default="")
    at: Mapped[datetime] = mapped_column(default=utcnow)

    staff: Mapped[Staff] = relationship(lazy="raise")


class Touched(Base):
    """A customer of whom something has changed that rules look at, until they have looked. what: the table. An account
    comes with its balance as it was then, so that no rise and fall between two looks is missed. chain: as in RuleRun.
    No foreign keys: whoever writes this waits for nobody, and a customer who is gone is no reason to fail."""

    __tablename__ = "touched"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger)
    what: Mapped[str] = mapped_column(String(24))
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    balance: Mapped[int | None] = mapped_column(BigInteger)
    chain: Mapped[str] = mapped_column(String(80), default="", server_default="")
