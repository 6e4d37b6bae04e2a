"""The configuration as a file: it goes round without a change, and what is wrong with one says where."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app import db
from app.domain.config import applying, presets, yamlfile
from app.domain.config.pictures import lying_in
from app.domain.config.planning import compare, export, read_file
from app.domain.config.sections import SECTIONS
from app.domain.config.yamlfile import FileProblem
from app.domain.staff import add_staff
from app.errors import Forbidden
from app.i18n import LANGUAGES
from app.integrations.storage import DirectoryStorage, Storage
from app.models.audit import Audit
from app.models.automation import Rule
from app.models.billing import PaymentMethod
from app.models.catalog import Product
from app.models.customers import Attitude
from app.models.projects import Project
from app.models.staff import Grant, Role
from app.observe import Actor, Kind, acting
from tests import factories

pytestmark = pytest.mark.usefixtures("database")
EVERYTHING = (Path(__file__).parent / "everything.yaml").read_bytes()
PLAIN = re.sub(rb"# Logos\n.*?\n\n", b"", EVERYTHING, flags=re.DOTALL)
"""Without the files."""


async def exported(storage: Storage | None = None) -> str:
    async with db.reads() as session:
        return await export(session, storage)


async def differing(data: bytes, *, prune: bool = False, storage: Storage | None = None) -> list[str]:
    async with lying_in(storage), db.reads() as session:
        return applying.lines(await compare(session, data, prune=prune))


async def test_it_goes_round(tmp_path: Path) -> None:
    """What was exported comes into an empty database, and the same bytes come out; nothing differs then."""
    store = DirectoryStorage(tmp_path)

    def stored() -> list[bytes]:
        return [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert await exported() == EVERYTHING.decode().partition("\n\n")[0] + "\n"
    tried = await applying.rehearse(EVERYTHING, storage=store)
    assert tried.differences.count("create") > 25
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Project)) == 0, "it was only tried"
    assert stored() == []
    taken = await applying.take(EVERYTHING, storage=store)
    assert taken.altered == []
    assert await exported(store) == EVERYTHING.decode() and await exported() == PLAIN.decode()
    async with db.reads() as session:
        assert await session.scalar(select(Rule.secret).where(Rule.name == "Welcome")), "made anew, and in no file"
        logo = await session.scalar(select(Project.logo).where(Project.name == "Nordhost"))
    assert stored() == [await store.read(logo)] and stored()[0].startswith(b"\x89PNG")
    assert await differing(EVERYTHING, prune=True, storage=store) == ["Nothing differs."]
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).where(Audit.action == "config_taken")) == 1
    assert {section.name for section in SECTIONS} == set(yamlfile.read(EVERYTHING).items)
    assert await differing(PLAIN, prune=True, storage=store) == ["- logos: Nordhost", "1 is removed."]
    with pytest.raises(FileProblem, match="everything would be removed"):
        await applying.take(b"# nothing\n", prune=True)
    await applying.take(PLAIN, prune=True, storage=store)
    assert await exported(store) == PLAIN.decode()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_differs_is_told_and_taken() -> None:
    await applying.take(PLAIN)
    text = PLAIN.decode()
    changed = text.replace("price: 4.90", "price: 5.50").replace("hue: 2\n    priority: 40", "hue: 3\n    priority: 40")
    changed = changed.replace("name: Bank transfer", "name: Transfer")
    changed = changed.replace("subject: Hi\n", "subject: Hello again\n")
    assert await differing(changed.encode()) == [
        "+ payment_methods: Transfer",
        "~ products: Start, EUR", "    price: 4.90 -> 5.50",
        "~ groups: Resellers", "    hue: 2 -> 3",
        "~ message_templates: Hello",
        "    texts.en.subject: Hi -> Hello again",
        "1 row is made, 3 are changed.",
    ]  # fmt: skip
    assert (await differing(changed.encode(), prune=True))[-2:] == [
        "- payment_methods: Bank transfer", "1 row is made, 3 are changed, 1 is removed.",
    ]  # fmt: skip
    await applying.take(changed.encode(), prune=True)
    assert await differing(changed.encode(), prune=True) == ["Nothing differs."]
    async with db.reads() as session:
        assert set(await session.scalars(select(PaymentMethod.name))) == {"Card", "Transfer"}
        assert (
            await session.scalar(select(Product.price).where(Product.currency == "EUR", Product.name == "Start")) == 550
        )
    named = text.replace("  - name: 'no'\n", "  - name: other\n")
    with pytest.raises(FileProblem, match=r"rules.2.actions.4: attitudes: no would be removed"):
        await differing(named.encode(), prune=True)  # what goes cannot be named
    # a file that says little changes little, and names may be written as short as they are clear
    small = b"groups:\n- name: Resellers\n  products: [Twin]\n"
    with pytest.raises(FileProblem, match=r"line 3, groups.1.products.1: Several in products are called Twin"):
        await differing(small)
    assert await differing(small.replace(b"Twin", b"'Twin, EUR #1'")) == [
        "~ groups: Resellers", "    products: Start, JPY, Twin, EUR #2 -> Twin, EUR #1", "1 is changed.",
    ]  # fmt: skip


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_is_used_is_not_removed_and_all_stays() -> None:
    await applying.take(PLAIN)
    async with db.unit() as session:
        group = await factories.create_group(session, name="Extra")
        project = await session.scalar(select(Project).where(Project.name == "Nordhost"))
        customer = await factories.create_customer(session, project_id=project.id)
        await factories.create_membership(session, customer=customer, group=group)
    before = await exported()
    text = PLAIN.decode().replace("name: Bank transfer", "name: Transfer")
    with pytest.raises(FileProblem, match=r"groups\[Extra\]: It is still in use \(membership\)"):
        await applying.take(text.encode(), prune=True)
    assert await exported() == before


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_nobody_takes_over_more_than_they_may() -> None:
    async with db.unit() as session:
        await add_staff(session, username="owner", full_name="Owner", email="o@example.com", password="k" * 20)
        session.add(role := Role(name="Clerk", grants=[Grant(screen=s, action="*") for s in ("attitude", "role")]))
        await session.flush()
        clerk = await add_staff(session, username="clerk", full_name="C", email="c@example.com", role=role.name)
    file = b"attitudes:\n- name: New\nroles:\n- name: Clerk\n  grants: {'*': ['*']}\n"
    with acting(Actor(Kind.STAFF, staff_id=clerk.id)):
        with pytest.raises(FileProblem, match=r"line 4, roles\[Clerk\]: You cannot give more than you have yourself"):
            await applying.take(file)
    with acting(Actor(Kind.STAFF, staff_id=clerk.id, projects=frozenset({1}))), pytest.raises(Forbidden):
        await exported()
    async with db.reads() as session:
        assert await session.scalar(select(func.count()).select_from(Attitude)) == 0, "all or nothing"


BOMB = b"a: &a [x,x]\nb: &b [*a,*a]\n"
ROLE = b"roles:\n- name: A\n"
LATE = (b"projects", b"products", b"segments", ROLE)
WRONG = [
    (BOMB, r"line 1: Anchors and aliases"),
    (b"settings: !!python/object/apply:os.system ['id']\n", r"line 1: Tags"),
    (b"roles: [" * 60, r"line 1: This is nested too deeply"),
    (b"[" * 1_000_000, r"nested too deeply"),
    (b"roles:\n- {name: A, name: B}\n", r"line 2: name stands here twice"),
    (b"roles: []\nroles: []\n", r"line 2: roles stands here twice; first in line 1"),
    (b"roles:\n- name: A\n- name: A\n", r"line 3, roles: A stands here twice; first in line 2"),
    (b"role:\n- name: A\n", r"line 1, role: There is nothing called role here. Perhaps roles\?"),
    (ROLE + b"  grant: {}\n", r"line 3, roles.1.grant: .* Perhaps grants\?"),
    (ROLE + b"  grants: {ticket: [fly]}\n", r"line 3, roles\[A\].grants: There is nothing to grant"),
    (ROLE + b"  grants: yes\n", r"line 3, roles.1.grants: Names with their values"),
    (b"roles: no\n", r"line 1, roles: A list is expected here"),
    (b"- roles\n", r"line 1: Sections with their names"),
    (b"? {a: b}\n: c\n", r"line 1: A name is expected here"),
    (b"roles: {\n", r"line 2: This is not YAML"),
    (b"roles:\n\t- name: A\n", r"line 2: This is not YAML"),
    (b"roles:\n- name: 'A\n  grants: {}\n", r"line 4: This is not YAML: .*quoted scalar, line 2\). Look at the ind"),
    (b"roles:\n- {name: A, colour: x}\n", r"line 2, roles.1.colour: .* One of these, please: name, desc"),
    (b"roles: []\n---\nroles: []\n", r"line 2: One document"),
    (b"roles: \xff\n", r"line 1: This is not text in UTF-8"),
    (b"a: b\nroles: \x00\n", r"line 2: This holds a character that cannot stand in YAML"),
    (b"roles:\n- description: x\n", r"line 2, roles.1: name is missing"),
    (b"projects:\n- {name: A, sender_email: a@b.example, hue: 99}\n", r"projects.1.hue: A number from 1 to 8"),
    (b"projects:\n- {name: A, sender_email: a@b.example, enabled: 'true'}\n", r"enabled: true or false"),
    (b"projects:\n- {name: A, sender_email: a@b.example, country: Norway}\n", r"country: "),
    (b"projects:\n- {name: A, sender_email: a@b.example, credit_limit: 1e999999}\n", r"credit_limit: "),
    (b"projects:\n- {name: A, sender_email: a@b.example, credit_limit: .nan}\n", r"credit_limit: "),
    (b"projects:\n- {name: A}\n", r"line 2, projects\[A\].sender_email: Please fill this in"),
    (b"projects:\n- {name: {x: y}}\n", r"projects.1.name: A single value"),
    (b"groups:\n- name: A\n  products: [Stert]\nproducts:\n- name: Start\n",
     r"line 3, groups.1.products.1: products: There is nothing called Stert here. Perhaps Start\?"),
    (b"products:\n- {name: A, currency: EUR, price: 1.005}\n", r"line 2, products\[A\].price: Too many decimals"),
    (b"logos:\n- {project: A, picture: QUJD}\n", r"line 2, logos.1.picture: This is not a PNG or JPEG"),
    (b"logos:\n- {project: A, picture: no-base64}\n", r"line 2, logos.1.picture: A picture as base64"),
    (b"exchange_rates:\n- {base: EUR, quote: USD, rate: 1.1}\n", r"line 2, exchange_rates.EUR..on_day: Please fill"),
    (b"exchange_rates:\n- {base: EUR, quote: USD, on_day: 2026-01-01, rate: 0}\n", r"rate above zero"),
    (b"segments:\n- name: A\n  condition: {field: nam, op: is, value: x}\n", r"segments\[A\].condition: .*nam"),
    (b"segments:\n- name: A\n  condition: {field: group, op: in, value: [Nobody]}\n", r"line 3, .*: groups: "),
    (b"settings:\n  modlues: []\n", r"line 2, settings.modlues: .*modules"),
    (b"roles:\n- {name: '" + b"x" * 5000 + b"'}\n", r"At most 200 characters"),
    (b"x" * 11_000_000, r"The file is larger than 10 MB"),
    (b"roles: [" + b"a," * 110_000 + b"]", r"More than 100000 values"),
]  # fmt: skip


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
async def test_what_cannot_be_taken_says_where() -> None:
    """Also where what is wrong only shows when it is made; then nothing of what was made before it stays."""
    for data, said in WRONG:
        start = time.process_time()
        with pytest.raises(FileProblem, match=said):
            await applying.take(data + b"attitudes:\n- name: First\n" if data.startswith(LATE) else data)
        assert time.process_time() - start < 5
        async with db.reads() as session:
            assert await session.scalar(select(func.count()).select_from(Attitude)) == 0, "nothing half done"


_values = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(-(10**9), 10**9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=30), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_values)
def test_whatever_is_written_is_read_again(value: object) -> None:
    text = yamlfile.write({"a": value}, head="b\nc")
    assert yamlfile.plain(yamlfile.read(text.encode())) == {"a": value}


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", [preset.name for preset in presets.PRESETS])
async def test_a_preset_is_taken_as_it_stands(name: str) -> None:
    """Also beside the demo's words for the same things, and once is enough."""
    data = presets.read(name)
    taken = await applying.take(data)
    assert taken.altered == [] and taken.differences.count("create") > 25
    assert await differing(data) == ["Nothing differs."]
    for row in read_file(data)[0]["message_templates"]:
        assert set(row.plain["texts"]) == set(LANGUAGES)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("name", "code"), [("hosting", "de"), ("isp", "ru"), ("saas", "es")])
async def test_a_preset_speaks_the_language_of_who_takes_it(name: str, code: str) -> None:
    """Whatever is named in it, by one word wherever it stands; and what could be said twice is not."""
    data = presets.read(name, code)
    assert (await applying.take(data)).altered == []
    assert await differing(data) == ["Nothing differs."]
    known = presets.words()
    assert all(of.keys() == LANGUAGES.keys() - {"en"} for of in known.values())
    for at in LANGUAGES.keys() - {"en"}:
        english, rows = read_file(presets.read(name))[0], read_file(presets.read(name, at))[0]
        for section, of in english.items():
            for row, same in zip(of, rows[section], strict=True):
                for field in {"name", "description", "department"} & row.plain.keys():
                    assert not row.plain[field] or same.plain[field] == known[row.plain[field]][at], row.plain[field]
