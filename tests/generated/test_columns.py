"""Every column that a list can show, by itself, over rows of every table."""

from __future__ import annotations

import pytest

from admin_views.base.asked import Asked
from admin_views.base.listing import fetch
from admin_views.mount import panel
from app import db
from app.observe import SYSTEM, acting
from tests.generated.conftest import House
from tests.generated.routes import panel_of

EVERYTHING = frozenset({("*", "*")})


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_every_column_of_every_screen_can_stand_alone(house: House) -> None:
    """Its cell, the name of the row and its buttons use nothing that is not read; nothing sensitive is offered."""
    rows = 0
    for view in panel_of(panel(house.settings)).screens:
        plan = view.plan(EVERYTHING)
        for column in plan.offered:
            info = view.mapper.column_attrs[column.key].columns[0].info if column.stored else {}
            assert not info.get("sensitive"), (view.identity, column.key)
            alone = plan.shown(((column.key, "wide"),))
            with acting(SYSTEM):
                async with db.reads() as session:
                    page = await fetch(session, alone, Asked(sort=column.key if column.sort else ""))
                    made = alone.rows.made(page.rows, select=True)
                    assert all("w-wide" in row for row in made), (view.identity, column.key)
            rows += len(made)
        url = f"{view.list_url}?columns={','.join(c.key for c in plan.offered)}"
        assert (await house.ask("GET", url, "owner")).status_code == 200, view.identity
    assert rows > 300
