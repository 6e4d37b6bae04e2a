"""starlette-admin as shipped. Read twice, like stock_sqladmin.py."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.bench.lists.stock import StockSubject, Visit


def make_app() -> Any:
    from starlette.applications import Starlette
    from starlette_admin.contrib.sqla import Admin, ModelView
    from starlette_admin.export import ExportConfig

    from tests.bench.lists import peer_models as m

    class CustomerAdmin(ModelView):
        # it searches and filters by listed columns that are named searchable, and by the row of a relation not at all
        fields = [*m.LISTED, "project_id", "email"]
        exclude_fields_from_list = ["email"]
        searchable_fields = ["name", "language", "project_id"]
        fields_default_sort = [("id", True)]
        page_size = 25

    class ServiceAdmin(ModelView):
        fields = ["id", "name", "customer", "product", "status", "price"]

    class ProjectAdmin(ModelView):
        fields = ["id", "name"]

    class AttitudeAdmin(ModelView):
        fields = ["id", "name"]

    class ProductAdmin(ModelView):
        fields = ["id", "name"]

    app = Starlette()
    # as shipped it refuses to export more than 100,000 rows
    admin = Admin(m.engine(), secret_key="k" * 40, export_config=ExportConfig(max_rows=None))
    admin.add_view(CustomerAdmin(m.Customer))
    admin.add_view(ServiceAdmin(m.Service))
    admin.add_view(ProjectAdmin(m.Project))
    admin.add_view(AttitudeAdmin(m.Attitude))
    admin.add_view(ProductAdmin(m.Product))
    admin.mount_to(app)
    return app


class StockStarletteAdmin(StockSubject):
    name = "starlette-admin"
    package = "starlette-admin"
    app = "tests.bench.lists.stock_starlette_admin:make_app"
    notes = (
        "asyncpg / aiosqlite, no sign-in", "look-ups in forms are typed as shipped",
        "searches name and language only, as it searches what is listed; lists project_id besides, to filter by it",
        "its limit of 100,000 exported rows is lifted",
    )  # fmt: skip

    def listed(self, i: int) -> str:
        return f"/admin/customer/detail?pk={i}&"

    def page(self, number: int) -> str:
        return f"/admin/customer/list?page={number}"

    def search(self, term: str) -> str:
        return f"/admin/customer/list?q={term}"

    def filtered(self, project: int, language: str) -> str:
        asked = f"project_id__eq={project} AND language__eq={language}"
        return f"/admin/customer/list?{urlencode({'filter': asked})}"

    def card(self, i: int) -> str:
        return f"/admin/customer/detail?pk={i}"

    def edit(self, i: int) -> str:
        return f"/admin/service/edit?pk={i}"

    def export(self, base_url: str) -> Visit:
        import httpx

        token = httpx.get(f"{base_url}/admin/customer/list").cookies["starlette_admin_csrftoken"]
        return Visit(
            "/admin/_api/customer/action?name=export&all=1", method="POST", body="scope=all&format=csv",
            headers={"cookie": f"starlette_admin_csrftoken={token}", "x-csrftoken": token},
        )  # fmt: skip
