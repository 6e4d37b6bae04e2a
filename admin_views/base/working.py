"""Long work as people see it: how far, how fast, how long still, and how to stop it. One shape for all that takes its
time; `ui.work` shows it whole, `ui.work_row` as one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from admin_views.base.cells import TONES
from app.db import Choice, utcnow
from app.i18n import _, gettext, show_number, show_span

EVERY = 1000
"""Milliseconds after which a card asks again."""
STEP = 25
"""Per cent between two announcements: who listens wants to know, not to be talked at."""


def stop_button(url: str, question: str) -> dict[str, str]:
    """A button that asks `question` and posts; without scripts it opens the page of the button, which asks as well.
    url: of the button's page, with ``?pks=``."""
    path, _mark, pks = url.partition("?pks=")
    return {"url": path, "pks": pks, "label": gettext("Stop"), "question": question}


def work(
    *,
    label: str,
    url: str,
    state: Choice,
    going: bool,
    done: int,
    total: int,
    rate: float = 0.0,
    seconds_left: float | None = None,
    counts: Sequence[dict[str, Any]] = (),
    note: str = "",
) -> dict[str, Any]:
    """The context of the progress component. total 0: nobody knows yet how much there is to do. rate: a second.

    counts: [{label, n, kind, url}], the parts that `done` consists of. note: a sentence, such as why it waits. A card
    adds `poll_url`, from where it renews itself, and `stop`. At its end the rest of the card is renewed too.
    """
    percent = min(100, 100 * done // total) if total else 0
    if going and seconds_left is None and rate > 0 and total > done:
        seconds_left = (total - done) / rate
    said = str(state.label)
    if going and percent >= STEP:
        said = gettext("%(state)s, %(n)s %%") % {"state": said, "n": percent // STEP * STEP}
    return {
        "label": label,
        "url": url,
        "done": done,
        "total": total,
        "percent": percent,
        "going": going,
        "state_label": str(state.label),
        "state_kind": TONES.get(state.value) or "",
        "counts": [c for c in counts if c["n"]],
        "rate": _pace(rate) if going else "",
        "left": gettext("about %(span)s left") % {"span": show_span(seconds_left)} if going and seconds_left else "",
        "note": note,
        "announce": said,
        "poll_url": "",
        "every": EVERY,
        "stop": None,
    }


WORDS = {
    "created": (_("New"), "ok"),
    "updated": (_("Changed"), "info"),
    "changed": (_("Changed"), "ok"),
    "unchanged": (_("Unchanged"), ""),
    "failed": (_("Left out"), "bad"),
    "refused": (_("Refused"), "bad"),
    "undone": (_("Undone"), "ok"),
    "kept": (_("Not undone"), "warn"),
}
"""Column of a run -> what its rows have become, and how that looks."""
BACK = ("undone", "kept")


def run_work(
    run: Any, *, going: bool, counts: Sequence[str], note: str = "", total: int | None = None
) -> dict[str, Any]:
    """Long work that has a row of its own. counts: columns of it, of `WORDS`. note: what is said while nothing is wrong
    and it waits."""
    seconds = (utcnow() - run.started_at).total_seconds() if run.started_at else 0.0
    return work(
        label=run.name,
        url=_card(run),
        state=run.state,
        going=going,
        done=run.done,
        total=run.total if total is None else total,
        rate=run.done / seconds if going and seconds > 1 else 0.0,
        counts=[{"label": str(WORDS[c][0]), "n": getattr(run, c), "kind": WORDS[c][1]} for c in counts],
        note=note or run.error,
    )


def polled(run: Any, *, going: bool) -> str:
    """From where the progress on the card of a run renews itself."""
    return f"{_card(run)}/part/progress" if going else ""


def _card(run: Any) -> str:
    return f"/admin/{run.__tablename__}/details/{run.id}"


def listed(
    label: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, rest: int = 0, url: str | None = None
) -> dict[str, Any]:
    """A section that names some rows. rest: how many there are besides; url: a file with all of them."""
    more = gettext("and %(n)s more") % {"n": show_number(rest)} if rest > 0 else None
    return {"label": label, "kind": "table", "columns": list(columns), "rows": list(rows), "rest": more,
            **({"url": url} if url else {})}  # fmt: skip


def _pace(rate: float) -> str:
    if rate >= 1:
        return gettext("%(n)s a second") % {"n": show_number(round(rate))}
    return gettext("%(n)s a minute") % {"n": show_number(round(rate * 60))} if rate * 60 >= 1 else ""
