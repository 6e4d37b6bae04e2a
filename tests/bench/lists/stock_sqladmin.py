"""SQLAdmin as shipped. This file is read twice: here for the addresses, in its own environment for the application."""

from __future__ import annotations

from typing import Any

from tests.bench.lists.stock import StockSubject, Visit


def make_app() -> Any:
    from sqladmin import Admin, ModelView
    from sqladmin.filters import AllUniqueStringValuesFilter, ForeignKeyFilter
    from starlette.applications import Starlette

    from tests.bench.lists import peer_models as m

    class CustomerAdmin(ModelView, model=m.Customer):
        column_list = list(m.LISTED)
        column_searchable_list = list(m.SEARCHED)
        column_sortable_list = ["id", "name", "registered_at"]
        column_default_sort = ("id", True)
        column_filters = [
            ForeignKeyFilter(m.Customer.project_id, m.Project.name), AllUniqueStringValuesFilter(m.Customer.language),
        ]  # fmt: skip
        page_size = 25

    class ServiceAdmin(ModelView, model=m.Service):
        column_list = ["id", "name", "customer", "product", "status"]

    class ProjectAdmin(ModelView, model=m.Project):
        column_list = ["id", "name"]

    app = Starlette()
    admin = Admin(app, m.engine())
    for view in (CustomerAdmin, ServiceAdmin, ProjectAdmin):
        admin.add_view(view)
    return app


class StockSQLAdmin(StockSubject):
    name = "sqladmin"
    package = "sqladmin"
    app = "tests.bench.lists.stock_sqladmin:make_app"
    notes = ("asyncpg / aiosqlite, no sign-in", "the side filter asks for the distinct languages on each view")

    def listed(self, i: int) -> str:
        return f"/admin/customer/details/{i}"

    def page(self, number: int) -> str:
        return f"/admin/customer/list?page={number}&pageSize=25"

    def search(self, term: str) -> str:
        return f"/admin/customer/list?search={term}"

    def filtered(self, project: int, language: str) -> str:
        return f"/admin/customer/list?project_id={project}&language={language}"

    def card(self, i: int) -> str:
        return f"/admin/customer/details/{i}"

    def edit(self, i: int) -> str:
        return f"/admin/service/edit/{i}"

    def export(self, base_url: str) -> Visit:
        return Visit("/admin/customer/export/csv")
