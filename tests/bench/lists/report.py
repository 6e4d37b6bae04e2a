"""From figures to the printed tables, the targets of the issue, and var/bench/lists.json."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.lists.data import Database
from tests.bench.lists.measuring import Figures, Served

By = dict[str, dict[str, Figures]]
"""Subject -> measure -> figures."""
PEERS = ("sqladmin", "django", "starlette-admin")

TIMES_AS_FAST: dict[str, dict[str, dict[str, float]]] = {
    "postgresql": {
        "page 1 and a deep page, requests/s": {"sqladmin": 20, "django": 14, "starlette-admin": 10},
        "substring search": {"sqladmin": 50, "django": 50, "starlette-admin": 50},
        "filter page": {"sqladmin": 10, "django": 10},
    },
    # the issue asks for 5 x Django and 20 x SQLAdmin there; where it asks for less on PostgreSQL, for that
    "sqlite": {
        "page 1 and a deep page, requests/s": {"sqladmin": 20, "django": 5},
        "substring search": {"sqladmin": 20, "django": 5},
        "filter page": {"sqladmin": 10, "django": 5},
    },
}
MEASURED_BY = {
    "page 1 and a deep page, requests/s": ("page 1", "deep page"),
    "substring search": ("search rare", "search common", "search absent"),
    "filter page": ("filter",),
}


def _at_most(value: float | None, limit: float) -> dict[str, Any]:
    return {"value": value, "at most": limit, "met": None if value is None else value <= limit}


def _at_least(value: float | None, limit: float | None, **more: Any) -> dict[str, Any]:
    return {
        "value": value,
        "at least": limit,
        "met": None if value is None or limit is None else value >= limit,
        **more,
    }


def _over(a: float | None, b: float | None) -> float | None:
    return round(a / b, 2) if a is not None and b else None


def ratios(kind: str, by: By, settled_mb: float) -> dict[str, Any]:
    """The table of the issue for one database. met: None where something was not measured."""
    ours = by["bursar"]
    found: dict[str, Any] = {}
    for name, measures in MEASURED_BY.items():
        found[name] = {}
        for peer in PEERS:
            theirs = by.get(peer, {})
            each, medians = {}, {}
            for m in measures:
                if m in ours and m in theirs:
                    each[m] = _over(ours[m].requests_per_s, theirs[m].requests_per_s)
                    medians[m] = _over(theirs[m].median_ms, ours[m].median_ms)
            known = [v for v in each.values() if v is not None]
            limit = TIMES_AS_FAST[kind][name].get(peer)
            found[name][peer] = _at_least(min(known, default=None), limit, requests_per_s=each, median=medians)
    page, form, export = ours["page 1"], ours["edit form"], ours["export"]
    small, again = ours["page 1, 100 rows"], ours["page 1, beside 100 rows"]
    found["page 1 at all rows against 100 rows"] = _at_most(_over(again.median_ms, small.median_ms), 1.25)
    found["last page against page 1"] = _at_most(_over(ours["last page"].median_ms, page.median_ms), 1.3)
    found["CPU of the web process per page, ms"] = _at_most(page.cpu_ms, 4)
    grown = None if form.peak_mb is None else round(form.peak_mb - (form.rss_before_mb or 0), 1)
    found["edit form with a key to all customers"] = {
        "median, ms": _at_most(form.median_ms, 150),
        "size, bytes": _at_most(form.bytes, 40_000),
        "memory growth, MB": _at_most(grown, 3),
    }
    rows = _over(export.lines_per_s, by["sqladmin"]["export"].lines_per_s) if "sqladmin" in by else None
    grown = None if export.peak_mb is None else round(export.peak_mb - (export.rss_before_mb or 0), 1)
    found["export of everything"] = {
        "first byte, ms": _at_most(export.first_byte_ms, 500),
        "memory growth, MB": _at_most(grown, 30),
        "rows/s against sqladmin": _at_least(rows, 5),
        "note": export.note,
    }
    found["memory of the web process, settled after all this, MB"] = _at_most(settled_mb, 140)
    return found


# ---- printing -------------------------------------------------------------------------------------------------------

COLUMNS = (("median ms", 10), ("p95", 9), ("req/s", 9), ("CPU ms", 8), ("kB", 8), ("peak MB", 8), ("n", 4))


def _cell(value: float | None, width: int, digits: int = 1) -> str:
    return f"{'-' if value is None else f'{value:,.{digits}f}':>{width}}"


def table(by: By) -> str:
    """Per measure one line for each subject."""
    names = list(dict.fromkeys(m for figures in by.values() for m in figures))
    head = f"{'':24}{'':16}" + "".join(f"{title:>{width}}" for title, width in COLUMNS)
    lines = [head]
    for name in names:
        shown = name
        for subject, figures in by.items():
            if (f := figures.get(name)) is None:
                continue
            kilobytes = None if f.bytes is None else f.bytes / 1000
            cells = _cell(f.median_ms, 10) + _cell(f.p95_ms, 9) + _cell(f.requests_per_s, 9) + _cell(f.cpu_ms, 8)
            cells += _cell(kilobytes, 8) + _cell(f.peak_mb, 8, 0) + _cell(f.visits or None, 4, 0)
            more = f"  {f.lines_per_s:,.0f} lines/s, first byte {f.first_byte_ms} ms" if f.lines_per_s else ""
            lines.append(f"{shown:24}{subject:16}{cells}{more}{'  ' + f.note if f.note else ''}")
            shown = ""
    return "\n".join(lines)


def targets(found: dict[str, Any], indent: str = "") -> list[str]:
    """One line per target, with a mark in front: + met, - missed, ? not measured or without a target."""
    lines = []
    for name, entry in found.items():
        if isinstance(entry, dict) and "value" in entry:
            mark = {True: "+", False: "-", None: "?"}[entry["met"]]
            limit = f"at least {entry['at least']}" if "at least" in entry else f"at most {entry['at most']}"
            lines.append(f"{indent}{mark} {name}: {entry['value']} ({limit})")
        elif isinstance(entry, dict):
            lines += [f"{indent}  {name}", *targets(entry, indent + "  ")]
        elif entry:
            lines.append(f"{indent}  {name}: {entry}")
    return lines


def missed(found: dict[str, Any]) -> list[str]:
    return [line.strip() for line in targets(found) if line.strip().startswith("- ")]


# ---- the file -------------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform(),
        "load_at_the_start": os.getloadavg()[0],
    }  # fmt: skip


def of_database(database: Database, what: str, all_served: list[Served], settled_mb: float) -> dict[str, Any]:
    kind = "postgresql" if database.url.startswith("postgresql") else "sqlite"
    by: By = {s.subject.name: s.figures for s in all_served}
    return {
        "what": what,
        "rows": database.facts.rows,
        "matches": database.facts.matches,
        "deep_page": database.facts.deep_page,
        "trigram_index": database.trigrams,
        "settled_mb": {"bursar": settled_mb},
        "notes": {s.subject.name: list(s.subject.notes) for s in all_served},
        "figures": {name: {m: asdict(f) for m, f in figures.items()} for name, figures in by.items()},
        "ratios": ratios(kind, by, settled_mb),
    }


def write(path: Path, results: dict[str, Any], about: dict[str, Any]) -> None:
    whole = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "ratios": {kind: r["ratios"] for kind, r in results.items()},
        "databases": {kind: {k: v for k, v in r.items() if k != "ratios"} for kind, r in results.items()},
    }
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
