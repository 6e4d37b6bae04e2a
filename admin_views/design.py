"""The catalogue at /admin/design: every part of `ui.j2` in its states, made by the very call that stands beside it.

A new macro gets a line in EXAMPLES; a test fails until it has one. Words in a call are taken from the catalogues.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from markupsafe import Markup
from sqladmin.authentication import login_required
from starlette.requests import Request
from starlette.responses import Response
from wtforms import (
    BooleanField,
    DateField,
    IntegerField,
    MultipleFileField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
    validators,
)

from admin_views.base.fields import (
    AppForm,
    HueField,
    ListField,
    LookupField,
    MomentField,
    MoneyField,
    PickField,
)  # fmt: skip
from admin_views.base.options import choices
from admin_views.base.panel import PanelBase
from admin_views.base.working import stop_button, work
from app.i18n import _, gettext, language, show_date
from app.models.jobs import JobState
from app.render import environment

SOME = [("individual", _("Individual")), ("company", _("Company")), ("sole_proprietor", _("Sole proprietor"))]


class SampleForm(AppForm):
    """One field of every kind."""

    name = StringField(_("Name"), [validators.InputRequired()], description=_("As it appears in lists and messages."))
    email = StringField(_("E-mail"), render_kw={"type": "email"})
    phone = StringField(
        _("Phone"), render_kw={"type": "tel", "placeholder": "+49 30 1234567", "data-doubt": "/admin/doubts"}
    )
    number = IntegerField(_("Priority"), [validators.NumberRange(0, 100)])
    note = TextAreaField(_("Note"), description=_("Customers never see it."))
    kind = SelectField(_("Account type"), choices=SOME)
    country = PickField(_("Country"), kind="country")
    language = PickField(_("Language"), kind="language_or_none")
    timezone = PickField(_("Time zone"), kind="timezone")
    currency = PickField(_("Currency"), kind="currency")
    price = MoneyField(_("Price"))
    date = DateField(_("Next charge"))
    moment = MomentField(_("Registered"), past=True)
    colour = HueField(_("Colour"), [validators.InputRequired()])
    project = LookupField(_("Project"), target="project")
    groups = LookupField(_("Groups"), target="customer_group", multiple=True)
    languages = ListField(_("Languages"))
    state = RadioField(_("Status"), choices=SOME[:2])
    view = RadioField(_("Show"), choices=SOME[:2], render_kw={"data-seg": "1"})
    sticky = BooleanField(_("Sticky"), description=_("A sticky note stands first on the card."))
    password = PasswordField(_("Password"), render_kw={"data-generate": "password"})
    files = MultipleFileField(_("Attachments"))
    text = TextAreaField(_("Text"))


def _form(wrong: bool = False) -> SampleForm:
    data = {
        "name": "Anna Müller", "email": "anna@example.org", "phone": "+49 30 1234567", "number": 3, "country": "DE",
        "language": "de", "timezone": "Europe/Berlin", "currency": "EUR", "price": 128450, "date": date(2026, 3, 1),
        "moment": datetime(2026, 2, 1, 9, 30, tzinfo=UTC), "colour": 2, "languages": ["de", "en"], "state": "company",
        "view": "company", "kind": "company", "sticky": True,
    }  # fmt: skip
    form = cast(Any, SampleForm(data={} if wrong else data))
    form.languages.choices = choices("languages")
    form.groups.chosen = [(1, "VIP"), (2, "Reseller")]
    if wrong:
        for name in ("name", "email", "kind", "country", "price", "date", "colour", "project", "note", "sticky"):
            form[name].errors = [gettext("Please fill this in.")]
    return cast(SampleForm, form)


FIELDS = [name for name in vars(SampleForm) if not name.startswith("_") and name not in ("Meta", "text")]
WRONG = ("name", "kind", "country", "price", "date", "colour", "project", "note", "sticky")

EXAMPLES: dict[str, tuple[str, ...]] = {
    _("Buttons"): (
        "ui.button(_('Save'), kind='primary')",
        "ui.button(_('Cancel'))",
        "ui.button(_('Filter'), 'filter')",
        "ui.button(_('Delete'), 'trash', 'danger')",
        "ui.button(_('Cancel'), kind='plain')",
        "ui.button(_('Save'), kind='primary', attrs={'disabled': true})",
        "ui.link_button(_('Export'), '#', 'download', size='sm')",
        "ui.icon_link(_('Edit'), '#', 'pencil')",
        "ui.dots_menu([{'label': _('Edit'), 'url': '#', 'icon': 'pencil'},"
        " {'label': _('Delete'), 'url': '#', 'icon': 'trash', 'danger': true}], _('More actions'))",
        "ui.theme_button()",
        "ui.language_menu([{'code': 'en', 'name': 'English', 'current': true},"
        " {'code': 'de', 'name': 'Deutsch', 'current': false}], '/language', '/admin/design')",
    ),
    _("States and people"): (
        "ui.badge('ok', _('Active'))",
        "ui.badge('open', _('No services'))",
        "ui.badge('live', _('Running'))",
        "ui.badge('', _('Closed'))",
        "ui.badge('warn', _('Suspended'))",
        "ui.badge('bad', _('Failed'))",
        "ui.badge('info', _('Ordered'))",
        "ui.tag(3, 'VIP')",
        "ui.tag(1, 'Loyal', round=true)",
        "ui.swatch(2, 'Nordhost')",
        "ui.chip(_('Language'), '#')",
        "ui.avatar('AM', 2)",
        "ui.avatar('AM', 4, 'lg')",
        "ui.about({'people': [{'name': 'Anna Müller', 'initials': 'AM', 'hue': 2}], 'rest': _('and %(n)s more', n=3)})",
        "ui.mark()",
    ),
    _("Figures and dates"): (
        "ui.money('1,284.50', 'EUR')",
        "ui.money('-18.40', 'EUR')",
        "ui.when(moment)",
        "ui.date('2026-02-01')",
        "ui.strip([{'label': _('Customers'), 'value': '1,204', 'note': none},"
        " {'label': _('Open tickets'), 'value': '7', 'note': none}])",
        "ui.kv([{'label': _('Country'), 'value': 'DE'}, {'label': _('Phone'), 'value': ''}])",
        "ui.explain({'list_price': 2000, 'currency': 'EUR', 'won': 1, 'considered': ["
        "{'id': 1, 'name': 'DACH', 'off': 200, 'why': 'won'},"
        " {'id': 2, 'name': 'VIP', 'off': 100, 'why': 'smaller'}]})",
        "ui.meter([{'share': 60, 'kind': 'ok'}, {'share': 12, 'kind': 'warn'}, {'share': 4, 'kind': 'bad'}],"
        " _('Progress'), true)",
        "ui.progress(40, 100, _('Progress'))",
    ),
    _("Telling"): (
        "ui.banner('info', _('A sticky note stands first on the card.'))",
        "ui.banner('warn', _('will be deleted. This cannot be undone.'), 'Anna Müller')",
        "ui.banner('bad', _('Too many people are asking at once. Please try again in a moment.'))",
        "ui.banner('lock', _('You may only read here.'))",
        "ui.toasts([{'kind': 'ok', 'text': _('Saved.')}, {'kind': 'warn', 'text': _('Not saved yet.')},"
        " {'kind': 'bad', 'text': _('Not possible')}])",
        "ui.empty('users', _('Nothing here yet'), _('Register customer'), '#')",
        "ui.nothing({'rows': []})",
    ),
    _("Finding the way"): (
        "ui.head(_('Customers'), _('Leave empty what does not matter.'), [{'label': _('Dashboard'), 'url': '#'},"
        " {'label': _('Customers'), 'url': none}])",
        "ui.crumbs([{'label': _('Customers'), 'url': '#'}, {'label': 'Anna Müller', 'url': none}])",
        "ui.tabs([{'label': _('Summary'), 'url': '#', 'current': true},"
        " {'label': _('Tickets'), 'url': '#', 'current': false, 'count': '7'}], _('Parts of this record'))",
        "ui.stepper([{'label': _('To'), 'done': true, 'current': false}, {'label': _('Content'), 'done': false,"
        " 'current': true}, {'label': _('Please confirm'), 'done': false, 'current': false}])",
        "ui.pager({'text': '1–25', 'previous_url': none, 'next_url': '#', 'first_url': '#', 'last_url': '#',"
        " 'sizes': [{'n': 25, 'url': '#', 'current': true}, {'n': 50, 'url': '#', 'current': false}]})",
        "ui.table_end({'totals': ['Σ 1,284.50 EUR'], 'page': none})",
    ),
    _("Cards"): (
        "{% call ui.card(_('Messages'), {'label': _('All'), 'url': '#'}) %}"
        "{{ ui.empty('inbox', _('No messages yet')) }}{% endcall %}",
        "ui.section({'label': _('Details'), 'kind': 'kv', 'items': [{'label': _('Country'), 'value': 'DE'}],"
        " 'url': '#'})",
        "ui.section({'label': _('Users'), 'kind': 'people', 'people': [{'url': '#', 'name': 'anna', 'initials': 'AM',"
        " 'hint': 'Anna Müller', 'note': '', 'hue': 2}], 'add_url': '#'})",
        "ui.section({'label': _('Notes'), 'kind': 'notes', 'notes': [{'text': 'Call first.', 'author': 'Olga Owner',"
        " 'when': moment, 'sticky': true}, {'text': 'Paid by bank.', 'author': 'Olga Owner', 'when': moment,"
        " 'sticky': false}]})",
        "ui.section({'label': _('Field'), 'kind': 'changes', 'changes': [(_('Country'), 'AT', 'DE')]})",
        "ui.section({'label': _('New customers'), 'kind': 'listing', 'listing': {'rows': [{'url': '#', 'label':"
        " 'Anna Müller', 'cells': [{'css': 'meta', 'html': 'Nordhost'}]}]}}, true)",
        "ui.thread([{'author': 'Anna Müller', 'when': moment, 'mine': false, 'html': 'Hello'},"
        " {'author': 'Olga Owner', 'when': moment, 'mine': true, 'html': 'Hello', 'attachments': [{'url': '#',"
        " 'name': 'plan.pdf', 'size': '12 kB'}]},"
        " {'author': 'Olga Owner', 'when': moment, 'mine': false, 'internal': true, 'html': 'Ask Ben'}])",
        "ui.art()",
    ),
    _("Fields"): tuple(f"ui.field(form.{name})" for name in FIELDS),
    _("Fields with a mistake"): ("ui.form_errors(wrong)", *(f"ui.field(wrong.{name})" for name in WRONG)),
    _("Forms"): (
        "ui.groups(form, [{'label': _('Account'), 'help': none, 'fields': ['name', 'kind']},"
        " {'label': none, 'help': none, 'fields': ['note'], 'more': true}])",
        "ui.editor(form.text, [{'name': 'customer.name', 'help': _('Name')}])",
        "ui.hidden_inputs({'page': '1'})",
        "ui.form_words()",
        "ui.doubts(form)",
        "ui.passkey_form('#', '{}', _('Sign in with a passkey'))",
    ),
    _("Charts and long work"): ("ui.chart_files()", "ui.chart(chart)", "ui.work(work)", "ui.work_list([work])"),
}
"""Section -> calls. One that begins with {% stands as it is, others stand inside {{ }}."""

ONCE = ("form_words", "doubts", "chart_files", "passkey_form")
"""Scripts and their words are on a page once."""
WIDE = frozenset({"Telling", "Finding the way", "Cards", "Forms", "Charts and long work"})
"""Sections whose parts take a line of their own."""

_IDS = re.compile(r'\s(id|for|name|aria-(?:controls|describedby|labelledby)|popovertarget|list|data-into)="([^"]+)"')
_REFERENCES = re.compile(r'\s(data-(?:reveal|copy|generate))="#([^"]+)"')


def apart(html: str, mark: str) -> str:
    """The same part a second time on one page: its ids and names are its own."""
    html = _IDS.sub(lambda m: f' {m[1]}="{" ".join(f"{one}-{mark}" for one in m[2].split())}"', html)
    return _REFERENCES.sub(rf' \1="#\2-{mark}"', html).replace(" data-passing", "").replace(" autofocus", "")


def _chart() -> dict[str, Any]:
    numbers = (3, 5, 2, 8, 6, 9, 4)
    return {
        "id": "sample", "kind": "bars",
        "label": gettext("New customers by day"), "sentence": gettext("New customers by day"),
        "head": gettext("Day"), "series": [gettext("Customers")], "url": None,
        "rows": [(show_date(date(2026, 2, d)), str(d), [n]) for d, n in enumerate(numbers, 1)],
    }  # fmt: skip


def _work() -> dict[str, Any]:
    counts = [
        {"label": gettext("Sent"), "n": 404, "kind": "ok", "url": None},
        {"label": gettext("Failed"), "n": 8, "kind": "bad", "url": None},
    ]
    shown = work(
        label=gettext("Sending a campaign"), url="#", state=JobState.RUNNING, going=True, done=412,
        total=1204, rate=38, counts=counts,
    )  # fmt: skip
    return {**shown, "stop": stop_button("#?pks=1", gettext("Stop this campaign? What was already sent stays sent."))}


@lru_cache(maxsize=8)
def catalogue(_language: str) -> list[dict[str, Any]]:
    """Sections of parts: the call, and what it gives in either theme."""
    form, wrong = _form(), _form(wrong=True)
    moment = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
    given = {"form": form, "wrong": wrong, "moment": moment, "chart": _chart(), "work": _work()}
    sections: list[dict[str, Any]] = []
    n = 0
    for label, calls in EXAMPLES.items():
        parts = []
        for call in calls:
            n += 1
            source = call if call.startswith("{%") else f"{{{{ {call} }}}}"
            html = environment().from_string("{% import 'ui.j2' as ui %}" + source).render(given)
            once = any(name in call for name in ONCE)
            shown = Markup("") if once else Markup(apart(html, f"{n}l"))  # noqa: S704
            dark = Markup("") if once else Markup(apart(html, f"{n}d"))  # noqa: S704
            parts.append(SimpleNamespace(call=source, light=shown, dark=dark))
        wide = str.__str__(label) in WIDE
        sections.append({"label": label, "wide": wide, "id": f"part-{len(sections)}", "parts": parts})
    return sections


class Design(PanelBase):
    @login_required
    async def design(self, request: Request) -> Response:
        title = gettext("Design")
        crumbs = [{"label": title, "url": None}]
        sections = catalogue(language())
        return await self.respond(request, "sqladmin/design.html", title=title, crumbs=crumbs, sections=sections)
