"""What a staff member has on their first page, and in which order; what the people of a role start with. Without any
row it is the usual arrangement."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Choice, Name, choice
from app.i18n import _


class WidgetKind(Choice):
    BLOCK = "block", _("Block of the usual page")
    COUNT = "count", _("How many")
    SUM = "sum", _("A sum")
    CHART = "chart", _("Chart over time")
    ROWS = "rows", _("The first rows")


class Pace(Choice):
    DAY = "day", _("by day, 30 days")
    MONTH = "month", _("by month, 12 months")


class Widget(Base):
    """`query`: the address of a list without its path; what it shows is asked for anew, with the grants and the scope
    of the person, each time. A block of the usual page has its name in `screen`. It is a staff
    member's or a role's."""

    __tablename__ = "widget"
    __table_args__ = (Index("ix_widget_staff", "staff_id", "position"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    role_id: Mapped[int | None] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), index=True)
    kind: Mapped[WidgetKind] = mapped_column(choice(WidgetKind))
    screen: Mapped[str] = mapped_column(String(40))
    query: Mapped[str] = mapped_column(Text, default="")
    column: Mapped[str] = mapped_column(String(60), default="")
    """Of a sum: what is added up. Of a chart: the day or moment that counts."""
    pace: Mapped[Pace] = mapped_column(choice(Pace), default=Pace.DAY)
    title: Mapped[str] = mapped_column(Name, default="")
    position: Mapped[int] = mapped_column(default=0)
    wide: Mapped[bool] = mapped_column(default=False)
