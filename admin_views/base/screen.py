"""`AppView`: the class that every screen extends. A screen names its model and what differs from the usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast, no_type_check

from markupsafe import Markup, escape
from sqladmin import ModelView
from sqladmin.models import ModelViewMeta
from sqlalchemy import JSON, ColumnElement, Select, Text, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ColumnProperty, Mapper, joinedload
from starlette.requests import Request

from admin_views.access import granted
from admin_views.base import custom, inplace, paths
from admin_views.base.bulk import EDIT_SEVERAL
from admin_views.base.buttons import DELETE, PLACES, Button
from admin_views.base.cells import Cell, badge, cell_of, copied, copyable, mail, ready, relation_of
from admin_views.base.export import EXPORT
from admin_views.base.fields import AppForm, Converter
from admin_views.base.hooks import Hooks
from admin_views.base.importing import IMPORT
from admin_views.base.pinning import PIN
from admin_views.base.plan import Column, Plan, plan_of
from admin_views.base.related import Related
from admin_views.base.writing import Writing
from app import filters
from app.domain import lists
from app.domain.config import live, modules
from app.domain.sessions import Grants
from app.errors import NotFound
from app.i18n import Named, _, gettext, named

if TYPE_CHECKING:
    from admin_views.base.news import News

ONE, MANY, CREATE, BUTTON = "@one", "@many", "@create", "@button."
"""Under which the names of the screen itself, of what makes a row, and of its buttons can be changed."""
PLANS = 100
"""Sets of grants whose plans are kept; there are about as many as roles."""


class _ScreenMeta(ModelViewMeta):
    @no_type_check
    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any) -> Any:
        cls = super().__new__(mcs, name, bases, attrs, **kwargs)
        if kwargs.get("model"):
            cls.identity = attrs.get("identity", kwargs["model"].__tablename__)
            cls.form_columns = tuple(cls._form_names())
            cls.column_list = [p.key for p in cls._listed()]
            cls.column_details_list = cls.column_list
            cls.name, cls.name_plural = named(cls.name, cls.identity, ONE), named(cls.name_plural, cls.identity, MANY)
        return cls


class AppView(Hooks, Writing, ModelView, metaclass=_ScreenMeta):
    """Attributes a screen may set: `name`, `name_plural`, `icon`, `category`, `columns`, `readonly`, `leave_out`,
    `buttons`, `related`, `can_*`, `help`. Methods that a screen with rules overrides: `save`, `remove`, `attached`,
    `refusals`, `form_fields`, `initial`, and for the card `title`, `facts`, `tags`, `strip`, `side`."""

    form_converter = Converter
    form_base_class = AppForm
    can_export = False
    can_import = False

    columns: ClassVar[tuple[str, ...] | None] = None
    leave_out: ClassVar[tuple[str, ...]] = ()
    """Columns that the form does not offer."""
    leave_out_new: ClassVar[tuple[str, ...]] = ()
    """Fields that only the edit form offers."""
    filter_first: ClassVar[tuple[str, ...]] = ()
    """Fields that the filter form shows before the others."""
    group_order: ClassVar[tuple[str, ...]] = ()
    """Sections of the form that come first, by label."""
    group_help: ClassVar[Mapping[str, str]] = {}
    """Section of the form -> one sentence under its heading."""
    readonly: ClassVar[bool] = False
    summed: ClassVar[bool] = True
    """Whether the money of all rows of a list makes a sum that means something."""
    help: ClassVar[str] = ""
    purpose: ClassVar[str] = ""
    """What the screen is for, in one sentence: said where there is nothing to show yet."""
    search_hint: ClassVar[str] = ""
    buttons: ClassVar[tuple[Button, ...]] = ()
    related: ClassVar[tuple[Related, ...]] = ()
    create_label: ClassVar[str] = ""
    create_icon: ClassVar[str] = "plus"
    extra_groups: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = ()
    form_template: ClassVar[str] = "sqladmin/form.html"
    look_template: ClassVar[str] = ""
    """The part of the form's page that a script asks for while it is filled in, from `form_context`."""
    letter: ClassVar[str] = ""
    """The key that leads here after "g"."""
    in_palette: ClassVar[bool] = False
    """The command palette finds its rows, by the quick search."""
    palette_hints: ClassVar[tuple[str, ...]] = ()
    """Columns that tell two rows of one name apart there."""

    # ---- derived from the model -----------------------------------------------------------------------------------

    @classmethod
    def _props(cls) -> list[ColumnProperty[Any]]:
        mapper: Mapper[Any] = inspect(cls.model)
        return [p for p in mapper.column_attrs if "label" in p.columns[0].info and not p.columns[0].info["sensitive"]]

    @classmethod
    def _listed(cls) -> list[ColumnProperty[Any]]:
        props = {p.key: p for p in cls._props()}
        if cls.columns is not None:
            return [props[name] for name in cls.columns]
        return [p for p in props.values() if p.columns[0].info["listed"]]

    @classmethod
    def _form_names(cls) -> list[str]:
        mapper: Mapper[Any] = inspect(cls.model)
        names = []
        for prop in cls._props():
            column = prop.columns[0]
            if (column.primary_key and not column.foreign_keys) or prop.key in cls.leave_out:
                continue
            if column.foreign_keys:
                relation = relation_of(mapper, column)
                if relation is not None:
                    names.append(relation.key)
            elif column.info.get("widget") not in ("per_language", "icon", "bytes"):
                names.append(prop.key)
        return names

    @property
    def mapper(self) -> Mapper[Any]:
        mapper: Mapper[Any] = inspect(self.model)
        return mapper

    @cached_property
    def pk_props(self) -> list[ColumnProperty[Any]]:
        mapper = self.mapper
        return [mapper.get_property_by_column(c) for c in mapper.primary_key]  # type: ignore[misc]

    @cached_property
    def has_card(self) -> bool:
        """A row with a single integer key has a page of its own."""
        return self.can_view_details and len(self.pk_props) == 1

    def plan(self, grants: Grants) -> Plan:
        """The screen as whoever has these grants sees it."""
        key = (live.stamp(), grants)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > PLANS or any(made[0] != key[0] for made in self._plans):
                self._plans.clear()
            plan = self._plan(grants)
            columns = (c if c.stored else replace(c, label=named(c.label, self.identity, c.key)) for c in plan.columns)
            plan = replace(plan, columns=tuple(columns))
            offered = self.all_columns(plan)
            sortable = {c.key: c.sort for c in offered if c.sort}
            plan = self._plans[key] = replace(plan, offered=offered, sortable=sortable)
        return plan

    def all_columns(self, plan: Plan) -> tuple[Column, ...]:
        """Every column that a list of this screen can show to whoever has this plan: its usual ones, then the others.
        Whatever adds columns adds them here."""
        hidden, usual = modules.hidden(), {c.key for c in plan.columns}
        stored = (self._column(p) for p in self._props() if not hidden.column(self.identity, p.key))
        others = (*stored, *(c for c, _listed in custom.columns(self.model)))
        return (*plan.columns, *(c for c in others if c.key not in usual))

    @cached_property
    def _plans(self) -> dict[tuple[int, Grants], Plan]:
        return {}

    def _plan(self, grants: Grants) -> Plan:
        hidden, table = modules.hidden(), self.identity
        columns = tuple(self._column(p) for p in self._listed() if not hidden.column(table, p.key))
        sections: dict[str, list[Column]] = {}
        fields: dict[str, list[str]] = {}
        for prop in self._props():
            group = str.__str__(prop.columns[0].info.get("group", ""))
            if not prop.columns[0].primary_key and (table, prop.key) not in hidden.columns:
                sections.setdefault(group, []).append(self._column(prop, "detail"))
        for name in self.form_columns:
            if (table, name) in hidden.columns:
                continue
            info = self._info(str(name))
            fields.setdefault(str.__str__(info.get("group", "")), []).append(str(name))
        own = custom.columns(self.model)
        if own:
            columns = custom.beside(columns, [c for c, listed in own if listed])
            sections[custom.SECTION] = custom.details(self.model)
            fields[custom.SECTION] = [c.key for c, _listed in own]
        may = [b for b in self.all_buttons() if granted(grants, self.identity, b.action)
               and (b.also is None or granted(grants, *b.also))]  # fmt: skip
        one_key = len(self.pk_props) == 1  # a row with a key of several columns cannot be chosen by one number
        return Plan(
            self, grants, columns, {},
            tuple((label, tuple(cells)) for label, cells in sections.items()),
            tuple((label, tuple(names)) for label, names in fields.items()),
            {at: tuple(b for b in may if at in b.on and (one_key or at != "selection")
                       and (at != "head" or granted(grants, self.identity, b.grant_all or b.action))) for at in PLACES},
        )  # fmt: skip

    def _info(self, name: str) -> Mapping[str, Any]:
        if name in self.mapper.relationships:
            return cast("Mapping[str, Any]", next(iter(self.mapper.relationships[name].local_columns)).info)
        return cast("Mapping[str, Any]", self.mapper.column_attrs[name].columns[0].info)

    def _column(self, prop: ColumnProperty[Any], prefix: str = "cell") -> Column:
        column = prop.columns[0]
        sort: str | None = prop.key
        long = isinstance(column.type, Text) and not column.info["listed"]  # the page marker would hold all of it
        if (
            column.foreign_keys
            or column.info.get("widget") in ("languages", "hue")
            or isinstance(column.type, JSON)
            or long
        ):
            sort = None
        elif f"{prop.key}_folded" in self.mapper.column_attrs:
            sort = f"{prop.key}_folded"
        info, css = column.info, column.info.get("css", "")
        cell: Cell = getattr(self, f"{prefix}_{prop.key}", None) or cell_of(self.mapper, prop)
        if prefix == "detail" and info.get("widget") == "email":
            cell = lambda obj: mail(getattr(obj, prop.key))  # noqa: E731
        elif info.get("copy") and "lead" not in css.split():  # what names a row is a link already
            cell = copied(prop.key, cell)
        return Column(prop.key, info["label"], css, sort, cell, bool(info.get("searched")))

    def prop_of(self, name: str) -> ColumnProperty[Any]:
        """The column behind a field of the form: a relation stands for its foreign key."""
        if name in self.mapper.relationships:
            column = next(iter(self.mapper.relationships[name].local_columns))
            return cast("ColumnProperty[Any]", self.mapper.get_property_by_column(column))
        return self.mapper.column_attrs[name]

    def cell(self, prop: ColumnProperty[Any]) -> Cell:
        return self._column(prop, "detail").cell

    # ---- addresses -----------------------------------------------------------------------------------------------

    @property
    def list_url(self) -> str:
        return f"/admin/{self.identity}/list"

    def card_url(self, pk: Any) -> str:
        return f"/admin/{self.identity}/details/{pk}"

    def pk_of(self, obj: Any) -> str:
        return ",".join(str(getattr(obj, p.key)) for p in self.pk_props)

    # ---- queries -------------------------------------------------------------------------------------------------

    needs: ClassVar[tuple[str, ...]] = ()
    """Columns that the list's buttons and cells use besides those that it shows."""

    def computed(self) -> dict[str, ColumnElement[Any]]:
        """Values that the list's cells use besides columns, by name: expressions over the row. They may not depend on
        the hour or on who asks; the scope is added."""
        return {}

    def card_options(self) -> list[Any]:
        """Loader options of the card: every many-to-one relation."""
        return [
            joinedload(getattr(self.model, r.key)) for r in self.mapper.relationships if r.direction.name == "MANYTOONE"
        ]

    def waiting(self) -> Select[Any] | None:
        """What the figure beside the menu item counts: only what waits for somebody, so that the menu stays quiet."""
        return None

    async def above(self, session: AsyncSession, query: str) -> dict[str, Any]:
        """What stands above the list besides: `views`, tabs [{label, url, current, count}], and `help`, a sentence that
        only now can be said. query: of the list that is shown."""
        return {}

    def news(self, staff_id: int) -> tuple[News, ...]:
        """What the bell tells this person of the rows."""
        return ()

    @cached_property
    def counts(self) -> bool:
        return self.waiting() is not None

    def edit_options(self) -> list[Any]:
        """Loader options of a row that is about to be changed or deleted."""
        return []

    def lookup_order(self) -> list[Any]:
        return [self.pk_column.desc()]

    def offered(self, rows: Select[Any], asked: Mapping[str, str]) -> Select[Any]:
        """What a look-up offers, the best first. asked: what the address of the look-up says besides the term."""
        rows = paths.of_asked(rows, self.of_customers, asked)
        return rows.order_by(*self.lookup_order())

    def always(self) -> list[ColumnElement[bool]]:
        """Conditions that hold for every list of this screen; a table has its own in app/domain/lists.py."""
        return [*self.mine(), *lists.always(self.model)]

    def search(self, text: str) -> ColumnElement[bool] | None:
        """The quick search of the list. None: it has none."""
        return lists.search(self.model, text)

    @cached_property
    def searchable(self) -> bool:
        return self.search("x") is not None

    def of_customers(self, ids: tuple[int, ...]) -> ColumnElement[bool] | None:
        """The rows that belong to these customers. None: they have none."""
        return lists.of_customers(self.model, ids)

    @cached_property
    def reaches_customers(self) -> bool:
        return self.of_customers((0,)) is not None

    @property
    def pk_column(self) -> Any:
        return getattr(self.model, self.pk_props[0].key)

    def number(self, pk: str) -> int:
        """The id of a row as it stands in an address. Raises NotFound for what cannot be one."""
        if not self.has_card or not (pk.isascii() and pk.isdecimal() and len(pk) < 19):
            raise NotFound
        return int(pk)

    def by_pk(self, pk: str) -> Select[Any]:
        return select(self.model).where(self.pk_column == self.number(pk), *self.mine())

    async def load(self, session: AsyncSession, pk: str, *options: Any) -> Any:
        """The row, in the scope of the acting person. Raises NotFound."""
        obj = (await session.scalars(self.by_pk(pk).options(*options))).unique().one_or_none()
        if obj is None:
            raise NotFound
        return obj

    async def card(self, session: AsyncSession, pk: str) -> Any:
        """The row for its card, in the scope of the acting person. Raises NotFound."""
        return await self.load(session, pk, *self.card_options())

    # ---- the card ------------------------------------------------------------------------------------------------

    def title(self, obj: Any) -> str:
        return str(obj)

    def badge(self, obj: Any) -> Markup | None:
        for name in ("status", "state"):
            if name in self.mapper.column_attrs:
                return ready(badge(getattr(obj, name)))
        return None

    def facts(self, obj: Any) -> list[Markup | str]:
        return [self.shown_id(obj)]

    def shown_id(self, obj: Any) -> Markup:
        pk = self.pk_of(obj)
        return ready(copyable(pk, f"#{pk}"))

    async def sections(self, session: AsyncSession, obj: Any, request: Request) -> list[dict[str, Any]]:
        """The main column of the summary; the usual: the columns, by group."""
        shown = []
        for label, columns in plan_of(request, self).details:
            items = [{"label": c.label, "value": ready(html)} for c in columns if (html := c.cell(obj))]
            if items:
                shown.append({"label": gettext(label) if label else gettext("Details"), "kind": "kv", "items": items})
        return shown

    @property
    def plain(self) -> bool:
        """A row means what its columns say, no more: it can be written without a verb."""
        return type(self).save is AppView.save and self.has_card

    def all_buttons(self) -> tuple[Button, ...]:
        taken = (IMPORT,) if self.plain and self.can_create and not self.readonly else ()
        last = (DELETE,) if self.can_delete and not self.readonly else ()
        several = (EDIT_SEVERAL,) if self.bulk else ()
        placed = inplace.BUTTONS if self.in_place else ()
        lists = () if self.own else (PIN, EXPORT)
        found = (*self.buttons, *taken, *several, *placed, *lists, *last)
        return tuple(replace(b, label=named(b.label, self.identity, BUTTON + b.slug)) for b in found)

    @property
    def creating(self) -> str:
        """What the button that makes a row is called; empty where it has no name of its own."""
        label = self.create_named
        return str(label) if self.create_label or label.own else ""

    @cached_property
    def create_named(self) -> Named:
        return cast("Named", named(self.create_label or _("New"), self.identity, CREATE))

    def only(self, pks: tuple[int, ...]) -> filters.Condition:
        """The filter that means exactly these rows."""
        return filters.Leaf(self.pk_props[0].key, "in", pks)

    def lookup_label(self, obj: Any) -> str:
        return str(obj)

    def row_label(self, obj: Any) -> str:
        return str(obj) if "__str__" in vars(type(obj)) else f"#{self.pk_of(obj)}"


__all__ = ["AppView", "Related", "_", "escape"]
