"""Which texts are commands and which are answers (PRODUCT.md part E, and "STOP never stored as answer" in part F)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contacts import stop_words
from distributions import keywords
from distributions.keywords import Meaning

TEXTS = st.text(max_size=40) | st.sampled_from(sorted(stop_words.STOP | stop_words.START | stop_words.HELP))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("STOP", Meaning.OPT_OUT),
        (" Stop!! 👋", Meaning.OPT_OUT),
        ("ＳＴＯＰ", Meaning.OPT_OUT),
        ("stop all", Meaning.OPT_OUT),
        ("Arrêt", Meaning.OPT_OUT),
        ("arre\u0302t", Meaning.OPT_OUT),  # the accent as a character of its own
        ("abmelden.", Meaning.OPT_OUT),
        ("Start", Meaning.OPT_IN),
        ("anmelden", Meaning.OPT_IN),
        ("HELP?", Meaning.HELP),
        ("Hilfe!", Meaning.HELP),
        ("Please stop by on Monday", Meaning.REPLY),
        ("I started on Monday", Meaning.REPLY),
        ("no help needed", Meaning.REPLY),
        ("2", Meaning.REPLY),
        ("", Meaning.REPLY),
        ("👋", Meaning.REPLY),
    ],
)
def test_only_a_text_that_is_nothing_but_the_word_is_a_command(text, meaning):
    assert keywords.meaning(text, opted_out=False) == meaning


@pytest.mark.parametrize(("opted_out", "meaning"), [(True, Meaning.OPT_IN), (False, Meaning.REPLY)])
def test_yes_is_an_answer_unless_the_person_has_opted_out(opted_out, meaning):
    assert keywords.meaning("Yes!", opted_out=opted_out) == meaning
    assert not stop_words.is_taken("Yes!")


@pytest.mark.parametrize("text", ["basta", " BASTA! ", "Hör auf"])
def test_an_organization_has_stop_words_of_its_own(text):
    assert keywords.meaning(text, opted_out=False, more_stop_words="Basta, Hör auf,") == Meaning.OPT_OUT
    assert keywords.meaning(text, opted_out=False) == Meaning.REPLY


@pytest.mark.parametrize("own", ["", ",", " , ,", "!"])
def test_an_empty_stop_word_stops_nobody(own):
    assert keywords.meaning("", opted_out=False, more_stop_words=own) == Meaning.REPLY


@example(text="Yes", own="yes")
@given(text=TEXTS, own=st.lists(TEXTS, max_size=3).map(",".join))
def test_a_text_that_is_taken_is_exactly_one_that_is_no_answer(text, own):
    """What is refused as a choice's label is what would never arrive as an answer from somebody who may be asked."""
    is_answer = keywords.meaning(text, opted_out=False, more_stop_words=own) == Meaning.REPLY

    assert stop_words.is_taken(text, own) is not is_answer
