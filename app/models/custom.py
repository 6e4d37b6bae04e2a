"""Custom fields: what a company keeps of its customers, payers, users and services besides the columns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Choice, Json, Stamped, Versioned, about, choice
from app.i18n import _
from app.models.config import Live


class CustomTarget(Choice):
    """Whose field it is; the value is the name of the table."""

    CUSTOMER = "customer", _("Customers")
    PAYER = "payer", _("Payers")
    USER = "user", _("Users")
    SERVICE = "service", _("Services")


class CustomKind(Choice):
    TEXT = "text", _("Text")
    LONG = "long", _("Text of several lines")
    NUMBER = "number", _("Number")
    MONEY = "money", _("Money")
    DATE = "date", _("Date")
    CHOICE = "choice", _("One of a list")
    CHOICES = "choices", _("Several of a list")
    YES_NO = "yes_no", _("Yes or no")
    LINK = "link", _("Link")
    PHONE = "phone", _("Phone number")


class CustomAccess(Choice):
    """Who sees it besides staff."""

    STAFF = "staff", _("Only staff see it")
    READ = "read", _("The customer sees it")
    EDIT = "edit", _("The customer sees and changes it")


class CustomField(Base, Live, Versioned, Stamped):
    """One field. Its values stand in the column `custom` of the rows, under `key`, which never changes."""

    __tablename__ = "custom_field"
    __table_args__ = (UniqueConstraint("target", "key"), Index("ix_custom_field_order", "target", "position"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, info=about(_("ID"), css="id"))
    target: Mapped[CustomTarget] = mapped_column(
        choice(CustomTarget), info=about(_("Of what"), listed=True, css="meta", group=_("Field"))
    )
    key: Mapped[str] = mapped_column(
        String(40), default="",
        info=about(_("Key"), listed=True, css="lesser", group=_("Field"), copy=True,
                   help=_("In files, messages and filters. Left empty, it is made from the name; it stays for good.")),
    )  # fmt: skip
    kind: Mapped[CustomKind] = mapped_column(
        choice(CustomKind), default=CustomKind.TEXT, info=about(_("Kind"), listed=True, css="lesser", group=_("Field"))
    )
    labels: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict, info=about(_("Name"), widget="per_language", filtered=False, group=_("Field"))
    )
    helps: Mapped[dict[str, Any]] = mapped_column(
        Json, default=dict, info=about(_("Help"), widget="per_language", filtered=False, group=_("Field"))
    )
    digits: Mapped[int] = mapped_column(
        default=0, info=about(_("Decimals"), group=_("Field"), when="kind=number", filtered=False)
    )
    currency: Mapped[str] = mapped_column(
        String(3), default="EUR",
        info=about(_("Currency"), widget="currency", group=_("Field"), when="kind=money", filtered=False),
    )  # fmt: skip
    choices: Mapped[list[dict[str, Any]]] = mapped_column(
        Json, default=list, info=about(_("Choices"), widget="per_language", filtered=False, group=_("Field"))
    )
    """[{key, labels: {language: text}, retired: no longer offered}]: the key stands in the rows."""
    default: Mapped[Any] = mapped_column(Json, nullable=True, info={"hidden": True})
    required: Mapped[bool] = mapped_column(default=False, info=about(_("Required"), listed=True, group=_("Use")))
    access: Mapped[CustomAccess] = mapped_column(
        choice(CustomAccess), default=CustomAccess.STAFF,
        info=about(_("Who sees it"), listed=True, css="lesser", group=_("Use")),
    )  # fmt: skip
    at_registration: Mapped[bool] = mapped_column(
        default=False,
        info=about(_("Asked at registration"), group=_("Use"), when="target=customer",
                   help=_("On the sign-up form, if the customer may change it.")),
    )  # fmt: skip
    account_types: Mapped[list[str]] = mapped_column(
        default=list, info=about(_("Account types"), widget="account_types", filtered=False, group=_("Use"))
    )
    """Empty: all."""
    listed: Mapped[bool] = mapped_column(
        default=True,
        info=about(_("A column of the list"), group=_("Use"), help=_("Everybody can choose columns for themselves.")),
    )  # fmt: skip
    indexed: Mapped[bool] = mapped_column(
        default=False,
        info=about(
            _("Filtered or sorted often"),
            group=_("Use"),
            help=_(
                "Makes it quick where there are many rows; without it, lists of up to 10,000 rows are sorted by it."
            ),
        ),
    )
    position: Mapped[int] = mapped_column(
        default=0, info=about(_("Place"), listed=True, css="num lesser", filtered=False)
    )
    archived_at: Mapped[datetime | None] = mapped_column(info=about(_("Removed"), listed=True, css="when"))
    purging: Mapped[bool] = mapped_column(default=False, server_default=false(), info={"hidden": True})
    """Its values are being deleted; the field goes last."""

    def __str__(self) -> str:
        from app.i18n import language

        return said(self.labels, language()) or self.key


def said(texts: dict[str, Any] | None, language: str) -> str:
    """The text of that language, else the English one, else any."""
    texts = texts or {}
    return texts.get(language) or texts.get("en") or next((t for t in texts.values() if t), "")
