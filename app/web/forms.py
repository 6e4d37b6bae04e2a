"""Forms of the client area, and reading what was posted."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.exceptions import HTTPException
from wtforms import Form, HiddenField, MultipleFileField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, EqualTo, InputRequired, Length, ValidationError

from app.errors import AppError, Invalid, NotFound, TooLarge
from app.i18n import _, gettext

NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_KEY = re.compile(r"[\w-]{16,40}", re.ASCII)
LONGEST_TEXT = 20_000
MOST_FILES = 10
_UNSEEN = {c: None for c in (*range(32), *range(127, 160)) if c not in (9, 10, 13)}


def number(text: str) -> int:
    """An id from an address; NotFound for what cannot be one (also one that no column can hold)."""
    if not NUMBER.fullmatch(text) or int(text) >= 2**63:
        raise NotFound
    return int(text)


class Posted:
    """What was posted. Control characters, NUL among them, are gone from texts; empty file inputs are no files."""

    def __init__(self, form: FormMultiDict) -> None:
        self._form = form

    def getlist(self, name: str) -> list[Any]:
        values = self._form.getall(name, [])
        return [v.translate(_UNSEEN) if isinstance(v, str) else v for v in values if _is_something(v)]

    def get(self, name: str, default: str = "") -> str:
        """The first text of that name."""
        return next((v for v in self.getlist(name) if isinstance(v, str)), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.getlist(name))

    def __iter__(self) -> Any:
        return iter(self._form)

    def __len__(self) -> int:
        return len(self._form)


def _is_something(value: Any) -> bool:
    return not isinstance(value, UploadFile) or bool(value.filename)


async def posted(request: Request[Any, Any, Any]) -> Posted:
    """Read the form. Raises AppError 400 for a body that is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        if await request.body():
            raise AppError(_("This form could not be read."), 400)
        return Posted(FormMultiDict([]))
    try:
        return Posted(await request.form())
    except (HTTPException, ValueError, LookupError):
        raise AppError(_("This form could not be read."), 400) from None


REQUIRED = _("Please fill this in.")


def _strip(text: Any) -> str:
    return text.strip() if isinstance(text, str) else ""  # a file posted in the place of a text is no text


class AppForm(Form):
    """A form that can show the Invalid of a verb at its fields."""

    def place(self, error: AppError, default: str) -> None:
        """default: the field that shows what belongs to no field of this form."""
        if isinstance(error, TooLarge):
            error = Invalid(attachments=str(error))
        fields = error.fields if isinstance(error, Invalid) else {"": str(error)}
        for name, text in fields.items():
            name = "files" if name == "attachments" else name
            field = self[name if name in self else default]
            field.errors = [*field.errors, str(text)]


class VersionedForm(AppForm):
    """A form about a row that somebody else may change meanwhile."""

    version = HiddenField()

    def stale(self, row: Any) -> bool:
        """Whether the row is not the one that was shown any more. The form then takes its version: who sends it once
        more has been told."""
        shown, self.version.data = str(self.version.data or ""), str(row.version)
        return bool(shown) and shown != str(row.version)


STALE = _("Somebody else has changed this meanwhile. What you see here is what you typed; save it again to keep it.")


class OnceForm(AppForm):
    """A form that does something only once, however often it is sent: by the key that its page was made with."""

    once_key = HiddenField(default=lambda: secrets.token_urlsafe(18))

    def once(self, customer_id: int) -> str | None:
        """The key as it is kept, of this customer alone; None for a form without."""
        key = self.once_key.data
        return f"{customer_id}:{key}" if isinstance(key, str) and _KEY.fullmatch(key) else None


def _texts_only(form: Form, field: Any) -> None:
    if field.data and not isinstance(field.data, str):
        raise ValidationError(gettext("A text is expected here."))


def _few_files(form: Form, field: Any) -> None:
    if any(not isinstance(f, UploadFile) for f in field.data or ()):
        raise ValidationError(gettext("A file is expected here."))
    if len(field.data or ()) > MOST_FILES:
        raise ValidationError(gettext("At most %(n)d files at once, please.") % {"n": MOST_FILES})


def _chosen(files: Any) -> list[Any]:
    """A file input in which nothing was chosen is posted as an empty text."""
    return [f for f in files or () if f != ""]


only_text, stripped = _texts_only, _strip
"""For forms that stand with their pages."""


def _text_field(label: str, rows: int = 5) -> TextAreaField:
    checks = [_texts_only, DataRequired(REQUIRED), Length(max=LONGEST_TEXT, message=_("This text is too long."))]
    return TextAreaField(label, checks, filters=[_strip], render_kw={"rows": rows})


class ReplyForm(AppForm):
    kept: Sequence[Mapping[str, str]] = ()
    """Files of an earlier try that are stored already: {token, name, size}."""

    text = _text_field(_("Your answer"))
    files = MultipleFileField(_("Attach files"), [_few_files], filters=[_chosen])


class QuestionForm(AppForm):
    kept: Sequence[Mapping[str, str]] = ()

    category = SelectField(_("About"), validate_choice=True)
    subject = StringField(
        _("Subject"), [_texts_only, DataRequired(REQUIRED), Length(max=300, message=_("This subject is too long."))],
        filters=[_strip],
    )  # fmt: skip
    text = _text_field(_("Your question"), 8)
    files = MultipleFileField(_("Attach files"), [_few_files], filters=[_chosen])


class ProfileForm(VersionedForm):
    name = StringField(
        _("Name"), [_texts_only, DataRequired(REQUIRED), Length(max=200, message=_("This is too long."))],
        filters=[_strip], render_kw={"autocomplete": "name"},
    )  # fmt: skip
    contact_person = StringField(
        _("Contact person"), [_texts_only, Length(max=200, message=_("This is too long."))], filters=[_strip]
    )
    phone = StringField(
        _("Phone"), [_texts_only, Length(max=40, message=_("This is too long."))], filters=[_strip],
        render_kw={"type": "tel", "inputmode": "tel", "autocomplete": "tel", "placeholder": "+49 30 1234567"},
    )  # fmt: skip
    country = SelectField(_("Country"), render_kw={"autocomplete": "country"})
    address = TextAreaField(
        _("Address"), [_texts_only, Length(max=500, message=_("This is too long."))], filters=[_strip],
        render_kw={"rows": 3, "autocomplete": "street-address"},
    )  # fmt: skip
    language = SelectField(
        _("Language"), description=_("Messages are written in it."), render_kw={"autocomplete": "language"}
    )
    timezone = SelectField(_("Time zone"))


class PasswordForm(AppForm):
    old = PasswordField(_("Your password now"), [_texts_only, InputRequired(REQUIRED)])
    new = PasswordField(
        _("New password"), [_texts_only, InputRequired(REQUIRED)], description=_("At least 8 characters."),
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip
    again = PasswordField(
        _("New password, once more"), [EqualTo("new", _("The two new passwords differ."))],
        render_kw={"autocomplete": "new-password"},
    )  # fmt: skip


class DeletionForm(AppForm):
    reason = TextAreaField(
        _("Why"), [_texts_only, Length(max=2000, message=_("This text is too long."))], filters=[_strip],
        description=_("You need not say it."), render_kw={"rows": 3},
    )  # fmt: skip


class AccountForm(AppForm):
    customer = SelectField(_("Account"), coerce=int)


def choices(pairs: Sequence[tuple[Any, str]]) -> list[tuple[Any, str]]:
    return [(value, str(label)) for value, label in pairs]
