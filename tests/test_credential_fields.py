"""The kinds of fields that the forms of credentials are made of."""

from __future__ import annotations

import pytest
from django import forms
from hypothesis import given
from hypothesis import strategies as st

from extensions.contract import Provider, SenderKind
from extensions.credential_fields import ChoiceField, ChosenNameField, GivenSecretField, HostField, IdentifierField
from extensions.senders import plain_sender

NUMBERED = IdentifierField(
    pattern=r"AC[0-9]{4}",
    found=r"(?i)AC ?[0-9]{4}",
    spelled=lambda found: found.upper().replace(" ", ""),
    instead={"SK.*": "This is the ID of a key."},
    suggest="It is written %(suggestion)s.",
    wrong="It is AC and four digits; this has %(count)d characters.",
)
NAME = IdentifierField(allowed="a-z0-9", suggest="Only this: %(suggestion)s", wrong="Letters and digits only.")
BOUNDED = IdentifierField(
    pattern=r"(?!\.)[a-z.]{1,5}", allowed="a-z.", suggest="Only this: %(suggestion)s", wrong="No."
)
HOST = HostField(
    patterns=(r"[a-z]+\.acme\.example",), suggest="Only the host: %(suggestion)s", wrong="No host of Acme's."
)
LENIENT = HostField(
    patterns=HOST.patterns, lenient=True, suggest="Only the host: %(suggestion)s", wrong="No host of Acme's."
)
SECRET = GivenSecretField(mistakes={r"\s": "It has no spaces.", r"\AAC": "This is the account number."})
CHOICE = ChoiceField(choices=[("eu", "Europe"), ("us", "United States")])


def told(field, value):
    """What is stored, or the sentence and the suggestion with which the value is refused."""
    try:
        return field.clean(value)
    except forms.ValidationError as error:
        (message,) = error.messages
        return message, (error.error_list[0].params or {}).get("suggestion", "")


@pytest.mark.parametrize(
    ("field", "value", "outcome"),
    [
        (NUMBERED, "AC1234", "AC1234"),
        (NUMBERED, " AC1234 ", "AC1234"),
        (NUMBERED, "Account number: AC1234", ("It is written AC1234.", "AC1234")),
        (NUMBERED, '"ac 1234"', ("It is written AC1234.", "AC1234")),
        (NUMBERED, "https://acme.example/accounts/AC1234?tab=1", ("It is written AC1234.", "AC1234")),
        (NUMBERED, "SK1234", ("This is the ID of a key.", "")),
        (NUMBERED, "nothing", ("It is AC and four digits; this has 7 characters.", "")),
        (NAME, "clinic42", "clinic42"),
        (NAME, "clinic-42!", ("Only this: clinic42", "clinic42")),
        (NAME, "–––", ("Letters and digits only.", "")),
        (BOUNDED, "..abcdefgh", ("Only this: abcde", "abcde")),
        (BOUNDED, "...", ("No.", "")),
        (HOST, "eu.acme.example", "eu.acme.example"),
        (HOST, "EU.acme.example", ("Only the host: eu.acme.example", "eu.acme.example")),
        (HOST, "https://eu.acme.example/v2?x=1#y", ("Only the host: eu.acme.example", "eu.acme.example")),
        (HOST, "eu.acme.example:8443", ("No host of Acme's.", "")),
        (LENIENT, "https://me@eu.acme.example:8443/", ("Only the host: eu.acme.example", "eu.acme.example")),
        (HOST, "https://eu.acme.example@evil.example/", ("No host of Acme's.", "")),
        (HOST, "eu.acme.example.evil.example", ("No host of Acme's.", "")),
        (HOST, "http://[", ("No host of Acme's.", "")),
        (LENIENT, "EU.Acme.example", "eu.acme.example"),
        (SECRET, "s3cret", "s3cret"),
        (SECRET, "s3 cret", ("It has no spaces.", "")),
        (SECRET, "AC1234", ("This is the account number.", "")),
        (SECRET, "AC 1234", ("It has no spaces.", "")),
        (CHOICE, "us", "us"),
        (CHOICE, "", "eu"),
        (CHOICE, None, "eu"),
    ],
)
def test_a_field_takes_a_value_or_says_what_is_wrong_with_it(field, value, outcome):
    assert told(field, value) == outcome


@pytest.mark.parametrize("field", [NUMBERED, NAME, HOST, SECRET])
def test_a_value_that_is_missing_is_said_to_be_required(field):
    assert told(field, "") == ("This is required: fill it in.", "")


@pytest.mark.parametrize("field", [NUMBERED, NAME, BOUNDED, HOST, LENIENT])
@given(value=st.text(max_size=40) | st.from_regex(r"(?i)[\"' ]?AC ?[0-9]{4}.{0,3}") | st.from_regex(r"[a-z.]{0,12}"))
def test_what_is_offered_is_taken(field, value):
    try:
        field.clean(value)
    except forms.ValidationError as error:
        suggestion = (error.error_list[0].params or {}).get("suggestion", "")
        assert not suggestion or field.clean(suggestion) == suggestion


def test_a_name_that_the_administrator_chooses_can_be_generated():
    assert ChosenNameField(allowed="a-z", suggest="", wrong="").generates
    assert not hasattr(NAME, "generates")


@pytest.mark.parametrize("value", ["35312345678", "12345", "MyClinic"])
def test_a_provider_that_says_nothing_of_senders_takes_the_usual_ones(value):
    assert Provider.clean_sender(value) == plain_sender(value)
    assert isinstance(Provider.clean_sender(value)[1], SenderKind)
