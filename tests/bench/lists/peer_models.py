"""The same tables as SQLAdmin and starlette-admin see them: plain SQLAlchemy models, without anything of Bursar."""

from __future__ import annotations

import os
from datetime import date, datetime

from sqlalchemy import DateTime, ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Project(Base):
    __tablename__ = "project"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __str__(self) -> str:
        return self.name


class Attitude(Base):
    __tablename__ = "attitude"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __str__(self) -> str:
        return self.name


class Product(Base):
    __tablename__ = "product"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __str__(self) -> str:
        return self.name


class Customer(Base):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    kind: Mapped[str]
    status: Mapped[str]
    contact_person: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str]
    address: Mapped[str]
    country: Mapped[str]
    language: Mapped[str]
    timezone: Mapped[str]
    legal_name: Mapped[str]
    vat_number: Mapped[str]
    registration_number: Mapped[str]
    director: Mapped[str]
    attitude_id: Mapped[int | None] = mapped_column(ForeignKey("attitude.id"))
    note: Mapped[str]
    registered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    registration_ip: Mapped[str | None]

    project: Mapped[Project] = relationship()
    attitude: Mapped[Attitude | None] = relationship()

    def __str__(self) -> str:
        return self.name


class Service(Base):
    __tablename__ = "service"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    status: Mapped[str]
    price: Mapped[int]
    currency: Mapped[str]
    period: Mapped[str]
    next_charge_on: Mapped[date | None]
    auto_renew: Mapped[bool]

    customer: Mapped[Customer] = relationship()
    product: Mapped[Product] = relationship()

    def __str__(self) -> str:
        return self.name


LISTED = ("id", "name", "project", "kind", "status", "country", "language", "attitude", "registered_at")
"""The columns of Bursar's list; Bursar adds the login."""
SEARCHED = ("id", "name", "contact_person", "email", "phone", "legal_name", "vat_number")
"""The columns that Bursar's quick search covers."""


def engine() -> AsyncEngine:
    return create_async_engine(os.environ["BENCH_DATABASE_URL"])
