"""CONTRIBUTING.md says how a screen is added: in a copy of this tree it is done as it stands there, and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)

USE = r"""
import asyncio, io, sys
from pathlib import Path
import httpx
from app import db, models
from app.asgi import assemble, serve
from app.domain import staff
from app.domain.imports import records
from app.models.audit import Audit
from app.models.warehouses import Tier, Warehouse
from app.observe import SYSTEM, acting
from app.settings import load
from admin_views.base.importing import fields_of
from admin_views.mount import panel
from admin_views.warehouses import Warehouses
from sqlalchemy import select

async def main():
    settings = load()
    db.configure(settings.database_url)
    with acting(SYSTEM):
        async with db.unit() as session:
            olga = {"username": "olga", "full_name": "Olga", "email": "olga@example.com", "password": "correct horse"}
            await staff.add_staff(session, **olga)
    app = serve(assemble(panel(settings)), settings)
    transport = httpx.ASGITransport(app=app)
    headers = {"sec-fetch-site": "same-origin", "accept": "text/html"}
    async with httpx.AsyncClient(transport=transport, base_url="http://desk.test", headers=headers) as desk:
        async def get(path):
            answer = await desk.get(path)
            assert answer.status_code == 200, (path, answer.text[:500])
            return answer.text
        assert (await desk.post("/login", data={"username": "olga", "password": "correct horse"})).status_code == 303
        assert "Where the servers stand." in await get("/admin/warehouse/list")
        form = {"name": "Falkenstein", "country": "DE", "tier": "two", "rent": "1200.50", "currency": "EUR"}
        wrong = await desk.post("/admin/warehouse/create", data={**form, "name": ""})
        assert wrong.status_code == 422
        made = await desk.post("/admin/warehouse/create", data=form)
        assert made.status_code == 303, made.text
        assert "Falkenstein" in await get("/admin/warehouse/list?search=falken&tier.in=two")
        assert "Falkenstein" not in await get("/admin/warehouse/list?tier.in=one")
        assert "1,200.50" in await get("/admin/warehouse/details/1")
        assert "stein" in await get("/admin/find?term=falken")
        head = "Name,Land,Tier,Rent,Currency"
        lines = (head, "Helsinki,Finland,Tier one,99.90,EUR", "Falkenstein,,one,,", "Bad,XX,,,")
        Path("w.csv").write_text("\n".join(lines))
        with acting(SYSTEM):
            report = await records.import_records(Path("w.csv"), table="warehouse", fields=fields_of(Warehouses()))
            assert (report.created, report.updated, report.failed) == (1, 1, 1), report
            async with db.reads() as session:
                rows = {w.name: w for w in await session.scalars(select(Warehouse))}
                assert (rows["Helsinki"].rent, rows["Helsinki"].country) == (9990, "FI")
                assert rows["Falkenstein"].tier is Tier.ONE
                told = await session.scalars(select(Audit.action).where(Audit.noun == "warehouse"))
                assert sorted(told) == ["create", "create", "update"]
        page = await desk.get("/admin/warehouse/action/import_rows")
        assert page.status_code == 200 and "Check the file" in page.text
        exported = await desk.get("/admin/warehouse/action/export?all=1")
        assert exported.status_code == 200, exported.text
    await db.dispose()

asyncio.run(main())
"""


@pytest.mark.again
def test_a_screen_is_added_as_it_stands_there(tmp_path: Path) -> None:
    for name in ("app", "admin_views", "tasks", "templates", "alembic"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = FILE.findall(text)
    assert [name for name, _code in files] == ["app/models/warehouses.py", "admin_views/warehouses.py"]
    for name, code in files:
        (tmp_path / name).write_text(code)
    screens = tmp_path / "admin_views/screens.py"
    listed = screens.read_text().replace("    Roles,\n", "    Roles,\n    Warehouses,\n", 1)
    before = "from admin_views.users import Users\n"
    screens.write_text(listed.replace(before, before + "from admin_views.warehouses import Warehouses\n", 1))
    environment = {
        **os.environ, "PYTHONPATH": str(tmp_path), "BURSAR_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'w.db'}",
        "BURSAR_DATA_DIR": str(tmp_path / "var"), "BURSAR_REDIS_URL": "redis://127.0.0.1:1",
        "BURSAR_SECRET_KEY": "k" * 40,
    }  # fmt: skip

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "app", "migrate")
    steps = re.search(r"```sh\nalembic (revision .*)\npython (-m app.migrations)\n```", text)
    assert steps is not None
    run(sys.executable, "-m", "alembic", *(part.strip('"') for part in steps[1].split()))
    run(sys.executable, "-m", "app", "migrate")
    assert "no drift" in run(sys.executable, *steps[2].split())
    (tmp_path / "use.py").write_text(USE)
    run(sys.executable, "use.py")
