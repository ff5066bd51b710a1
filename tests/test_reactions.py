"""Reactions by phone are no answers, in the forms of each language; what people write is no reaction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions.replies.reactions import FORMS, is_reaction

QUESTION = "How was the wait?\n\n1 - Short\n2 - Fine\n3 - Too long"
QUOTED = ["“{}”", "„{}“", "„{}”", "«{}»", "« {} »", "«\u00a0{}\u00a0»", '"{}"', "‘{}’", "»{}«", "“\u200a{}\u200a”"]


@pytest.mark.parametrize("language", sorted(FORMS))
@given(data=st.data())
def test_each_form_is_known_with_any_marks_emoji_and_quotation(language, data):
    form = data.draw(st.sampled_from(FORMS[language]))
    marks = data.draw(st.sampled_from(QUOTED))
    emoji = data.draw(st.sampled_from(["👍", "❤️", "‼️", "❓", "🤷🏽‍♀️", "\u200b😂\u200b"]))
    said = data.draw(
        st.sampled_from([QUESTION, "How was the wait?", "Thank you!", "Hi", "She said “no” again, didn’t she?"])
    )
    end = data.draw(st.sampled_from(["", ".", " ", "\u200a"]))

    assert is_reaction(form.replace("*", emoji).replace("{}", marks.format(said)) + end)


@pytest.mark.parametrize(
    "text",
    [
        "Liked “How was the wait?”",
        'Loved "How was the wait?"',
        "Laughed at “How was the wait?\n\n1 - Short\n2 - Fine…”",
        "Emphasised “How was the wait?",
        "Gefällt „How was the wait?“",
        "„How was the wait?“ ein Herz hinzugefügt",
        "A aimé « How was the wait? »",
        "A ajouté un « J’adore » à « How was the wait? ».",
        "Reacted 👍 to “How was the wait?”",
        "\u200aReacted \u200b😂\u200b to “\u200aHow was the wait?\u200a”\u200a",
        "👍 to “How was the wait?”",
        "Tykkäsi viestistä “How was the wait?”",  # in no table: it quotes our text and says hardly more
        "“How was the wait?”に👀でリアクションしました",
    ],
)
def test_a_reaction_to_our_text_is_one_whatever_is_asked(text):
    assert is_reaction(text, [QUESTION])
    known = "Tykkäsi" not in text and "リ" not in text
    assert is_reaction(text, ["Hello", QUESTION], asks_for_words=True) == known


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9",
        "Fine",
        "“Fine”",
        '"2"',
        "2 - “Fine”",
        "Liked it, thanks",
        "Loved the nurses",
        "I liked “the food” a lot",
        "Liked “the food”, but the wait was long",
        "Go to “the door”",
        "Questioned whether you open on Sunday",
        "“How was the wait?”",
        "You ask “How was the wait?” - it was terrible",
        "Gefällt mir gut",
        "👍",
        "👍 to all of you",
        "ja, „gut“",
    ],
)
@pytest.mark.parametrize("asks_for_words", [True, False])
def test_what_people_write_is_no_reaction(text, asks_for_words):
    assert not is_reaction(text, [QUESTION], asks_for_words=asks_for_words)


@pytest.mark.parametrize("text", ["Loved “the nurses”", 'Liked "the coffee"', "A adoré « le café »"])
def test_where_words_are_asked_for_a_quotation_of_ours_has_to_prove_it(text):
    assert not is_reaction(text, [QUESTION], asks_for_words=True)


@given(text=st.text(max_size=200) | st.text(alphabet="“”„«»\"'’ a👍", max_size=4_000))
def test_any_text_is_read_in_a_moment(text):
    assert is_reaction(text, [QUESTION]) in (True, False)
