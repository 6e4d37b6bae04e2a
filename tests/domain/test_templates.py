"""Message templates: versions, the best one, what is missing, and the system's own mails."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app import db
from app.domain.messaging import system, templates, versions
from app.domain.messaging.macros import examples
from app.errors import Conflict, Invalid, NotFound
from app.i18n import LANGUAGES, speaking
from app.integrations.mail import OutboxMailer
from app.integrations.storage import DirectoryStorage
from app.models.audit import Audit
from app.models.jobs import Job
from app.models.messaging import MailKind, Template
from app.models.templates import TemplateVersion
from app.observe import Actor, Kind, acting
from app.settings import Settings
from tasks import base, mails
from tests import factories as make
from tests.tasks.outbox import mails_in

pytestmark = pytest.mark.usefixtures("database")
assert mails  # registers its task


async def saved(template_id: int) -> Template:
    async with db.reads() as session:
        query = select(Template).where(Template.id == template_id).options(db_texts)
        return (await session.scalars(query)).one()


db_texts = selectinload(Template.texts)


async def save(template_id: int | None = None, **kw: object) -> Template:
    async with db.unit() as session:
        template = None
        if template_id is not None:
            query = select(Template).where(Template.id == template_id).options(db_texts)
            template = (await session.scalars(query)).one()
        return await templates.save_template(session, template=template, **kw)  # type: ignore[arg-type]


async def versions_of(template_id: int) -> list[TemplateVersion]:
    async with db.reads() as session:
        return await versions.latest(session, template_id)


# ---- versions -------------------------------------------------------------------------------------------------------


async def test_each_change_keeps_what_was_there_with_who_and_when() -> None:
    async with db.unit() as session:
        olga = await make.create_staff(session, full_name="Olga Owner")
    with acting(Actor(Kind.STAFF, olga.id)):
        template = await save(values={"name": "News"}, texts={"en": ("One", "a\nb")})
        await save(template.id, texts={"en": ("Two", "a\nc"), "de": ("Zwei", "x")})
        await save(template.id, values={"name": "Other"}, texts={"en": ("Two", "a\nc"), "de": ("Zwei", "x")})
    found = await versions_of(template.id)
    assert [v.number for v in found] == [2, 1]
    assert versions.read(found[1]) == {"en": ("One", "a\nb")}
    assert versions.read(found[0]) == {"en": ("Two", "a\nc"), "de": ("Zwei", "x")}
    assert [str(v.staff) for v in found] == ["Olga Owner"] * 2 and found[0].at is not None
    assert found[0].changed == {"en": [2, 2], "de": [2, 0]}
    shown = versions.differences(versions.read(found[1]), versions.read(found[0]))
    assert {d.language: d.lines for d in shown} == {
        "de": [("+", "Zwei"), ("+", "x")],
        "en": [("-", "One"), ("+", "Two"), (" ", "a"), ("-", "b"), ("+", "c")],
    }


async def test_a_template_older_than_its_versions_keeps_its_first_text() -> None:
    async with db.unit() as session:
        template = await make.create_template(session, texts={"en": ("Old", "old")})
    await save(template.id, texts={"en": ("New", "new")})
    found = await versions_of(template.id)
    assert [(v.number, v.at is None, versions.read(v)) for v in found] == [
        (2, False, {"en": ("New", "new")}), (1, True, {"en": ("Old", "old")})
    ]  # fmt: skip


async def test_restoring_makes_a_new_version() -> None:
    template = await save(values={"name": "News"}, texts={"en": ("One", "a"), "de": ("Eins", "a")})
    await save(template.id, texts={"en": ("Two", "b")})
    async with db.unit() as session:
        row = (await session.scalars(select(Template).options(db_texts))).one()
        await templates.restore(session, template=row, number=1)
    assert templates.texts_of(await saved(template.id)) == {"en": ("One", "a"), "de": ("Eins", "a")}
    found = await versions_of(template.id)
    assert [(v.number, v.restored) for v in found] == [(3, 1), (2, None), (1, None)]
    async with db.unit() as session:
        row = (await session.scalars(select(Template).options(db_texts))).one()
        with pytest.raises(Conflict):
            await templates.restore(session, template=row, number=3)
        with pytest.raises(NotFound):
            await templates.restore(session, template=row, number=9)


async def test_versions_go_with_their_template_and_are_not_audited_twice() -> None:
    template = await save(values={"name": "News"}, texts={"en": ("One", "a")})
    async with db.unit() as session:
        await session.delete(await session.get_one(Template, template.id, options=[db_texts]))
    assert await versions_of(template.id) == []
    async with db.reads() as session:
        nouns = set(await session.scalars(select(Audit.noun)))
    assert "message_template" in nouns and "message_template_version" not in nouns


async def test_mistakes_stand_at_their_fields_with_the_place() -> None:
    with pytest.raises(Invalid) as caught:
        await save(
            values={"name": "News"},
            texts={"en": ("Hi {{ customer.nam }}", "a\n b {% for x in y %}"), "de": ("", "x"), "ru": ("x", " ")},
        )
    fields = {name: str(said) for name, said in caught.value.fields.items()}
    assert fields.keys() == {"subject_en", "body_en", "subject_de", "body_ru"}
    assert fields["subject_en"].startswith('Line 1, position 7: unknown field "customer.nam". Did you mean')
    assert fields["body_en"].startswith("Line 2, position 7: loops (for)")
    with pytest.raises(Invalid):
        await save(values={"name": "News"}, texts={"en": (" ", "")})
    with pytest.raises(Invalid, match="too long or too involved"):  # also where only some would get it
        body = "a {% if customer.phone %}{% if customer.id %}" + "![[" * 20_000 + "{% endif %}{% else %}b{% endif %}"
        await save(values={"name": "News"}, texts={"en": ("s", body)})


async def test_line_breaks_of_browsers_are_no_change() -> None:
    template = await save(values={"name": "News"}, texts={"en": ("One", "a\nb")})
    await save(template.id, texts={"en": ("One ", "a\r\nb\r\n")})
    assert len(await versions_of(template.id)) == 1


def test_large_texts_are_compared_at_once() -> None:
    before, after = {"en": ("s", "a\n" * 3_000)}, {"en": ("s", "b\n" * 3_000)}
    [found] = versions.differences(before, after)
    assert len(found.lines) == 6_004


# ---- choosing and looking -------------------------------------------------------------------------------------------


def test_what_is_missing_is_said_per_language() -> None:
    texts = {"en": ("Hi", "{{ customer.name }} {{ project.name }}"), "de": ("Hallo", "{{ customer.name }}"),
             "ru": ("", "x"), "es": ("x", "{{ oops }}")}  # fmt: skip
    assert templates.lacks(texts, ["en", "de", "fr", "de-AT"], None) == [
        ("fr", "no text: these customers get another language"),
        ("ru", "no subject"),
        ("es", "a mistake: it cannot be sent like this"),
        ("de", "project.name, which stands in: English"),
    ]
    assert templates.lacks({}, ["en", "de"], MailKind.WELCOME) == []


async def test_a_look_uses_the_values_of_a_customer_in_sight_only() -> None:
    async with db.unit() as session:
        mine = await make.create_project(session, name="Mine", sender_email="a@mine.example")
        theirs = await make.create_project(session, name="Theirs")
        anna = await make.create_customer(session, project=mine, name="Anna <b>", phone="")
        boris = await make.create_customer(session, project=theirs, name="Boris")
        staff = await make.create_staff(session, full_name="Sam", projects=(mine,))
    body = "{{ customer.name }}|{{ customer.phone }}|{{ project.name }}|{{ staff.name }}"
    with acting(Actor(Kind.STAFF, staff.id, projects=frozenset({mine.id}))):
        async with db.reads() as session:
            seen = await templates.look(session, subject="S", body=body, kind=None, customer_id=anna.id)
            assert seen.message.html == "<p>Anna &lt;b&gt;||Mine|Sam</p>\n" and seen.empty == ["customer.phone"]
            seen = await templates.look(session, subject="S", body=body, kind=None, project_id=mine.id)
            assert "Müller" in seen.message.text and "|Mine|Sam" in seen.message.text and seen.empty == []
            with pytest.raises(NotFound):
                await templates.look(session, subject="S", body=body, kind=None, customer_id=boris.id)


# ---- the system's mails ---------------------------------------------------------------------------------------------


ONLY_OFFERED = {"ticket.number", "invoice.number", "invoice.days", "invoice.left", "invoice.total", "invoice.due"}
"""For the texts of staff; the shipped ones do not use each of them in each mail."""


@pytest.mark.parametrize("kind", MailKind)
def test_the_shipped_texts_are_there_in_every_language_and_use_only_what_there_is(kind: MailKind) -> None:
    mail = system.MAILS[kind]
    values = examples(*mail.macros)
    texts = system.shipped(kind)
    assert texts.keys() == LANGUAGES.keys()
    assert len(set(texts.values())) == len(LANGUAGES)  # translated
    used = []
    for subject, body in texts.values():
        compiled = system.compiled(subject, body, kind)
        message = compiled.render(values)
        assert message.subject and "{" not in message.subject + message.text
        used.append(compiled.macros)
    assert used.count(used[0]) == len(used)
    assert {m.name for m in mail.macros} - ONLY_OFFERED <= used[0]
    with speaking("de"):
        assert str(kind.label) and str(mail.purpose)


async def test_the_projects_text_then_the_general_then_the_shipped() -> None:
    async with db.unit() as session:
        mine, other = await make.create_project(session), await make.create_project(session)
        kind = MailKind.PASSWORD_RESET
        await make.create_template(session, kind=kind, texts={"de": ("allg", "{{ reset.link }}"), "ru": ("r", "r")})
        await make.create_template(
            session, kind=kind, project_id=mine.id, texts={"de": ("mein", "[x]({{ reset.link }})")}
        )
        await make.create_template(session, kind=kind, enabled=False, texts={"es": ("off", "off")})
        values = examples(*system.MAILS[kind].macros)

        async def subject(project_id: int, language: str) -> tuple[str, str]:
            code, message = await system.written(
                session, kind=kind, project_id=project_id, language=language, values=values
            )
            return code, message.subject

        assert await subject(mine.id, "de-AT") == ("de", "mein")
        assert await subject(other.id, "de") == ("de", "allg")
        assert await subject(mine.id, "ru") == ("ru", "r")
        assert await subject(mine.id, "es") == (
            "es",
            system.shipped(kind)["es"][0].replace("{{ project.name }}", "Nordhost"),
        )
        assert (await subject(mine.id, "fr"))[0] == "en"


async def test_a_text_that_became_unusable_is_replaced_by_the_shipped_one() -> None:
    async with db.unit() as session:
        await make.create_template(session, kind=MailKind.WELCOME, texts={"en": ("{{ gone.field }}", "x")})
        code, message = await system.written(
            session, kind=MailKind.WELCOME, project_id=None, language="en", values=examples()
        )
    assert (code, message.subject) == ("en", "Welcome to Nordhost")


async def test_back_to_the_shipped_text_keeps_ours_as_a_version() -> None:
    template = await save(values={"name": "W", "kind": MailKind.WELCOME}, texts={"en": ("Ours", "x")})
    with pytest.raises(Invalid, match="already"):
        await save(values={"name": "W2", "kind": MailKind.WELCOME, "project_id": None}, texts={"en": ("x", "y")})
    async with db.unit() as session:
        row = (await session.scalars(select(Template).options(db_texts))).one()
        await templates.ship_again(session, template=row)
        texts = await system.texts_for(session, kind=MailKind.WELCOME, project_id=None)
        assert texts == system.shipped(MailKind.WELCOME)
        with pytest.raises(Conflict):
            await templates.ship_again(session, template=row)
        await templates.restore(session, template=row, number=1)
    assert templates.texts_of(await saved(template.id)) == {"en": ("Ours", "x")}


async def test_fields_of_one_mail_are_unknown_elsewhere() -> None:
    with pytest.raises(Invalid, match="unknown field"):
        await save(values={"name": "N"}, texts={"en": ("x", "{{ reset.link }}")})
    with pytest.raises(Invalid, match="unknown field"):
        await save(values={"name": "N", "kind": MailKind.WELCOME}, texts={"en": ("x", "{{ reset.link }}")})
    await save(values={"name": "N", "kind": MailKind.PASSWORD_RESET}, texts={"en": ("x", "{{ reset.link }}")})


@pytest.fixture
def resources(tmp_path: Path, database: str) -> base.Resources:
    settings = Settings(database_url=database, secret_key="x" * 32, data_dir=tmp_path, lease_seconds=5)
    return base.Resources(settings, OutboxMailer(tmp_path / "outbox"), DirectoryStorage(tmp_path / "attachments"))


async def run_jobs(resources: base.Resources) -> None:
    async with db.reads() as session:
        ids = (await session.scalars(select(Job.id).where(Job.name == "messaging.mail").order_by(Job.id))).all()
    for job_id in ids:
        await base.run_job(job_id, resources)


async def test_a_system_mail_arrives_in_the_customers_language(resources: base.Resources) -> None:
    async with db.unit() as session:
        project = await make.create_project(session, name="Nordhost", sender_email="a@n.example", sender_name="Desk")
        customer = await make.create_customer(session, project=project, language="de-AT", contact_person="Jana")
        await system.send(
            session, kind=MailKind.EMAIL_CHANGED, customer_id=customer.id, to="old@x.example",
            macros={"email.old": "old@x.example", "email.new": "new@x.example\r\nBcc: z@x.example"},
        )  # fmt: skip
    await run_jobs(resources)
    [mail] = mails_in(resources)
    assert mail["To"].addresses[0].addr_spec == "old@x.example" and mail["Bcc"] is None
    assert mail["From"].addresses[0].display_name == "Desk" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == "Ihre E-Mail-Adresse bei Nordhost wurde geändert"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None and "new@x.example" in plain.get_content() and "Jana" in plain.get_content()
    assert html is not None and 'lang="de"' in html.get_content()


async def test_a_test_mail_goes_to_oneself(resources: base.Resources) -> None:
    async with db.unit() as session:
        await make.create_project(session, name="Nordhost", sender_email="a@n.example")
        customer = await make.create_customer(session, name="Anna", email="anna@customer.example")
        staff = await make.create_staff(session, full_name="Olga", email="olga@desk.example")
        template = await make.create_template(
            session, kind=MailKind.WELCOME, texts={"en": ("Hi {{ customer.name }}", "x")}
        )
    with acting(Actor(Kind.STAFF, staff.id)):
        async with db.unit() as session:
            row = await session.get_one(Template, template.id, options=[db_texts])
            for code, customer_id in (("en", customer.id), ("de", None)):
                address = await templates.send_test(session, template=row, language=code, customer_id=customer_id)
                assert address == "olga@desk.example"
            with pytest.raises(Invalid):
                await templates.send_test(session, template=row, language="fr")
    await run_jobs(resources)
    found = mails_in(resources)
    assert {m["To"].addresses[0].addr_spec for m in found} == {"olga@desk.example"}
    assert {m["Subject"] for m in found} == {"Hi Anna", "Willkommen bei Nordhost"}
