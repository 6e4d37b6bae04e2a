"""Rules of the house that a test can hold: every noun has its screen, nothing sensitive is shown, names agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import app.models  # noqa: F401
from admin_views.screens import SCREENS, WITHOUT_SCREEN
from app.db import Base
from app.domain.sessions.rows import OWN

ROOT = Path(__file__).parent.parent
TABLES = {mapper.class_.__tablename__ for mapper in Base.registry.mappers}


def test_every_table_has_a_screen_or_says_why_not() -> None:
    shown = {view.identity for view in SCREENS}
    assert shown | set(WITHOUT_SCREEN) == TABLES
    assert not shown & set(WITHOUT_SCREEN)


def test_every_screen_can_be_granted() -> None:
    """By the name of its table; what everybody has of their own needs no grant."""
    assert {view.identity for view in SCREENS} <= TABLES
    assert {view.identity for view in SCREENS if view.own} == {screen for screen, _action in OWN}


def test_no_screen_shows_or_edits_a_sensitive_column() -> None:
    for view in SCREENS:
        sensitive = {
            name for name, attr in view.model.__mapper__.column_attrs.items() if attr.columns[0].info.get("sensitive")
        }
        assert not sensitive & {*view.column_list, *map(str, view.form_columns)}, view.identity


def test_only_unit_commits() -> None:
    for folder in ("app", "admin_views", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert ".commit(" not in path.read_text("utf-8"), path


def test_no_screen_writes_markup_blocks() -> None:
    """Screens hand data to the templates; only cells, in `base`, may hold a tag or two."""
    for path in (ROOT / "admin_views").rglob("*.py"):
        if path.parent.name != "base":
            found = re.findall(r"<(?:div|ul|table|section|form|script|style)\b", path.read_text("utf-8"))
            assert not found, path


def test_no_inline_style_or_script_in_templates() -> None:
    for path in (ROOT / "templates").rglob("*.*"):
        if path.suffix not in (".html", ".j2") or path.parent.name == "mail":
            continue
        text = path.read_text("utf-8")
        assert not re.search(r"\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|<style|<script(?![^>]*\ssrc=)", text), path


def test_files_stay_readable() -> None:
    for folder in ("app", "admin_views", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text("utf-8").splitlines()) <= 480, path


@pytest.mark.parametrize("process", ["tasks.worker", "app.asgi"])
def test_what_makes_documents_and_asks_gateways_is_loaded_when_it_is_used(process: str) -> None:
    """They are as large as all the rest; a worker that only sends and charges stays small."""
    heavy = {
        "stripe",
        "fpdf",
        "fontTools",
        "uharfbuzz",
        "lxml",
        "facturx",
        "PIL",
        "pypdf",
        "httpx",
        "openpyxl",
        "webauthn",
        "alembic",
        "jwt.algorithms",
        "cryptography.fernet",
        "phonenumbers.phonenumberutil",
    }
    code = f"import sys, {process}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "sqlalchemy" in loaded.stdout.split()
    assert not heavy & set(loaded.stdout.split())
