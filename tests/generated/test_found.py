"""What the generated tests have found, each by its name."""

from __future__ import annotations

from tests.generated.conftest import House
from tests.generated.routes import form_on


async def test_rows_with_a_key_of_several_columns_cannot_be_looked_up_or_chosen(house: House) -> None:
    """Both were a 500: a delivery has no id."""
    assert (await house.ask("GET", "/admin/delivery/lookup", "owner")).status_code == 404
    chosen = str(house.world.own["campaign"])
    assert (await house.ask("GET", f"/admin/delivery/action/export?pks={chosen}", "owner")).status_code == 404
    sent = await house.ask("POST", "/admin/delivery/action/export", "owner", data={"pks": chosen, "kind": "csv"})
    assert sent.status_code == 404


async def test_an_export_of_nothing_chosen_is_refused_and_not_broken_off(house: House) -> None:
    for screen in ("delivery", "customer"):
        sent = await house.ask("POST", f"/admin/{screen}/action/export", "owner", data={"kind": "csv", "all": "%"})
        assert sent.status_code in (404, 422) and "Nothing is chosen" in sent.text, screen


async def test_a_user_can_be_edited(house: House) -> None:
    """The form offered the project, which the verb refuses: every save failed."""
    url = f"/admin/user/edit/{house.world.own['user']}"
    form = form_on((await house.ask("GET", url, "owner")).text, url)
    assert "project" not in form
    saved = await house.ask("POST", url, "owner", data={**form, "full_name": "Anna Schmidt"})
    assert saved.status_code == 303
    card = await house.ask("GET", url.replace("edit", "details"), "owner")
    assert "Anna Schmidt" in card.text and "Mine Project" in card.text


async def test_a_reader_can_sign_in_anew_from_an_old_tab(house: House) -> None:
    """It was refused as a change that the read-only role may not make."""
    sent = await house.ask("POST", "/client/login", "reader", data={"username": "nobody", "password": "wrong"})
    assert sent.status_code == 422
