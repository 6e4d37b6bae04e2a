"""Markup that people type stays text wherever it is shown: texts of rows, own names, custom fields, choices."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from admin_views.base.frame import MENU
from admin_views.labels import items_of, screens
from app import db
from app.db import Base
from app.domain import custom
from app.domain.config import live
from app.i18n import LANGUAGES
from app.models.labels import Label
from tests.generated.conftest import House
from tests.generated.test_canaries import _alone, _looking, _texts

MARK = "\"'></b><xss a=1>{{7*7}}"
BROKEN = ("<xss", "{{49}}")
LEFT = ("ledger_entry", "ledger_transaction", "invoice", "invoice_line", "job", "audit")
"""What only grows, what is issued, and what programs read."""
READ = (
    "hash", "key", "token", "query", "screen", "noun", "zone", "host", "slug", "url", "currency", "language",
    "country", "field", "trigger", "channel", "sort", "header",
)  # fmt: skip
"""Ends of the names of columns that programs read."""


def _typed(column: Any) -> bool:
    """Whether people type what they like there."""
    return not column.primary_key and not column.info.get("widget") and not column.name.endswith(READ)


async def _plant() -> int:
    planted = 0
    async with db.unit() as session:
        connection = await session.connection()
        for table in (t for t in Base.metadata.sorted_tables if t.name not in LEFT):
            keys = list(table.primary_key.columns)
            for n, row in enumerate((await connection.execute(select(*keys))).all()):
                here = [k == v for k, v in zip(keys, row, strict=True)]
                for column in filter(_typed, _texts(table)):
                    text = MARK + "x" * n if _alone(column) else MARK
                    if len(text) <= (getattr(column.type, "length", None) or 10_000):
                        await connection.execute(update(table).where(*here).values({column.name: text}))
                        planted += 1
        texts = dict.fromkeys(LANGUAGES, MARK)
        for kind in ("text", "choice", "choices", "date"):
            choices = [{"key": "", "labels": texts}] if kind.startswith("choice") else []
            await custom.create(session, target="customer", kind=kind, key=f"odd_{kind}", labels=texts, helps=texts,
                                choices=choices)  # fmt: skip
        for screen in (MENU, *screens()):
            session.add_all(Label(screen=screen, item=item, language="en", text=MARK) for item in items_of(screen))
    await live.keep_up(every=0)
    return planted


@pytest.mark.again
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_markup_stays_text(house: House) -> None:
    assert await _plant() > 150
    wrong, held = [], 0
    for who in ("owner", "user", "acting"):
        for way in _looking(house.ways, who):
            answer = await house.ask("GET", way.url, who)
            if answer.status_code >= 500:
                wrong.append(f"{answer.status_code} {way.url} as {who}")
            if "html" in answer.headers.get("content-type", ""):
                held += "&lt;xss" in answer.text
                places = [(b, answer.text.find(b)) for b in BROKEN if b in answer.text]
                wrong += [f"{way.url} as {who}: {answer.text[at - 150 : at + 60]!r}" for _b, at in places]
    assert wrong == [] and held > 100
