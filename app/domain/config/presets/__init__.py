"""Presets: configurations to begin with, as the files that `bursar config import` takes. What all have in common stands
in `common.yaml`, and the sections of each in its own file; `words.yaml` says what is called how in other languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.domain.config import yamlfile
from app.errors import NotFound
from app.i18n import SOURCE, _, gettext

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


def read(name: str, code: str = SOURCE) -> bytes:
    """The file of a preset, in the words of a language. Raises NotFound."""
    if name not in {preset.name for preset in PRESETS}:
        raise NotFound
    data = b"".join((FOLDER / f"{part}.yaml").read_bytes() for part in ("common", name))
    if code == SOURCE:
        return data
    said = {text: of[code] for text, of in words().items()}
    return yamlfile.write(_called(yamlfile.plain(yamlfile.read(data)), said)).encode()


def words() -> Mapping[str, Mapping[str, str]]:
    """English -> language -> the same."""
    found: Mapping[str, Mapping[str, str]] = yamlfile.plain(yamlfile.read((FOLDER / "words.yaml").read_bytes()))
    return found


def _called(value: Any, said: Mapping[str, str]) -> Any:
    """Names and what names them, in other words; what has its words in each language beside each other stays."""
    if isinstance(value, dict):
        return {key: inner if key in _SPOKEN else _called(inner, said) for key, inner in value.items()}
    if isinstance(value, list):
        return [_called(inner, said) for inner in value]
    return said.get(value, value) if isinstance(value, str) else value


_SPOKEN = frozenset({"names", "labels", "helps", "texts"})
