"""What the three others have in common: an environment of their own, addresses by page number, the same rows."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from tests.bench.lists.places import environment
from tests.bench.lists.subjects import ABSENT, COMMON, LANGUAGE, PROJECT, RARE, Skip, Subject, Visit


class StockSubject(Subject):
    package: str
    app: str

    @abstractmethod
    def listed(self, i: int) -> str:
        """What the list holds for customer `i`, and for no other."""

    @abstractmethod
    def page(self, number: int) -> str: ...

    @abstractmethod
    def search(self, term: str) -> str: ...

    @abstractmethod
    def filtered(self, project: int, language: str) -> str: ...

    @abstractmethod
    def card(self, i: int) -> str: ...

    @abstractmethod
    def edit(self, i: int) -> str: ...

    @abstractmethod
    def export(self, base_url: str) -> Visit | Skip: ...

    def command(self, port: int) -> tuple[list[str], dict[str, str]]:
        python = str(environment(self.package))
        uvicorn = ["-m", "uvicorn", "--factory", self.app, "--port", str(port), "--no-access-log"]
        return [python, *uvicorn, "--log-level", "warning"], {"BENCH_DATABASE_URL": self.database.url}

    def visits(self, base_url: str) -> dict[str, Visit | Skip]:
        facts = self.facts

        def rows(path: str, ids: list[int]) -> Visit:
            return Visit(path, tuple(self.listed(i) for i in ids), () if ids else (self.listed(facts.rows),))

        middle = facts.rows // 2
        visits: dict[str, Visit | Skip] = {
            "page 1": rows(self.page(1), facts.page(1)),
            "deep page": rows(self.page(facts.deep_page), facts.page(facts.deep_page)),
            "last page": rows(self.page(facts.last_page), facts.page(facts.last_page)),
            "search rare": rows(self.search(RARE), facts.top["rare"]),
            "search common": rows(self.search(COMMON), facts.top["common"]),
            "search absent": rows(self.search(ABSENT), []),
            "filter": rows(self.filtered(PROJECT, LANGUAGE), facts.top["filter"]),
            "card": Visit(self.card(middle), (f"kunde{middle}@",)),
            "edit form": Visit(self.edit(7), ("host7.example.net",)),
            "export": self.export(base_url),
        }
        return {
            name: replace(v, headers={**self.headers, **v.headers}) if isinstance(v, Visit) else v
            for name, v in visits.items()
        }
