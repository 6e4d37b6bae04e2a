"""What is sold, and what customers have of it: products with their prices, services with their states."""

from __future__ import annotations

from app.domain.catalog.periods import MONTHS, next_period
from app.domain.catalog.prices import Price, offers, price_of, prices_of
from app.domain.catalog.products import delete_product, save_product
from app.domain.catalog.services import (
    FIELDS,
    FIRST,
    SERVICE_MOVES,
    delete_service,
    fill_in,
    move_service,
    renew,
    save_service,
)

__all__ = [
    "FIELDS", "FIRST", "MONTHS", "SERVICE_MOVES", "Price", "delete_product", "delete_service", "fill_in",
    "move_service", "next_period", "offers", "price_of", "prices_of", "renew",
    "save_product", "save_service",
]  # fmt: skip
