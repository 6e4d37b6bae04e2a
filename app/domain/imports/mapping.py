"""Which column of a file is which field: as it was said, else by the column's name, else by what stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from app.db import fold
from app.domain import custom
from app.domain.imports.places import country_code
from app.errors import Invalid
from app.i18n import gettext
from app.integrations.mail import valid_address
from app.models.customers import Customer

NAMES: dict[str, str] = {
    "ref": (
        "id customerid customerno customernumber customercode clientid clientno clientnumber accountid accountno "
        "accountnumber userid contactid code ref reference externalid kundennummer kundennr kdnr kundenid kontonummer "
        "konto debitor debitorennummer debitorennr nummer nr idcliente codigo codigocliente код номерклиента"
    ),
    "company": (
        "company companyname organisation organization organisationname organizationname business businessname firma "
        "firma1 firmenname unternehmen nameadressattypunternehmen nameadressatentypunternehmen компания организация "
        "фирма empresa razonsocial sociedad compania"
    ),
    "contact_person": (
        "name fullname contact contactname contactperson customerfullname customername clientname person kontakt "
        "ansprechpartner kontaktperson контактноелицо фио имяклиента contacto nombrecompleto "
        "personadecontacto customer client kunde cliente клиент"
    ),
    "name": "displayname displaynameas kundenname anzeigename nombreparamostrar nameadressattypkeineangabe",
    "first_name": (
        "firstname givenname forename vorname vornameadressattypnaturlperson vornameadressatentypnaturlperson имя "
        "nombre"
    ),
    "last_name": (
        "lastname surname familyname nachname familienname nameadressattypnaturlperson "
        "nameadressatentypnaturlperson фамилия apellido apellidos"
    ),
    "email": (
        "email emails mail emailaddress mailaddress emailadresse useremail email1 почта электроннаяпочта емейл correo "
        "correoelectronico"
    ),
    "phone": (
        "phone phonenumber phone1 phonenumbers telephone tel mobile mobilephone mobilenumber cell telefon telefon1 "
        "telefonnummer handy mobil телефон мобильный telefono movil"
    ),
    "country": (
        "country countryname countrycode countryregion land land1 landkurzel staat страна pais"
    ),
    "street": (
        "address address1 address2 address3 address4 addressline1 addressline2 addressline3 addressline4 street "
        "street1 street2 line1 line2 line3 line4 "
        "billto1 billto2 billto3 billto4 streetaddress adresse anschrift strasse strasse1 strassehausnummer адрес "
        "улица direccion calle domicilio"
    ),
    "city": "city town citytown ort ort1 stadt wohnort город ciudad poblacion localidad",
    "state": "state stateprovince province provincecode region county bundesland область регион provincia estado",
    "postal_code": "postalcode postcode zip zipcode plz plz1 postleitzahl индекс почтовыйиндекс codigopostal cp",
    "language": "language lang locale preferredlocale sprache язык idioma lengua",
    "kind": "type kind accounttype customertype contacttype kundentyp kontotyp kundenart тип типклиента tipo "
            "tipodecliente",
    "vat_number": "vat vatnumber vatid vatno taxvat taxnumber ustid ustidnr umsatzsteuerid euustid euustidnr eustid "
                  "taxid businessvatid nif cif nifiva",
    "registration_number": (
        "registrationnumber companynumber companyregistrationnumber registernumber handelsregisternummer hrb огрн "
        "numeroderegistro"
    ),
    "legal_name": "legalname",
    "director": "director ceo geschaftsfuhrer geschaeftsfuehrer директор gerente",
    "username": "username userlogin login benutzername логин usuario nombredeusuario",
    "timezone": "timezone zeitzone часовойпояс zonahoraria",
    "note": (
        "note notes adminnotes comment comments remark notiz notizen bemerkung bemerkungen kommentar примечание "
        "комментарий nota notas comentario"
    ),
    "registered_at": (
        "registered registeredat userregistered registrationdate created createdat createdon createdutc "
        "datecreated creationdate signup signupdate registriertam kundeseit erstelltam датарегистрации fechaderegistro"
    ),
    "group": "group groupname clientgroup clientgroupname customergroup customergroupname gruppe kundengruppe группа "
             "группаклиентов grupo grupodeclientes",
}  # fmt: skip
"""Field -> names of columns in the languages of the panel: lower case, letters and digits only, without accents."""
FIELDS = tuple(NAMES)
MANY = frozenset({"street", "phone", "note", "email"})
"""Fields that several columns may feed: the first that is filled counts, streets and notes are joined."""
CHOICES = ("kind", "country", "language", "group")
"""Fields whose values are translated: what the file calls "Firma" is a company here."""
IGNORE = "-"
_BEFORE = re.compile(
    r"(?:defaultaddress|billingaddress|cardaddress|billing|billto|bill|baddr|poaddress|po|main|primary|customer|client|"
    r"user|contact|company|rechnungsadresse|rechnung|kunden|kunde)(?=.{2})"
)
"""What export formats put before the names of columns: billing_city, Default Address Zip, POCountry."""
_NEVER = re.compile(r"ship|delivery|saaddress|sacity|sacountry|saregion|sapostal|liefer|bank|iban|tracking|fax")
_PERSONS_TOO = frozenset(
    ("contactname", "customername", "customer", "customerfullname", "client", "clientname", "kunde", "name")
)
"""Columns with the name of the customer, where the names of the person have columns of their own."""


@dataclass(frozen=True)
class Plan:
    """How a file is to be taken. columns: column -> field, or `IGNORE`. values: field -> what the file says (folded) ->
    what it means, or `IGNORE`. defaults: field -> what counts where the file says nothing."""

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    def kept(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Plan:
        return cls(**{name: kept.get(name) or {} for name in ("columns", "values", "defaults")})


def fields() -> tuple[str, ...]:
    """What a column can be: a field of a customer, or one of the custom fields, as ``custom_<key>``."""
    return (*FIELDS, *(spec.name for spec in custom.fields(Customer)))


def header_key(columns: Sequence[str]) -> str:
    """Files with the same columns have the same one."""
    return sha256("\x1f".join(sorted(map(bare, columns))).encode()).hexdigest()


def guess(
    columns: Sequence[str], sample: Iterable[Sequence[str]], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Column -> field, in the order of the file; columns that mean nothing to us are left out.

    given: what was said about some columns (``-`` leaves one out); it goes before every guess. Raises Invalid for a
    column that the file does not have or a field that does not exist.
    """
    _refuse_unknown(columns, given or {})
    found = dict(given or {})
    used = set(found.values())
    names, by_name = {column: bare(column) for column in columns}, _by_name()
    person = any(by_name.get(_shorter(name)) in ("first_name", "last_name") for name in names.values())

    def take(column: str, wanted: str) -> None:
        if person and wanted == "contact_person" and names[column] in _PERSONS_TOO:
            wanted = "name"
        if column not in found and wanted and (wanted not in used or (wanted in MANY and wanted in fresh)):
            found[column] = wanted
            used.add(wanted)
            fresh.add(wanted)

    fresh = set[str]()
    for column in columns:
        take(column, by_name.get(names[column], ""))
    fresh = set[str]()
    for column in columns:
        if not _NEVER.search(names[column]):
            take(column, by_name.get(_shorter(names[column]), ""))
    rows = [row for row in sample if len(row) >= len(columns)]
    for place, column in enumerate(columns):
        if column not in found and not _NEVER.search(names[column]):
            fresh = set()
            take(column, _by_values([row[place].strip() for row in rows], first=place == 0))
    return {column: found[column] for column in columns if found.get(column, IGNORE) != IGNORE}


def _refuse_unknown(columns: Sequence[str], given: Mapping[str, str]) -> None:
    for column, wanted in given.items():
        if column not in columns:
            offered = ", ".join(columns[:40])
            said = gettext("The file has no column %(name)s. It has: %(offered)s")
            raise Invalid(mapping=said % {"name": column, "offered": offered})
        if wanted not in (*fields(), IGNORE):
            raise Invalid(
                mapping=gettext("There is no field %(name)s. There are: %(offered)s")
                % {"name": wanted, "offered": ", ".join(fields())}
            )


def known(cells: Iterable[str]) -> int:
    """How many of these look like names of columns that mean something to us."""
    names, by_name = map(bare, cells), _by_name()
    return len({f for n in names if (f := by_name.get(n) or by_name.get(_shorter(n)))})


def bare(name: str) -> str:
    return "".join(c for c in fold(name) if c.isalnum())


def _shorter(name: str) -> str:
    return _BEFORE.sub("", name, count=1) if _BEFORE.match(name) else name


def _by_name() -> dict[str, str]:
    """Bare name -> field. Custom fields go by their key and their names in all languages."""
    own = {
        bare(text): spec.name
        for spec in custom.fields(Customer)
        for text in (spec.name, spec.key, *spec.label.texts.values())
    }
    return {**own, **_usual()} if own else _usual()


@lru_cache
def _usual() -> dict[str, str]:
    return {fold(name).strip(): wanted for wanted, names in NAMES.items() for name in names.split()}


def _by_values(cells: Sequence[str], *, first: bool) -> str:
    """The field that four of five cells look like; an id only in the first column, where each has another one."""
    filled = [cell for cell in cells if cell]
    most = 0.8 * len(filled)
    if not filled:
        return ""
    if sum(map(valid_address, filled)) >= most:
        return "email"
    if sum(c.isalpha() and len(c) > 3 and country_code(c) is not None for c in filled) >= most:
        return "country"
    if first and len(filled) == len(cells) >= 3 and len(set(filled)) == len(filled) and all(map(_like_id, filled)):
        return "ref"
    return ""


def _like_id(cell: str) -> bool:
    return len(cell) <= 40 and " " not in cell and any(c.isdigit() for c in cell)
