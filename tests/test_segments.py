"""How many segments a text takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions.segments import BASIC, EXTENDED, GSM_PART, GSM_SINGLE, UCS2_PART, UCS2_SINGLE, count, plain


def test_the_alphabet_has_its_127_characters_and_ten_more():
    assert len(set(BASIC)) == len(BASIC) == 127  # 128 places, one of which is the escape
    assert len(set(EXTENDED)) == len(EXTENDED) == 10


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "GSM-7", 0, 0),
        ("a", "GSM-7", 1, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("Grüße für 5 Ø, ñ & à?\n", "GSM-7", 22, 1),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("€" * 152, "GSM-7", 304, 2),
        ("€" * 153, "GSM-7", 306, 3),  # 76 to a part: the 153rd septet stays empty
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the pair moves to the second part, whose end moves on
        ("a" * 152 + "€" + "a" * 151, "GSM-7", 305, 2),
        ("ł", "UCS-2", 1, 1),
        ("ł" * 70, "UCS-2", 70, 1),
        ("ł" * 71, "UCS-2", 71, 2),
        ("ł" * 134, "UCS-2", 134, 2),
        ("ł" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("😀" * 66, "UCS-2", 132, 2),  # 33 to a part
        ("😀" * 67, "UCS-2", 134, 3),
        ("ł" * 66 + "😀" + "ł" * 66, "UCS-2", 134, 3),
    ],
)
def test_the_segments_of_a_text(text, encoding, units, segments):
    result = count(text)

    assert (result.encoding, result.units, result.segments) == (encoding, units, segments)


def test_the_characters_that_force_the_dearer_encoding_are_named_once_each_in_order():
    assert count("It’s “new” – it’s 😀").offending == ("’", "“", "”", "–", "😀")
    assert count("Plain ^{}[] text").offending == ()


def test_typographic_characters_have_plain_twins():
    assert count(plain("It’s “new” –\u00a0now…")).encoding == "GSM-7"


def slowly(text):
    """The same rules, character by character."""
    gsm = all(character in BASIC + EXTENDED for character in text)
    single, part = (GSM_SINGLE, GSM_PART) if gsm else (UCS2_SINGLE, UCS2_PART)
    sizes = [
        (2 if character in EXTENDED else 1) if gsm else (2 if ord(character) > 0xFFFF else 1) for character in text
    ]
    if sum(sizes) <= single:
        return sum(sizes), min(len(text), 1)
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return sum(sizes), parts


texts = st.one_of(
    st.text(alphabet=BASIC + EXTENDED, max_size=700),
    st.text(alphabet="a€😀ł\\", max_size=400),
    st.text(max_size=400),
)


@given(texts)
def test_the_quick_count_equals_the_slow_one(text):
    assert count(text)[1:3] == slowly(text)
