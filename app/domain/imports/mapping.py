"""Which column of a file is which field: as it was said, else by the column's name, else by what stands in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.db import fold
from app.errors import Invalid
from app.i18n import gettext
from app.integrations.mail import valid_address

NAMES: dict[str, str] = {
    "ref": (
        "id customerid customerno customernumber customercode clientid clientnumber accountid "
        "accountnumber code ref reference externalid kundennummer kundennr kundenid nummer idcliente "
        "codigo codigocliente код номерклиента"
    ),
    "company": (
        "company companyname organisation organization organisationname organizationname business firma "
        "firmenname unternehmen компания организация фирма empresa razonsocial sociedad compania"
    ),
    "contact_person": (
        "name fullname contact contactname contactperson customername clientname person kontakt "
        "ansprechpartner kontaktperson контактноелицо фио имяклиента contacto nombrecompleto "
        "personadecontacto"
    ),
    "first_name": "firstname givenname forename vorname имя nombre",
    "last_name": "lastname surname familyname nachname familienname фамилия apellido apellidos",
    "email": ("email mail emailaddress mailaddress emailadresse почта электроннаяпочта емейл correo correoelectronico"),
    "phone": (
        "phone phonenumber telephone tel mobile mobilephone cell telefon telefonnummer handy mobil "
        "телефон мобильный telefono movil"
    ),
    "country": "country countryname countrycode land staat страна pais",
    "street": (
        "address address1 address2 addressline1 addressline2 street streetaddress adresse anschrift "
        "strasse адрес улица direccion calle domicilio"
    ),
    "city": "city town ort stadt wohnort город ciudad poblacion localidad",
    "state": "state province region county bundesland область регион provincia estado",
    "postal_code": "postalcode postcode zip zipcode plz postleitzahl индекс почтовыйиндекс codigopostal cp",
    "language": "language lang locale sprache язык idioma lengua",
    "kind": "type kind accounttype customertype kundentyp kontotyp тип типклиента tipo tipodecliente",
    "vat_number": "vat vatnumber vatid vatno ustid ustidnr umsatzsteuerid taxid nif cif nifiva",
    "registration_number": (
        "registrationnumber companynumber registernumber handelsregisternummer hrb огрн numeroderegistro"
    ),
    "legal_name": "legalname",
    "director": "director ceo geschaftsfuhrer geschaeftsfuehrer директор gerente",
    "username": "username login benutzername логин usuario nombredeusuario",
    "timezone": "timezone zeitzone часовойпояс zonahoraria",
    "note": (
        "note notes comment comments remark notiz bemerkung kommentar примечание комментарий nota notas comentario"
    ),
    "registered_at": (
        "registered registeredat registrationdate created createdat signupdate registriertam "
        "датарегистрации fechaderegistro"
    ),
}
"""Field -> names of columns in the languages of the panel: lower case, letters and digits only, without accents."""
FIELDS = tuple(NAMES)
MANY = frozenset({"street", "phone", "note", "email"})
"""Fields that several columns may feed: the first that is filled counts, streets and notes are joined."""
IGNORE = "-"


def guess(
    columns: Sequence[str], sample: Iterable[Sequence[str]], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Column -> field, in the order of the file; columns that mean nothing to us are left out.

    given: what was said about some columns (``-`` leaves one out); it goes before every guess. Raises Invalid for a
    column that the file does not have or a field that does not exist.
    """
    for column, field in (given or {}).items():
        if column not in columns:
            offered = ", ".join(columns[:40])
            said = gettext("The file has no column %(name)s. It has: %(offered)s")
            raise Invalid(mapping=said % {"name": column, "offered": offered})
        if field not in (*FIELDS, IGNORE):
            raise Invalid(
                mapping=gettext("There is no field %(name)s. There are: %(offered)s")
                % {"name": field, "offered": ", ".join(FIELDS)}
            )
    known = {fold(name).strip(): field for field, names in NAMES.items() for name in names.split()}
    found = dict(given or {})
    used = set(found.values())
    for column in columns:
        field = known.get(_bare(column), "")
        if column not in found and field and (field not in used or field in MANY):
            found[column] = field
            used.add(field)
    if "email" not in used:
        rows = list(sample)
        for place, column in enumerate(columns):
            cells = [row[place].strip() for row in rows if row[place].strip()]
            if column not in found and cells and sum(map(valid_address, cells)) >= 0.8 * len(cells):
                found[column] = "email"
                break
    return {column: found[column] for column in columns if found.get(column, IGNORE) != IGNORE}


def _bare(name: str) -> str:
    return "".join(c for c in fold(name) if c.isalnum())
