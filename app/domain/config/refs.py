"""Rows by name: what rows of a section are called, and which row a name means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from app.domain.config.shapes import nearest
from app.errors import AppError
from app.i18n import gettext

Key = tuple[str, ...]


def names_of(keys: Sequence[Key]) -> list[str]:
    """A name for each row: the first part of its key, the whole key where others share that, and a number where others
    share the key too. The same keys in the same order have the same names."""
    firsts, wholes = Counter(k[0] for k in keys), Counter(keys)
    seen: Counter[Key] = Counter()
    taken, names = set(firsts), []
    for key in keys:
        name = key[0]
        if firsts[name] > 1:
            name = ", ".join(part for part in key if part)
            if wholes[key] > 1 or name in taken:
                seen[key] += 1
                whole = name
                name = f"{whole} #{seen[key]}"
                while name in taken:
                    seen[key] += 1
                    name = f"{whole} #{seen[key]}"
        taken.add(name)
        names.append(name)
    return names


class New(str):
    """The name of a row that is not in the database yet: never equal to one that is."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, New) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class Refs:
    """Names of rows, by section: those of the database, and those of the file where there is one."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, int]] = {}
        self._labels: dict[str, dict[int, str]] = {}
        self._file: dict[str, dict[str, int | None]] = {}
        self._fixed: set[str] = set()
        """Sections whose rows are no configuration, such as staff: they can only be named."""

    def add(self, section: str, labelled: Iterable[tuple[str, int]], *, fixed: bool = False) -> None:
        """The rows of the database."""
        pairs = list(labelled)
        self._ids[section] = dict(pairs)
        self._labels[section] = {row_id: label for label, row_id in pairs}
        if fixed:
            self._fixed.add(section)

    def add_file(self, section: str, label: str, row_id: int | None) -> None:
        """A row of the file. row_id: of the row in the database that it is, None: it is to be made."""
        self._file.setdefault(section, {})[label] = row_id

    def label(self, section: str, row_id: int) -> str | None:
        """What the row is called; None when it is none of the section, or not any more."""
        return self._labels.get(section, {}).get(row_id)

    def meant(self, section: str, label: str) -> str:
        """The name that the database has for the row that the file calls so."""
        of_file = self._file.get(section, {})
        if label not in of_file:
            return label
        found = of_file[label]
        return New(label) if found is None else self._labels[section].get(found, label)

    def known(self, section: str, label: str, *, only_file: bool = False) -> bool:
        """only_file: what the file does not name is taken away."""
        return label in self._file.get(section, {}) or (not only_file and label in self._ids.get(section, {}))

    def id(self, section: str, label: str) -> int:
        """The row of this name. Raises AppError."""
        found = self._file.get(section, {}).get(label) or self._ids.get(section, {}).get(label)
        if found is None:
            raise AppError(self.unknown(section, label))
        return found

    def unknown(self, section: str, label: str) -> str:
        known = {**self._ids.get(section, {}), **self._file.get(section, {})}
        alike = [name for name in known if name.startswith((f"{label}, ", f"{label} #"))]
        if alike:
            said = gettext("Several in %(section)s are called %(name)s. Write one of: %(names)s.")
            return said % {"section": section, "name": label, "names": "; ".join(alike[:5])}
        said = nearest(label, known)
        return f"{section}: {said}"
