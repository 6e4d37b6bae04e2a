"""Presets: configurations to begin with, as the files that `bursar config import` takes. What all have in common stands
in `common.yaml`, and the sections of each in its own file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.errors import NotFound
from app.i18n import _, gettext

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Preset:
    name: str
    label: str
    about: str
    icon: str


PRESETS = (
    Preset("hosting", _("Hosting"), _("Web space, servers and domains, by the month and by the year."), "server-2"),
    Preset("isp", _("Internet access"), _("Lines and routers, with technicians, outages and cash on site."), "plug"),
    Preset("saas", _("Software as a service"), _("Plans with seats, trials and product news."), "world"),
)


def offered() -> list[dict[str, str]]:
    return [
        {"name": p.name, "label": gettext(p.label), "about": gettext(p.about), "icon": p.icon} for p in PRESETS
    ]  # fmt: skip


def read(name: str) -> bytes:
    """The file of a preset. Raises NotFound."""
    if name not in {preset.name for preset in PRESETS}:
        raise NotFound
    return b"".join((FOLDER / f"{part}.yaml").read_bytes() for part in ("common", name))
