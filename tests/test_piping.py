"""Placeholders in a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.models import Contact
from distributions.piping import Template, values_of

ADA = Contact(
    first_name="Ada",
    last_name="Lovelace",
    email="ada@example.org",
    phone="+4915112345678",
    external_reference="A-1",
    language="en",
    fields={"City": "London", "Visits": 3, "Note": "", "Trick": "${m://Email} ${l://SurveyURL}"},
)


def render(text, contact=ADA):
    return Template(text).render(
        values_of(contact), survey_link="https://s.example/s/1", opt_out_link="https://s.example/o/2"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", "Hello"),
        ("Hello ${m://FirstName} ${m://LastName}", "Hello Ada Lovelace"),
        (
            "${m://Email} ${m://Phone} ${m://ExternalDataReference} ${m://Language}",
            "ada@example.org +4915112345678 A-1 en",
        ),
        ("${m://firstname} ${M://FIRSTNAME}", "Ada Ada"),
        ("${e://Field/City} ${e://field/city}", "London London"),
        ("${e://Field/Visits}", "3"),
        ("${e://Field/Note|nothing} ${e://Field/Missing|here}", "nothing here"),
        ("${m://FirstName|there}", "Ada"),
        ("${l://SurveyURL} ${l://SurveyLink}", "https://s.example/s/1 https://s.example/s/1"),
        ("${l://SurveyLink?d=Take the survey}", "https://s.example/s/1"),
        ("${l://OptOutLink} ${l://OptOutLink?d=Stop}", "https://s.example/o/2 https://s.example/o/2"),
        ("$5 {x} $ {m://FirstName} 100%", "$5 {x} $ {m://FirstName} 100%"),
    ],
)
def test_a_placeholder_becomes_the_contacts_value(text, expected):
    template = Template(text)

    assert render(text) == expected
    assert template.problems == []


def test_a_placeholder_inside_a_value_is_not_filled_in():
    assert render("${e://Field/Trick}") == "${m://Email} ${l://SurveyURL}"


def test_an_empty_value_becomes_the_fallback():
    assert render("Hello ${m://FirstName|there}!", Contact(fields={})) == "Hello there!"
    assert render("Hello ${m://FirstName}!", Contact(fields={})) == "Hello !"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Hello ${m://FirstName", "${m://FirstName"),
        ("${FirstName}", "${FirstName}"),
        ("${x://Field/City}", "${x://Field/City}"),
        ("${e://City}", "${e://City}"),
        ("${e://Field/}", "${e://Field/}"),
        ("${m://}", "${m://}"),
        ("${}", "${}"),
        ("${l://Survey}", "${l://Survey}"),
        ("${l://SurveyURL|none}", "${l://SurveyURL|none}"),
        ("a ${", "${"),
        ("${m://First\nName}", "${m://First"),
    ],
)
def test_a_malformed_placeholder_is_named_and_stays_as_it_was_written(text, named):
    problems = Template(text).problems

    assert len(problems) == 1
    assert f"“{named}”" in problems[0]
    assert render(text) == text


def test_unknown_names_are_reported_as_they_were_written():
    template = Template("${m://Firstname} ${m://Nickname} ${e://Field/CITY} ${e://Field/Town|x} ${e://Field/Town|x}")

    assert template.unknown(["City"]) == ["${m://Nickname}", "${e://Field/Town|x}"]
    assert template.fields == ["FirstName", "Nickname", "Field/city", "Field/town"]


def test_a_template_knows_whether_it_has_the_links():
    assert Template("${l://surveyurl?d=x}").has_survey_link
    assert not Template("${l://surveyurl}").has_opt_out_link
    assert Template("${l://OptOutLink}").has_opt_out_link
    assert not Template("http://example.org").has_survey_link


@given(st.text())
def test_any_text_can_be_taken_apart(text):
    template = Template(text)

    template.unknown([])
    if not template._holes:
        assert render(text) == text


@given(st.text(alphabet="${}m://l|FirstNameSurveyURL?d= e", max_size=60), st.text(max_size=20))
def test_a_value_is_inserted_as_it_is(text, value):
    contact = Contact(first_name=value, fields={"City": value})

    assert render("<${m://FirstName}|${e://Field/City}>", contact) == f"<{value}|{value}>"
    Template(text).render(values_of(contact), survey_link="s", opt_out_link="o")
