"""References and links prove that this installation made them: for one purpose, as long as its keys last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions.engine import references
from distributions.models import Epoch, Message
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_epoch_of_another_test():
    """They are kept for a moment, and what made them was rolled back."""
    references.forget_epochs()


KINDS = {
    "reference": (references.reference, references.message_id_of_reference),
    "link": (references.link_token, references.message_id_of),
    "opt-out": (references.opt_out_token, references.opt_out_message_id_of),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pk", [1, 61, 62, 63, 3_843, 3_844, 2**31, 2**63 - 1])
def test_each_kind_leads_back_to_its_message_and_no_other_kind_does(kind, pk):
    make, read = KINDS[kind]

    token = make(pk)

    assert read(token) == pk
    for other in KINDS.keys() - {kind}:
        assert KINDS[other][1](token) is None


@pytest.mark.parametrize("kind", KINDS)
def test_after_the_secret_key_was_renewed_what_is_under_way_still_leads_back(settings, kind):
    """Texts with links are in people's phones for months; reports come for days."""
    make, read = KINDS[kind]
    old = make(42)
    former = settings.SECRET_KEY

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", ["one between", former]

    assert read(old) == 42
    assert make(42) != old, "what is made from now on is made with the new key"
    assert read(make(42)) == 42

    settings.SECRET_KEY_FALLBACKS = ["one between"]
    assert read(old) is None, "a key that was taken out proves nothing more"
    assert read(make(42)) == 42


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_restore_what_an_abandoned_future_gave_out_proves_nothing_for_its_keys(kind):
    make, read = KINDS[kind]
    before, of_the_future = make(10), make(20)

    Epoch.objects.create(first_id=15, salt="salt of the epoch")

    assert read(before) == 10, "what the backup knew goes on"
    assert read(of_the_future) is None
    assert read(make(20)) == 20
    assert read(make(15)) == 15
    assert make(14) != make(15)


def test_of_several_epochs_each_key_has_the_latest_that_begins_with_it_or_before():
    first = references.reference(30)
    Epoch.objects.create(first_id=20, salt="one")
    second = references.reference(30)
    Epoch.objects.create(first_id=20, salt="another, after a second restore")
    third = references.reference(30)

    assert len({first, second, third}) == 3
    assert [references.message_id_of_reference(token) for token in (first, second, third)] == [None, None, 30]
    assert references.message_id_of_reference(references.reference(19)) == 19


def test_the_salt_that_is_read_with_the_message_is_that_of_its_epoch():
    made = factories.distribution(factories.organization(), recipients=3)
    keys = sorted(made.messages.values_list("pk", flat=True))
    Epoch.objects.create(first_id=keys[1], salt="one")
    Epoch.objects.create(first_id=keys[2], salt="two")

    salted = dict(Message.objects.annotate(own=references.SALT).values_list("pk", "own"))

    assert [salted[key] for key in keys] == ["", "one", "two"]
    for key in keys:
        assert references.reference(key, salted[key]) == references.reference(key)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_whatever_is_changed_in_it_it_leads_nowhere(kind, data):
    make, read = KINDS[kind]
    token = make(4_711)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([character for character in references.ALPHABET if character != token[place]]))

    assert read(token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["{}x", "x{}", "{} ", "{}\n", "{}\0", "é{}", "-{}", ""])
def test_nothing_but_itself_leads_back(kind, change):
    make, read = KINDS[kind]

    assert read(change.format(make(4_711))) is None
    assert read(make(4_711)[:-1]) is None
    assert read(make(4_711)[1:]) is None
    assert read(make(0)[1:]) is None, "a proof alone is the proof of no key"


def test_a_key_that_no_table_has_is_nobodys_however_well_it_is_proved():
    for kind in KINDS:
        make, read = KINDS[kind]
        assert read(make(2**63)) is None
        assert read(make(62**11)) is None
    assert references.message_id_of(references.link_token(62**12)) is None


@pytest.mark.parametrize("pk", [1, 61, 62, 10**9, 2**63 - 1])
def test_they_are_as_short_as_promised(pk):
    """A provider takes no more than so many characters; a text has no room for more."""
    assert len(references.reference(pk)) <= 17
    assert len(references.link_token(pk)) == references.link_length(pk) == len(references.opt_out_token(pk))
    assert references.link_token(pk).isalnum()
    assert references.link_token(pk).isascii()
