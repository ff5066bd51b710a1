"""A survey by text, read without a phone: what a reply means, and what is asked next (docs/requirements.md)."""

from __future__ import annotations

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from surveys import conversation
from surveys.conversation import (
    Flaw,
    Kind,
    NotUnderstood,
    Question,
    Script,
    Step,
    Turn,
    ask,
    flaws,
    opening,
    question_flaws,
    question_problems,
    read,
    step,
)
from surveys.question_types import LONGEST_ANSWER, TYPES

NPS = Question(Kind.NPS, "How likely are you to recommend us, 0 to 10?")
WAIT = Question(Kind.CHOICE, "How was the wait?", ("Short", "Fine", "Too long"))
VISITS = Question(Kind.CHOICE, "How often?", ("Never", "1-3 visits", "4-6 visits"))
HOURS = Question(Kind.CHOICE, "Within?", ("24 hours", "48 hours", "2 weeks or more"))
DOSES = Question(Kind.CHOICE, "Which dose?", ("5", "10", "15"))
ROOMS = Question(Kind.CHOICE, "Which?", ("Tea room", "Tea garden", "Two halls", "Bistro"))
GOOD = Question(Kind.CHOICES, "What was good?", ("Seats", "Tea and cake", "Toys", "Books"))
AGAIN = Question(Kind.YES_NO, "Would you come again?")
KIDS = Question(Kind.NUMBER, "How many children?", minimum=0, maximum=12)
DEGREES = Question(Kind.NUMBER, "How cold is it?")
WHY = Question(Kind.TEXT, "What should we do better?")
HELLO = Question(Kind.STATEMENT, "Three short questions.")
LATER = Question(Kind.STATEMENT, "The results come in May.")


def reading(question, text):
    """The stored answer, or None."""
    try:
        return read(question, text)
    except NotUnderstood:
        return None


# --- How a question is texted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (NPS, "How likely are you to recommend us, 0 to 10?"),
        (WAIT, "How was the wait?\n\n1 - Short\n2 - Fine\n3 - Too long"),
        (GOOD, "What was good?\n\n1 - Seats\n2 - Tea and cake\n3 - Toys\n4 - Books"),
        (AGAIN, "Would you come again?\n\n1 - Yes\n2 - No"),
        (KIDS, "How many children?"),
        (WHY, "What should we do better?"),
        (HELLO, "Three short questions."),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_question_is_its_text_an_empty_line_and_its_choices_with_their_codes(question, text):
    assert ask(question) == text


def test_yes_and_no_are_in_the_language_of_the_conversation():
    with translation.override("de"):
        assert ask(AGAIN).endswith("1 - Ja\n2 - Nein")
        assert read(AGAIN, "Ja") == "1"
        assert read(AGAIN, "no") == "2"


# --- What a reply means ----------------------------------------------------------------------------------------------

ONES = ["1", " 1 ", "1.", "1)", "(1)", "#1", "1!", '"1"', "1\n", "01", "１", "１．", "①", "1️⃣", "١", "१", "1 👍"]
NOT_ONES = ["-1", "−1", "–1", "- 1", "(-1)", "+1", "1,5", "1.5", "1-2", "1/10", "11", "1000", "l", ""]


@pytest.mark.parametrize("question", [NPS, WAIT, GOOD, AGAIN, KIDS], ids=lambda question: question.kind)
@pytest.mark.parametrize("text", [*ONES, "one", "One.", "ONE", "eins", "Eins!"])
def test_what_reads_as_one_does_for_every_kind(question, text):
    assert read(question, text) == "1"


@pytest.mark.parametrize("question", [NPS, WAIT, AGAIN], ids=lambda question: question.kind)
@pytest.mark.parametrize("text", NOT_ONES)
def test_what_is_not_one_is_never_read_as_one(question, text):
    if (question, text) == (NPS, "1/10"):
        assert reading(question, text) == "1"  # one out of ten
        return
    assert reading(question, text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("0", "0"),
        ("10", "10"),
        ("10.", "10"),
        ("007", "7"),
        ("ten", "10"),
        ("Zehn", "10"),
        ("null", "0"),
        ("fünf", "5"),
        ("FÜNF", "5"),
        ("fu\u0308nf", "5"),
        ("fuenf", "5"),
        ("zwo", "2"),
        ("11", None),
        ("7.5", None),
        ("7,5", None),
        ("9 10", None),
        ("eleven", None),
        ("nine or ten", None),
        ("very likely", None),
        ("👍", None),
        ("9" * 5_000, None),
    ],
)
def test_a_recommendation_is_a_whole_number_from_0_to_10(text, answer):
    assert reading(NPS, text) == answer


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        # exact code, exact label, beginning, number word: in this order
        (WAIT, "3", "3"),
        (WAIT, "4", None),
        (WAIT, "0", None),
        (WAIT, "Too long", "3"),
        (WAIT, "  too   LONG!! ", "3"),
        (WAIT, "ｔｏｏ ｌｏｎｇ", "3"),
        (WAIT, "too", "3"),
        (WAIT, "s", "1"),
        (WAIT, "2 - Fine", "2"),
        (WAIT, "2) fine", "2"),
        (WAIT, "2 Short", None),
        (WAIT, "2 - ", "2"),
        (WAIT, "fine thanks", None),
        (WAIT, "long", None),
        (WAIT, "1 2", None),
        (WAIT, "1 and 2", None),
        (WAIT, "?", None),
        # a beginning counts if one choice alone has it
        (ROOMS, "Tea", None),
        (ROOMS, "tea g", "2"),
        (ROOMS, "Bis", "4"),
        (ROOMS, "Tw", "3"),
        (ROOMS, "two", "3"),
        (ROOMS, "2", "2"),
        (ROOMS, "three", "3"),
        (ROOMS, "five", None),
        # labels that have digits themselves
        (VISITS, "1-3", "2"),
        (VISITS, "4-6 visits", "3"),
        (VISITS, "4", "3"),
        (VISITS, "1", "1"),
        (HOURS, "24", "1"),
        (HOURS, "48 hours", "2"),
        (HOURS, "4", None),
        (HOURS, "-24", None),
        (DOSES, "10", "2"),
        (DOSES, "10.", "2"),
        (DOSES, "-10", None),
        (DOSES, "2", "2"),
    ],
)
def test_a_choice_is_read_from_its_code_its_label_or_a_beginning_of_its_own(question, text, answer):
    assert reading(question, text) == answer


@pytest.mark.parametrize(
    ("label", "other", "text"),
    [
        ("Straße", "Bahn", "STRASSE"),
        ("Überhaupt nicht", "Sehr", "überhaupt"),
        ("की", "का", "की"),  # told apart by an accent alone
        ("ไม่", "ใช่", "ไม่"),
        ("是", "不是", "是"),
        ("نعم", "لا", "نعم"),
    ],
)
def test_choices_may_be_in_any_script(label, other, text):
    assert question_flaws(Question(Kind.CHOICE, "?", (other, label))) == []
    assert read(Question(Kind.CHOICE, "?", (other, label)), text) == "2"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1,3", "1,3"),
        ("3,1", "1,3"),
        ("1 3", "1,3"),
        ("1, 3", "1,3"),
        ("1. 3.", "1,3"),
        ("1.3", "1,3"),
        ("1;3", "1,3"),
        ("1/3", "1,3"),
        ("1+3", "1,3"),
        ("1\n3", "1,3"),
        ("(1) (3)", "1,3"),
        ("1 and 3", "1,3"),
        ("1 & 3", "1,3"),
        ("1, 2 and 3", "1,2,3"),
        ("1 und 3", "1,3"),
        ("１、３", None),  # the comma of another script: asked again
        ("１，３", "1,3"),
        ("1 1 1", "1"),
        ("4", "4"),
        ("Seats", "1"),
        ("seats, toys", "1,3"),
        ("Seats and Toys", "1,3"),
        ("Tea and cake", "2"),
        ("tea and cake and toys", None),
        ("Tea and cake, toys & books", "2,3,4"),
        ("tea", "2"),
        ("t", None),
        ("1, toys", "1,3"),
        ("one and three", "1,3"),
        ("eins, drei", "1,3"),
        ("1 - Seats\n3 - Toys", "1,3"),
        ("1,5", None),  # one of them is no choice: nothing is guessed
        ("1,-3", None),
        ("1-3", None),  # a range, or two? Asked again
        ("13", None),
        ("-1", None),
        ("all", None),
        (",", None),
        ("", None),
    ],
)
def test_several_choices_are_read_together_or_not_at_all(text, answer):
    assert reading(GOOD, text) == answer


def test_codes_come_before_labels_that_look_like_several_of_them():
    question = Question(Kind.CHOICES, "How often?", ("1-3 times", "4-6 times", "More"))

    assert read(question, "1,3") == "1,3"
    assert read(question, "1-3") == "1"
    assert read(question, "1-3 times, more") == "1,3"


@pytest.mark.parametrize(
    "text", ["yes", "Yes!", "y", "YEAH", "ok", "ja", "Jo", "oui", "Sí", "si", "sim", "1", "1 - Yes"]
)
def test_yes_in_several_languages(text):
    assert read(AGAIN, text) == "1"


@pytest.mark.parametrize("text", ["no", "No.", "n", "nope", "nein", "Nee", "non", "não", "nao", "2", "two", "2 - No"])
def test_no_in_several_languages(text):
    assert read(AGAIN, text) == "2"


@pytest.mark.parametrize("text", ["maybe", "yes and no", "yes no", "3", "0", "-1", "not sure", "👍👎", "👎 yes", ""])
def test_what_is_neither_yes_nor_no(text):
    assert reading(AGAIN, text) is None


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (DEGREES, "36", "36"),
        (DEGREES, "36.6", "36.6"),
        (DEGREES, "36,6", "36.6"),
        (DEGREES, "３６，６", "36.6"),
        (DEGREES, "36.60", "36.6"),
        (DEGREES, "36.", "36"),
        (DEGREES, "36!", "36"),
        (DEGREES, "-5", "-5"),
        (DEGREES, "−5", "-5"),
        (DEGREES, "–5,5", "-5.5"),
        (DEGREES, "+5", "5"),
        (DEGREES, "-0", "0"),
        (DEGREES, "100", "100"),
        (DEGREES, "0.125", "0.125"),
        (DEGREES, "999999999999", "999999999999"),
        (DEGREES, "seven", "7"),
        (DEGREES, "Sieben!", "7"),
        (DEGREES, "1,000", None),  # a thousand to some, one to others
        (DEGREES, "1.000", None),
        (DEGREES, "1 000", None),
        (DEGREES, "1e3", None),
        (DEGREES, "NaN", None),
        (DEGREES, "Infinity", None),
        (DEGREES, "36,6,6", None),
        (DEGREES, "2-3", None),
        (DEGREES, "5 kg", None),
        (DEGREES, "9" * 13, None),
        (KIDS, "0", "0"),
        (KIDS, "12", "12"),
        (KIDS, "13", None),
        (KIDS, "12.5", None),
        (KIDS, "-1", None),
        (KIDS, "zehn", "10"),
        (Question(Kind.NUMBER, "?", minimum=5), "4", None),
        (Question(Kind.NUMBER, "?", minimum=5), "4000", "4000"),
        (Question(Kind.NUMBER, "?", maximum=-5), "-5", "-5"),
        (Question(Kind.NUMBER, "?", maximum=-5), "-4,99", None),
    ],
)
def test_a_number_may_have_decimals_with_a_point_or_a_comma_and_stays_in_its_range(question, text, answer):
    assert reading(question, text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("  More chairs!  ", "More chairs!"),
        ("1", "1"),
        ("Ｍore ½ m² ☕", "Ｍore ½ m² ☕"),
        ("line\nbreak", "line\nbreak"),
        ("👍", "👍"),
        ("   \n ", None),
        ("", None),
    ],
)
def test_free_text_is_kept_in_the_persons_own_characters(text, answer):
    assert reading(WHY, text) == answer


def test_free_text_is_cut_at_a_length():
    assert read(WHY, "x" * (LONGEST_ANSWER + 1)) == "x" * LONGEST_ANSWER
    assert read(WHY, "x" * (LONGEST_ANSWER - 1) + " y") == "x" * (LONGEST_ANSWER - 1)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        (NPS, "Please reply with a number from 0 to 10."),
        (WAIT, "Please reply with one number from 1 to 3."),
        (GOOD, "Please reply with the numbers of all that apply, for example 1,4."),
        (AGAIN, "Please reply with 1 for yes or 2 for no."),
        (KIDS, "Please reply with a number from 0 to 12."),
        (Question(Kind.NUMBER, "?", minimum=5), "Please reply with a number of at least 5."),
        (Question(Kind.NUMBER, "?", maximum=5), "Please reply with a number of at most 5."),
        (DEGREES, "Please reply with a number."),
        (WHY, "Please reply with a few words."),
        (Question(Kind.NPS, "?", error_text="0 is bad, 10 is good."), "0 is bad, 10 is good."),
        (Question(Kind.TEXT, "?", error_text="A word, please."), "A word, please."),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_who_is_not_understood_is_told_what_would_be_an_answer(question, sentence):
    with pytest.raises(NotUnderstood) as said:
        read(question, "" if question.kind == Kind.TEXT else "hm")

    assert str(said.value) == sentence


# --- What is asked next ----------------------------------------------------------------------------------------------


def test_statements_come_with_the_question_that_follows():
    script = Script((HELLO, NPS, LATER, HELLO, WHY))

    assert opening(script) == Turn(f"{HELLO.text}\n\n{NPS.text}", 1)
    assert step(script, 1, "9") == Step(f"{LATER.text}\n\n{HELLO.text}\n\n{WHY.text}", 4, "9")


def test_the_last_answer_completes_the_survey_with_the_thank_you_text():
    assert step(Script((NPS,), thank_you="Thank you!"), 0, "9") == Step("Thank you!", None, "9", completed=True)


def test_statements_after_the_last_question_come_with_the_thank_you_text():
    script = Script((NPS, LATER), thank_you="Thank you!")

    assert step(script, 0, "9").reply == f"{LATER.text}\n\nThank you!"


def test_without_a_thank_you_text_nothing_is_said_at_the_end():
    assert step(Script((NPS,)), 0, "9") == Step("", None, "9", completed=True)


def test_a_reply_that_is_no_answer_is_met_with_what_would_be_one_and_the_question_again():
    met = step(Script((WAIT, WHY), retries=2), 0, "hm")

    assert met == Step(f"Please reply with one number from 1 to 3.\n\n{ask(WAIT)}", 0, misses=1)


def test_after_the_repetitions_a_required_question_ends_the_survey_unfinished():
    script = Script((NPS, WHY), thank_you="Thank you!", retries=2)
    steps = [step(script, 0, "hm", misses=misses) for misses in (0, 1, 2)]

    assert [(one.position, one.misses) for one in steps] == [(0, 1), (0, 2), (None, 0)]
    assert steps[-1].reply == "We could not read your answer. The survey ends here; thank you for your time."
    assert not any(one.completed or one.answer for one in steps)


def test_after_the_repetitions_an_optional_question_is_passed_over():
    optional = Question(Kind.NPS, "0 to 10?", required=False)

    assert step(Script((optional, WHY), retries=1), 0, "hm", misses=1) == Step(WHY.text, 1)
    assert step(Script((optional,), "Thank you!", retries=0), 0, "hm") == Step("Thank you!", None, completed=True)


def test_an_answer_after_a_miss_counts_like_any_other():
    assert step(Script((NPS, WHY)), 0, "9", misses=2) == Step(WHY.text, 1, "9")


def test_a_survey_without_a_question_waits_for_nothing():
    assert opening(Script(())) == Turn("", None)
    assert opening(Script((HELLO, LATER))) == Turn(f"{HELLO.text}\n\n{LATER.text}", None)


# --- What must hold whatever is asked and whatever is replied ---------------------------------------------------------

LABELS = st.text(max_size=12) | st.sampled_from(
    ["Yes", "1", "2", "10", "1,2", "1-3 times", "Tea and cake", "one", "-1"]
)
REPLIES = (
    st.text(max_size=60)
    | st.sampled_from([*ONES, *NOT_ONES, "yes", "2,1", "Tea and cake", "zehn", "0", "\x00", "٣", "²", "1e999999999"])
    | st.from_regex(r"\A[-+]?[0-9]{1,14}([.,][0-9]{0,7})?\Z")
    | st.lists(st.integers(-1, 12)).map(lambda numbers: ", ".join(map(str, numbers)))
)
BOUNDS = st.none() | st.integers(-2_147_483_648, 2_147_483_647)


EVERY_TYPE = tuple(TYPES.values())
ANSWERABLE = tuple(kind for kind in EVERY_TYPE if kind != Kind.STATEMENT)


@st.composite
def questions(draw, kinds=EVERY_TYPE):
    kind = draw(st.sampled_from(kinds))
    return Question(
        kind=kind,
        text=draw(st.text(min_size=1, max_size=30)),
        choices=tuple(draw(st.lists(LABELS, max_size=12))) if kind in (Kind.CHOICE, Kind.CHOICES) else (),
        required=draw(st.booleans()),
        minimum=draw(BOUNDS) if kind == Kind.NUMBER else None,
        maximum=draw(BOUNDS) if kind == Kind.NUMBER else None,
        error_text=draw(st.sampled_from(["", "Again, please."])),
    )


SCRIPTS = st.builds(
    Script,
    st.lists(questions(), max_size=6).map(tuple),
    st.sampled_from(["", "Thank you!"]),
    st.integers(0, 5),
)


@given(script=SCRIPTS, replies=st.lists(REPLIES, min_size=1, max_size=20))
def test_a_conversation_goes_forward_or_stays_and_asks_no_more_often_than_it_may(script, replies):
    position, misses = opening(script).position, 0
    for text in replies:
        if position is None:
            break
        taken = step(script, position, text, misses=misses)

        assert taken.misses <= script.retries
        if taken.position is None:
            assert taken.misses == 0
        elif taken.position == position:
            assert (taken.answer, taken.misses) == (None, misses + 1)
            assert taken.reply.endswith(ask(script.questions[position]))
        else:
            assert taken.position > position
            assert taken.misses == 0
            assert script.questions[taken.position].kind != Kind.STATEMENT
            assert taken.reply.endswith(ask(script.questions[taken.position]))
        assert not (taken.completed and taken.position is not None)
        position, misses = taken.position, taken.misses


@given(question=questions(ANSWERABLE), text=REPLIES)
def test_a_stored_answer_reads_as_itself(question, text):
    answer = reading(question, text)

    assert answer is None or read(question, answer) == answer


@given(questions((Kind.CHOICE, Kind.CHOICES)))
def test_every_choice_can_be_given_by_its_code_its_label_and_both(question):
    if question_flaws(question):
        return
    for code, label in enumerate(question.choices, 1):
        assert read(question, str(code)) == str(code)
        if question.kind == Kind.CHOICE:  # among several, "1,2" is two codes and no label
            assert read(question, label) == str(code)
        assert read(question, f"{code} - {label}") == str(code)


def valid(question):
    """A reply that answers the question, however it is asked."""
    numbers = {Kind.NPS: "7", Kind.CHOICE: "2", Kind.CHOICES: "1,2", Kind.YES_NO: "1", Kind.TEXT: "Chairs"}
    return numbers.get(question.kind) or str(
        question.minimum if question.minimum is not None else question.maximum or 0
    )


@given(SCRIPTS)
def test_who_answers_every_question_is_done_after_exactly_that_many(script):
    if flaws(script):
        return
    asked = [position for position, question in enumerate(script.questions) if question.kind != Kind.STATEMENT]
    position, answered = opening(script).position, []
    while position is not None:
        taken = step(script, position, valid(script.questions[position]))
        assert taken.answer is not None
        answered.append(position)
        position = taken.position

    assert answered == asked
    assert taken.completed


# --- What stands in the way of a launch -------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [Script(()), Script((HELLO, LATER))], ids=["nothing", "statements"])
def test_a_survey_without_a_question_cannot_be_held_by_text(script):
    assert flaws(script) == [Flaw(None, "The survey has no question that can be answered by text. Add one.")]


def test_a_flaw_names_the_question_it_is_in():
    one_choice = Question(Kind.CHOICE, "Which?", ("A",))

    assert flaws(Script((HELLO, NPS, one_choice))) == [Flaw(2, "Write at least two choices, one on each line.")]
    assert flaws(Script((HELLO, NPS, WAIT, GOOD, AGAIN, KIDS, DEGREES, WHY, VISITS, HOURS, ROOMS))) == []


@pytest.mark.parametrize(
    ("question", "field", "words"),
    [
        (Question(Kind.CHOICE, "?"), "choices", "at least two"),
        (Question(Kind.CHOICES, "?", ("A",)), "choices", "at least two"),
        (Question(Kind.CHOICE, "?", ("Good", " good! ")), "choices", "the same"),
        (Question(Kind.CHOICE, "?", ("Good", "ＧＯＯＤ")), "choices", "the same"),
        (Question(Kind.CHOICE, "?", ("Good", "?")), "choices", "a letter or a digit"),
        (Question(Kind.NPS, "?", ("A", "B")), "choices", "Only questions with choices"),
        (Question(Kind.CHOICE, "?", ("Go on", "Stop")), "choices", "“Stop” cannot be a choice"),
        (Question(Kind.CHOICES, "?", ("Go on", "STOPP!")), "choices", "“STOPP!” cannot be a choice"),
        (Question(Kind.CHOICE, "?", ("Start", "Later")), "choices", "“Start” cannot be a choice"),
        (Question(Kind.CHOICE, "?", ("Staff", "Info")), "choices", "“Info” cannot be a choice"),
        (Question(Kind.CHOICE, "?", ("2", "1")), "choices", "“2” is choice 1"),
        (Question(Kind.CHOICE, "?", ("Five", "4", "3", "2")), "choices", "“4” is choice 2"),
        (Question(Kind.NUMBER, "?", minimum=2, maximum=1), "maximum", "larger than the largest"),
        (Question(Kind.NPS, "?", minimum=2), "minimum", "Only questions for a number"),
        (Question(Kind.TEXT, "?", maximum=2), "maximum", "Only questions for a number"),
    ],
)
def test_a_flaw_says_what_is_to_be_changed_and_where(question, field, words):
    assert [(where, words in sentence) for where, sentence in question_problems(question)][:1] == [(field, True)]
    assert question_flaws(question)


def test_a_choice_must_not_be_a_stop_word_of_the_organization():
    """Whoever chose it would opt out."""
    question = Question(Kind.CHOICE, "Go on?", ("Weiter", "Basta"))

    assert question_flaws(question) == []
    assert "“Basta” cannot be a choice" in question_flaws(question, stop_words="Basta, Hör auf")[0]
    assert [flaw.position for flaw in flaws(Script((question,)), stop_words="weiter")] == [0]
    assert "“No” cannot be a choice" in question_flaws(AGAIN, stop_words="no")[0]


@pytest.mark.parametrize("choices", [("Yes", "No", "Maybe"), ("5", "10"), ("1", "2", "3"), ("Stop by", "Call")])
def test_choices_that_merely_resemble_something_else_are_fine(choices):
    assert question_flaws(Question(Kind.CHOICE, "?", choices)) == []


def test_the_number_of_repetitions_has_a_default():
    assert Script((NPS,)).retries == conversation.RETRIES == 2
