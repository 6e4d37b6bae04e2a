"""What the values of a file mean in fields with choices: as staff have said, else by what we know ourselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.db import fold
from app.domain.imports.mapping import CHOICES, IGNORE, Plan
from app.domain.imports.places import country_code, language_code
from app.errors import Invalid
from app.i18n import gettext
from app.models.customers import CustomerKind

_KINDS = {
    CustomerKind.INDIVIDUAL: "individual person private privat privatperson privatkunde natural consumer b2c "
                             "particular persona частное_лицо физическое_лицо физлицо",
    CustomerKind.COMPANY: "company business firma unternehmen geschaftskunde organization organisation corporate b2b "
                          "empresa компания организация фирма юридическое_лицо юрлицо",
    CustomerKind.SOLE_PROPRIETOR: "sole_proprietor sole_trader freelancer einzelunternehmer freiberufler autonomo "
                                  "индивидуальный_предприниматель ип",
}  # fmt: skip


def _words(text: str) -> str:
    return " ".join(fold(text.replace("_", " ")).split())


_BY_WORD = {_words(word): kind.value for kind, words in _KINDS.items() for word in words.split()}


class Choices:
    """groups: folded name -> id."""

    def __init__(self, plan: Plan, groups: Mapping[str, int]) -> None:
        self.plan, self.groups = plan, groups

    def meant(self, field: str, text: str) -> str:
        """The value of a field of `CHOICES`; empty for none. Raises Invalid at the field for what nobody knows."""
        if not text:
            return ""
        said = self.plan.values.get(field)
        if said and (found := said.get(fold(text))):
            return "" if found == IGNORE else found
        found = self._known(field, text[:200])
        if found is None:
            name = {"name": text[:60]}
            raise Invalid(**{field: {
                "kind": gettext("There is no account type %(name)s."),
                "country": gettext("There is no country %(name)s."),
                "language": gettext("There is no language %(name)s."),
                "group": gettext("There is no group %(name)s."),
            }[field] % name})  # fmt: skip
        return found

    def _known(self, field: str, text: str) -> str | None:
        if field == "country":
            return country_code(text)
        if field == "language":
            return language_code(text)
        if field == "kind":
            return _BY_WORD.get(_words(text))
        group_id = self.groups.get(fold(text))
        return None if group_id is None else str(group_id)

    def unknown(self, columns: Mapping[str, str], values: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Field -> what the file says there and nobody has translated. columns: column -> field. values: per column."""
        found: dict[str, list[str]] = {}
        for column, field in columns.items():
            if field in CHOICES:
                said = self.plan.values.get(field, {})
                found.setdefault(field, []).extend(
                    text
                    for text in values.get(column, ())
                    if fold(text) not in said and self._known(field, text) is None
                )
        return {field: list(dict.fromkeys(texts)) for field, texts in found.items() if texts}
