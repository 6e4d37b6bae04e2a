"""The screens of message templates: writing, looking, versions, and the system's own mails."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app import db
from app.domain.messaging import system, templates
from app.models.jobs import Job
from app.models.messaging import MailKind, Template
from app.models.projects import Project
from app.models.tickets import CannedReply
from tests import factories
from tests.admin_views.conftest import SignIn, create_staff
from tests.generated.routes import form_on

CREATE = "/admin/message_template/create"
PREVIEW = "/admin/message_template/preview"


@pytest.fixture
def engine_name() -> str:
    """What a page shows does not depend on the database."""
    return "sqlite"


@pytest.fixture(autouse=True)
async def project(database: str) -> int:
    async with db.unit() as session:
        return (await factories.create_project(session, name="Nordhost", languages=["en", "de"])).id


async def only() -> Template:
    async with db.reads() as session:
        return (await session.scalars(select(Template).options(selectinload(Template.texts)))).one()


def filled(page: str, **values: str) -> dict[str, list[str]]:
    path = re.search(r'<form[^>]* id="form"[^>]*>', page)
    assert path is not None
    return {**form_on(page, ""), **{name: [value] for name, value in values.items()}}


async def look(desk: httpx.AsyncClient, **data: str) -> str:
    answer = await desk.post(PREVIEW, data=data, headers={"x-fragment": "look"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_template_is_written_in_two_languages_and_mistakes_stand_at_their_fields(
    desk: httpx.AsyncClient,
) -> None:
    page = (await desk.get(CREATE)).text
    assert "customer.name" in page and "Müller &amp; Söhne GmbH" in page  # the fields, with their examples
    form = filled(page, name="News", subject_en="Hi", body_en="a\r\nb {{ customer.nam }}", subject_de="Hallo")
    refused = await desk.post(CREATE, data=form)
    assert refused.status_code == 422
    assert "Line 2, position 6: unknown field" in refused.text and "Did you mean" in refused.text
    assert "Write a text." in refused.text
    form |= {"body_en": ["a\r\nb {{ customer.name }}"], "body_de": ["c"], "enabled": ["y"]}
    assert (await desk.post(CREATE, data=form)).status_code == 303
    assert templates.texts_of(await only()) == {"en": ("Hi", "a\nb {{ customer.name }}"), "de": ("Hallo", "c")}


async def test_a_template_without_any_text_is_refused(desk: httpx.AsyncClient) -> None:
    answer = await desk.post(CREATE, data={"name": "News"})
    assert answer.status_code == 422 and "in at least one language" in answer.text


async def test_the_preview_shows_the_mail_what_is_missing_and_the_mistakes(desk: httpx.AsyncClient) -> None:
    shown = await look(
        desk, language="en", subject_en="Hi {{ customer.name }}", body_en="**you** <script>x</script>",
        subject_de="x", body_de="a\n {{ nope }}",
    )  # fmt: skip
    assert "Hi Müller &amp; Söhne GmbH" in shown and "<strong>you</strong>" in shown
    assert "<script" not in shown and "&lt;script&gt;" in shown
    assert 'data-mistake="body_de" data-code="de" data-line="2" data-column="5"' in shown
    shown = await look(desk, language="fr", subject_en="Hi", body_en="x")
    assert "Hi" in shown and "no text: these customers get another language" in shown
    whole = await desk.post(PREVIEW, data={"subject_en": "Hi", "body_en": "there"})
    assert whole.status_code == 200 and "<html" in whole.text and "there" in whole.text
    assert (await desk.get(PREVIEW)).status_code in (404, 405)


async def test_the_preview_as_a_customer_stays_in_the_projects_of_the_staff_member(
    sign_in: SignIn, database: str
) -> None:
    async with db.unit() as session:
        mine = await factories.create_project(session, name="Mine")
        anna = await factories.create_customer(session, project=mine, name="Anna")
        boris = await factories.create_customer(session, name="Boris")
    limited = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    texts = {"language": "en", "subject_en": "Dear {{ customer.name }}", "body_en": "{{ customer.phone }}x"}
    shown = await look(limited, preview_as=str(anna.id), **texts)
    assert "Dear Anna" in shown and "customer.phone" in shown  # named as empty
    shown = await look(limited, preview_as=str(boris.id), **texts)
    assert "Boris" not in shown and "does not exist" in shown
    writer = await sign_in(await create_staff([("message_template", "details")]))
    answer = await writer.post(PREVIEW, data={**texts, "preview_as": str(anna.id)})
    assert answer.status_code == 403
    nobody = await sign_in(await create_staff([("customer", "list")]))
    assert (await nobody.post(PREVIEW, data=texts)).status_code == 403


async def test_the_card_shows_versions_their_differences_and_restores_one(desk: httpx.AsyncClient) -> None:
    assert (await desk.post(CREATE, data={"name": "News", "subject_en": "One", "body_en": "a"})).status_code == 303
    template = await only()
    edit = f"/admin/message_template/edit/{template.id}"
    form = filled((await desk.get(edit)).text, body_en="b {{ customer.name }}")
    assert form["subject_en"] == ["One"]
    assert (await desk.post(edit, data=form)).status_code == 303
    late = await desk.post(edit, data={**form, "body_en": ["from an older form"]})
    assert late.status_code == 422 and "Somebody else has saved this meanwhile" in late.text
    assert "from an older form" in late.text  # nothing is lost
    card = f"/admin/message_template/details/{template.id}"
    page = (await desk.get(card)).text
    assert "Version 2" in page and "Version 1" in page and "Olga Owner" in page and f"{card}?version=2" in page
    assert "b Müller" in page and "no text: these customers" in page  # the mail, and German is missing
    page = (await desk.get(f"{card}?version=2")).text
    assert re.search(r"<del[^>]*>.*?a</del>", page) and re.search(r"<ins[^>]*>.*?b \{\{ customer.name \}\}</ins>", page)
    assert "Restore this version" not in page  # it is what is in use
    page = (await desk.get(f"{card}?version=1")).text
    restore = re.search(r'href="(/admin/message_template/action/restore[^"]*version=1)"', page)
    assert restore is not None
    page = (await desk.get(restore[1].replace("&amp;", "&"))).text
    assert re.search(r'<option selected value="1">', page)
    answer = await desk.post("/admin/message_template/action/restore", data={"pks": str(template.id), "version": "1"})
    assert answer.status_code == 303
    assert templates.texts_of(await only()) == {"en": ("One", "a")}
    assert "as version 1 was" in (await desk.get(card)).text
    assert (await desk.get(f"{card}?version=77")).status_code == 404
    again = await desk.post("/admin/message_template/action/restore", data={"pks": str(template.id), "version": "3"})
    assert again.status_code == 422 and "This is what it says now." in again.text


async def test_a_system_mail_is_written_anew_and_goes_back_to_the_shipped_text(desk: httpx.AsyncClient) -> None:
    page = (await desk.get("/admin/message_template/action/system")).text
    for kind in MailKind:
        assert str(kind.label) in page and f"{CREATE}?kind={kind.value}" in page
    page = (await desk.get(f"{CREATE}?kind=password_reset")).text
    assert "reset.link" in page and "[Choose a new password]({{ reset.link }})" in page
    form = filled(page)
    assert form["kind"] == ["password_reset"] and form["name"] == ["Password reset"]
    form["subject_de"] = ["Neues Kennwort {{ reset.minutes }}"]
    assert (await desk.post(CREATE, data=form)).status_code == 303
    template = await only()
    assert template.kind is MailKind.PASSWORD_RESET
    assert [t.language for t in template.texts] == ["de"]  # what is as shipped stays as shipped
    card = f"/admin/message_template/details/{template.id}"
    page = (await desk.get(card)).text
    assert "Neues Kennwort 30" in page and "As shipped" in page and "Back to the shipped text" in page
    page = (await desk.get("/admin/message_template/action/system")).text
    assert card in page
    page = (await desk.get(f"/admin/message_template/edit/{template.id}")).text
    assert "Neues Kennwort" in page and "A new password for" in page
    second = await desk.post(CREATE, data={**form, "name": ["Another"]})
    assert second.status_code == 422 and "already" in second.text
    answer = await desk.post("/admin/message_template/action/ship", data={"pks": str(template.id), "_confirmed": "1"})
    assert answer.status_code == 303
    page = (await desk.get(card)).text
    assert "Neues Kennwort 30" not in page and "Back to the shipped text" not in page
    async with db.reads() as session:
        texts = await system.texts_for(session, kind=MailKind.PASSWORD_RESET, project_id=None)
    assert texts == system.shipped(MailKind.PASSWORD_RESET)


async def test_an_unknown_system_mail_is_refused(desk: httpx.AsyncClient) -> None:
    answer = await desk.post(CREATE, data={"name": "X", "kind": "nonsense", "subject_en": "a", "body_en": "b"})
    assert answer.status_code == 422 and "no such system mail" in answer.text


async def test_the_composer_is_offered_templates_of_its_category_and_project_first(
    desk: httpx.AsyncClient, project: int
) -> None:
    async with db.unit() as session:
        category = await factories.create_category(session)
        other = await factories.create_project(session)
        await factories.create_template(session, name="A other project", project_id=other.id)
        await factories.create_template(session, name="B general")
        await factories.create_template(session, name="C of the category", category_id=category.id)
        await factories.create_template(session, name="D mine", project_id=project)
        await factories.create_template(session, name="E system", kind=MailKind.WELCOME)
        await factories.create_template(session, name="F off", enabled=False)

    async def names(query: str) -> list[str]:
        answer = (await desk.get(f"/admin/message_template/lookup?{query}")).json()
        return [row["text"] for row in answer["results"]]

    assert await names("term=") == ["A other project", "B general", "C of the category", "D mine"]
    assert (await names(f"term=&category={category.id}"))[0] == "C of the category"
    assert (await names(f"term=&project={project}"))[0] == "D mine"
    assert await names(f"term=general&project={project}") == ["B general"]


async def test_a_test_mail_is_on_its_way_to_the_one_who_asked(desk: httpx.AsyncClient) -> None:
    async with db.unit() as session:
        template = await factories.create_template(session, texts={"en": ("Hi {{ customer.name }}", "x")})
    url = "/admin/message_template/action/test"
    page = (await desk.get(f"{url}?pks={template.id}")).text
    assert '<option value="en">' in page or 'value="en"' in page
    answer = await desk.post(url, data={"pks": str(template.id), "language": "en"})
    assert answer.status_code == 303
    async with db.reads() as session:
        [job] = (await session.scalars(select(Job).where(Job.name == "messaging.mail"))).all()
    assert job.args["subject"] == "Hi Müller & Söhne GmbH" and job.args["to"].startswith("staff")
    form = form_on(
        (await desk.get("/admin/message_template/action/system")).text, "/admin/message_template/action/system"
    )
    assert form == {"kind": ["welcome"]}
    assert (await desk.post("/admin/message_template/action/system", data=form)).status_code == 303
    async with db.reads() as session:
        jobs = (await session.scalars(select(Job).where(Job.name == "messaging.mail").order_by(Job.id))).all()
    assert len(jobs) == 2 and jobs[1].args["subject"] == "Welcome to Nordhost"
    assert (await desk.post("/admin/message_template/action/system", data={"kind": "nonsense"})).status_code == 422


FOR_ALL = "Choose one of your projects: this text would be for all."


@pytest.mark.parametrize("screen", ["message_template", "canned_reply"])
async def test_staff_limited_to_projects_write_nothing_that_is_for_all(
    sign_in: SignIn, project: int, screen: str
) -> None:
    model: Any = Template if screen == "message_template" else CannedReply
    create = factories.create_template if model is Template else factories.create_canned
    async with db.unit() as session:
        mine = await session.get_one(Project, project)
        all_id = (await create(session, name="General")).id
        own_id = (await create(session, name="Own", project_id=project)).id
    browser = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    at = f"/admin/{screen}"
    words = {"subject_en": "Mine", "body_en": "My text"} if model is Template else {"text_en": "My text"}

    async def send(path: str, **more: str) -> httpx.Response:
        return await browser.post(path, data=filled((await browser.get(path)).text, **words, **more))

    for path, more in (
        (f"{at}/create", {"name": "New", "project": ""}),
        (f"{at}/edit/{all_id}", {"name": "Changed"}),
        (f"{at}/edit/{all_id}", {"name": "Taken", "project": str(project)}),
        (f"{at}/edit/{own_id}", {"project": ""}),
    ):
        refused = await send(path, **more)
        assert refused.status_code == 422 and FOR_ALL in refused.text, path
    delete = {"_confirmed": "1"}
    refused = await browser.post(f"{at}/action/delete", data={**delete, "pks": str(all_id)})
    assert refused.status_code == 422 and "Your role does not allow this." in refused.text
    assert (await send(f"{at}/create", name="New", project=str(project))).status_code == 303
    assert (await send(f"{at}/edit/{own_id}", name="Changed")).status_code == 303
    async with db.reads() as session:
        found = (await session.execute(select(model.name, model.project_id))).all()
    assert {tuple(r) for r in found} == {("General", None), ("Changed", project), ("New", project)}
    assert (await browser.post(f"{at}/action/delete", data={**delete, "pks": str(own_id)})).status_code == 303


async def test_staff_limited_to_projects_leave_the_welcome_mail_of_all_alone(sign_in: SignIn, project: int) -> None:
    texts = {"en": ("Welcome", "Hello")}
    async with db.unit() as session:
        mine = await session.get_one(Project, project)
        template = await templates.save_template(
            session, template=None, texts=texts, values={"name": "Welcome", "kind": MailKind.WELCOME}
        )
    async with db.unit() as session:
        query = select(Template).options(selectinload(Template.texts))
        changed = {"en": ("Welcome", "Hello again")}
        await templates.save_template(session, template=(await session.scalars(query)).one(), texts=changed)
    browser = await sign_in(await create_staff([("*", "*")], projects=(mine,)))
    for action, more in (("ship", {}), ("restore", {"version": "1"})):
        path = f"/admin/message_template/action/{action}"
        data = {"pks": str(template.id), "_confirmed": "1", **more}
        refused = await browser.post(path, data=data)
        assert refused.status_code == 422 and FOR_ALL in refused.text, action
    made = {"name": "Mine", "kind": "welcome", "subject_en": "Bad", "body_en": "Bad", "project": "", "enabled": "1"}
    refused = await browser.post(CREATE, data=made)
    assert refused.status_code == 422 and FOR_ALL in refused.text
    assert templates.texts_of(await only()) == changed
