"""What is sent, by everybody: the same words to the same people."""

from __future__ import annotations

TEXTS = {
    "en": (
        "Maintenance for {{ customer.name }}",
        "Dear {{ customer.contact_person|default(\"customer\") }},\n\n"
        "on **Tuesday night between 2 and 4** we move the servers on which the services of {{ customer.name }} run "
        "(customer {{ customer.id }}). Your sites will be away for some minutes at most.\n\n"
        "- Mail that arrives meanwhile waits and is delivered afterwards.\n"
        "- Backups of the night are taken an hour earlier.\n"
        "- Nothing changes in your settings, in your invoices and in your contract.\n\n"
        "The details are on [the page of your services](https://desk.example.com/my/{{ customer.id }}), and we are "
        "there for questions: just answer this message.\n\nKind regards\n\n{{ project.name }}",
    ),
    "de": (
        "Wartung für {{ customer.name }}",
        "Guten Tag {{ customer.contact_person|default(\"\") }},\n\n"
        "in der **Nacht zum Dienstag zwischen 2 und 4 Uhr** ziehen die Server um, auf denen die Dienste von "
        "{{ customer.name }} laufen (Kunde {{ customer.id }}). Ihre Seiten sind höchstens einige Minuten lang weg.\n\n"
        "- Mails, die währenddessen kommen, warten und werden danach zugestellt.\n"
        "- Die Sicherungen der Nacht beginnen eine Stunde früher.\n"
        "- An Ihren Einstellungen, Rechnungen und Verträgen ändert sich nichts.\n\n"
        "Einzelheiten stehen auf [der Seite Ihrer Dienste](https://desk.example.com/my/{{ customer.id }}), und für "
        "Fragen sind wir da: antworten Sie einfach.\n\nFreundliche Grüße\n\n{{ project.name }}",
    ),
}  # fmt: skip
FIRST = ("Anna", "Bernd", "Carla", "Dora", "Emil", "Jürgen", "Zoë", "Paul", "Rosa", "Søren")
LAST = ("Schmidt", "Miller", "Garcia", "Weber", "Rossi", "Jansen", "Köhler", "Brown", "Fischer", "Novak")


def person(n: int) -> tuple[str, str, str, str]:
    """Name of the account, contact, address, language of the recipient with this number."""
    contact = f"{FIRST[n % 10]} {LAST[n // 10 % 10]}"
    return f"{LAST[n % 10]} & Partner {n}", contact, f"kunde{n}@mail{n % 50}.example.org", "de" if n % 2 else "en"
