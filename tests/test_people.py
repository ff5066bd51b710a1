"""The simulated people who answer: what they write depends on the text alone, so every run is the same."""

import pytest

from simulator import people
from surveys import conversation
from surveys.conversation import Kind, Question


@pytest.mark.parametrize(
    "question",
    [
        Question(Kind.NPS, "How likely are you to recommend us, from 0 to 10?"),
        Question(Kind.NPS, "How likely are you to recommend us?", language="de"),
        Question(Kind.CHOICE, "How was the wait?", ("Short", "Fine", "Too long")),
        Question(Kind.CHOICES, "What was good?", ("Seats", "Tea")),
        Question(Kind.YES_NO, "Would you come again?"),
        Question(Kind.TEXT, "What should we do better?"),
    ],
    ids=lambda question: f"{question.kind}{question.language}",
)
def test_they_answer_every_kind_of_question(question):
    assert conversation.read(question, people.answer(conversation.ask(question)))


def test_they_leave_a_thank_you_alone():
    assert people.answer("Thank you for your time!") == ""


def test_who_hesitates_is_not_understood():
    for question in (Question(Kind.NPS, "0 to 10?"), Question(Kind.CHOICE, "Which?", ("A", "B"))):
        with pytest.raises(conversation.NotUnderstood):
            conversation.read(question, people.NO_ANSWER)
