"""From figures to the printed tables, the targets of the issue, and var/bench/campaign.json."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from typing import Any

from tests.bench.lists.places import FOLDER

COLUMNS = (
    "messages", "seconds", "per second", "per second while sending", "cpu us", "database cpu us", "sink cpu us",
    "trips", "peak MB",
)  # fmt: skip


def _speed(results: dict[str, Any], *path: str) -> float | None:
    found: Any = results
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found.get("per second") if isinstance(found, dict) else None


def _over(a: float | None, b: float | None) -> float | None:
    return round(a / b, 2) if a and b else None


def targets(results: dict[str, Any]) -> list[tuple[str, float | None, str, float]]:
    """(what, value, at least or at most, limit); a value that was not measured is None."""
    ours = _speed(results, "postgresql", "default window") or _speed(results, "sqlite", "default window")
    found: list[tuple[str, float | None, str, float]] = [
        ("times Celery per recipient", _over(ours, _speed(results, "celery")), ">=", 20),
        ("times arq per recipient", _over(ours, _speed(results, "arq")), ">=", 50),
        ("times Celery in batches", _over(ours, _speed(results, "celery-batch")), ">=", 2.5),
        ("times Django send_mass_mail (plain text)", _over(ours, _speed(results, "django")), ">=", 0),
        (
            "times aiosmtplib at 20 ms",
            _over(_speed(results, "postgresql", "20 ms"), _speed(results, "aiosmtplib, 20 ms")),
            ">=",
            3.5,
        ),
    ]
    for kind in ("postgresql", "sqlite"):
        part = results.get(kind) or {}
        if default := part.get("default window"):
            share = _over(default["per second"], _speed(results, "template"))
            sending = _over(default["per second while sending"], _speed(results, "template"))
            found += [
                (f"{kind}: end to end against (b)", share, ">=", 0.5),
                (f"{kind}: the same without choosing the recipients", sending, ">=", 0.5),
                (f"{kind}: CPU of the worker a message, us", default["cpu us"], "<=", 50),
                (f"{kind}: with that of the database", default["cpu us"] + default["database cpu us"], "<=", 50),
            ]
        one, two = part.get("1 worker"), part.get("2 workers")
        if one and two:
            speed = _over(two["per second while sending"], one["per second while sending"])
            cost = _over(two["cpu us"] + two["database cpu us"], one["cpu us"] + one["database cpu us"])
            if (os.cpu_count() or 1) >= 4:
                found.append((f"{kind}: two workers against one", speed, ">=", 1.6))
            else:
                found.append((f"{kind}: two workers against one, CPU a message", cost, "<=", 1.25))
        if chosen := part.get("audience"):
            found.append((f"{kind}: audience against INSERT..SELECT", chosen["ratio"], "<=", 1.5))
        peaks = {int(k.split()[0]): v["peak MB"] for k, v in part.items() if k.endswith(" recipients")}
        if peaks:
            own = part[f"{max(peaks)} recipients"].get("without shared MB")
            found += [
                (f"{kind}: MB of the worker at {max(peaks)} recipients", peaks[max(peaks)], "<=", 80),
                (f"{kind}: without pages of files, which are shared", own, "<=", 80),
                (f"{kind}: against {min(peaks)}", _over(peaks[max(peaks)], peaks[min(peaks)]), "<=", 1.1),
            ]
    return found


def _met(value: float | None, sign: str, limit: float) -> bool | None:
    if value is None:
        return None
    return value >= limit if sign == ">=" else value <= limit


def missed(results: dict[str, Any]) -> list[str]:
    return [
        f"{what}: {v} ({sign} {limit})" for what, v, sign, limit in targets(results) if _met(v, sign, limit) is False
    ]


def write(results: dict[str, Any]) -> None:
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version(),
        "cores": os.cpu_count(), "machine": platform.machine(),
    }  # fmt: skip
    named = [
        {"what": what, "value": value, "limit": f"{sign} {limit}", "met": _met(value, sign, limit)}
        for what, value, sign, limit in targets(results)
    ]
    text = json.dumps({"about": about, "results": results, "targets": named}, indent=1, ensure_ascii=False)
    (FOLDER / "campaign.json").write_text(text + "\n")


def table(results: dict[str, Any]) -> str:
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, found in results.items():
        if "per second" in found:
            rows.append((name, found))
        else:
            rows += [(f"{name}, {part}", figures) for part, figures in found.items() if "per second" in figures]
    width = max((len(name) for name, _f in rows), default=10)
    lines = [" " * width + "".join(f"{column:>15}"[-15:] for column in COLUMNS)]
    for name, found in rows:
        cells = ("" if found.get(column) is None else f"{found[column]:,}" for column in COLUMNS)
        lines.append(name.ljust(width) + "".join(f"{cell:>15}" for cell in cells))
    lines.append("")
    for kind in ("postgresql", "sqlite"):
        if chosen := (results.get(kind) or {}).get("audience"):
            lines.append(f"{kind}, audience: " + ", ".join(f"{k} {v}" for k, v in chosen.items()))
    lines.append("")
    for what, value, sign, limit in targets(results):
        met = _met(value, sign, limit)
        said = "not measured" if value is None else f"{value:g}"
        lines.append(f"{'     ' if met is None else ' yes ' if met else ' NO  '}{what}: {said} ({sign} {limit:g})")
    return "\n".join(lines)
