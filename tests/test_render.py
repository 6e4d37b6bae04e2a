"""Small things that pages are made of."""

import pytest

from app.render import initials


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ada Lovelace", "AL"), ("köhler & söhne", "KS"), ("иван Петров", "ИП"), ("山田太郎", "山"), ("", "?"),
        ("ბერიძე და შვილები", "ბდ"), ("post@example.org", "PE"),
    ],
)  # fmt: skip
def test_initials_are_letters_that_fonts_have(name: str, letters: str) -> None:
    assert initials(name) == letters
