"""Reading what providers write: whatever comes, no more than a wrong value comes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions import reading
from extensions.contract import ApiResponse

ODD = [None, True, False, [], {}, b"x", object()]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "text", "word", "plain", "number"),
    [
        ("a", "a", "a", "a", None),
        ("12", "12", "12", "12", 12),
        (12, "", "12", "12", 12),
        ("007", "007", "007", "007", 7),
        (0, "", "0", "0", 0),
        (-1, "", "-1", "-1", None),
        (1.5, "", "", "1.5", None),
        ("1" * 10, "1" * 10, "1" * 10, "1" * 10, None),
        ("٣", "٣", "٣", "٣", None),
        ("\ud800", "\ud800", "\ud800", "?", None),
        *((value, "", "", "", None) for value in ODD),
    ],
)
def test_a_scalar_is_read_as_text_or_number(value, text, word, plain, number):
    found = reading.text(value), reading.word(value), reading.plain(value), reading.number(value)

    assert found == (text, word, plain, number)


@given(anything, st.lists(st.text(max_size=5), max_size=3))
def test_nothing_that_a_provider_writes_breaks_the_reading(value, names):
    reading.within(value, *names)
    assert isinstance(reading.mapping(value), dict)
    for read in (reading.text, reading.word, reading.plain):
        assert isinstance(read(value), str)
    assert reading.number(value) is None or reading.number(value) >= 0
    assert reading.moment(value) is None or reading.moment(value).tzinfo is not None


def test_a_place_within_nested_objects():
    told = {"a": {"b": [1], "c": None}}

    assert reading.within(told, "a", "b") == [1]
    assert [reading.within(told, *names) for names in (("a", "c", "d"), ("a", "b", "c"), ("x",), ("a", "x"))] == [
        None
    ] * 4
    assert reading.within(told) is told


@pytest.mark.parametrize(
    ("body", "found"), [(b'{"a": 1}', {"a": 1}), (b"[]", {}), (b"", {}), (b"\xff", {}), (b"1", {})]
)
def test_an_answer_that_is_no_object_has_no_fields(body, found):
    assert reading.object_of(ApiResponse(200, {}, body)) == found


def test_a_date_is_read_in_utc_where_it_names_no_zone():
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)

    for written in ("Thu, 26 Nov 2026 12:00:00 GMT", "Thu, 26 Nov 2026 13:00:00 +0100", "Thu Nov 26 12:00:00 2026"):
        assert reading.moment(written) == noon
    assert [reading.moment(value) for value in ("soon", "", 7, None)] == [None] * 4


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [("a", "a", True), ("a", "b", False), ("é", "é", True), ("\ud800", "?", False), ("", "", True)],
)
def test_secrets_are_compared_whatever_they_are_written_in(one, other, equal):
    assert reading.same(one, other) is equal
    assert (reading.digest(one) == reading.digest(other)) is equal


@pytest.mark.parametrize(
    ("said", "carried"),
    [
        ("Hi Ann é ☺", "Hi Ann é ☺"),
        ("🎉", "?"),
        ("🎉🎉", "??"),
        ("🇩🇪", "?"),
        ("👍🏽 ok", "? ok"),
        ("👩‍⚕️!", "?!"),
        ("\ud800x", "?x"),
    ],
)
def test_each_emoji_becomes_one_question_mark_where_it_cannot_be_carried(said, carried):
    assert reading.without_astral(said) == carried
