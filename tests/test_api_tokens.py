"""A token of the API: one that works for each user, and none of anybody who may not log in."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from organizations import tokens
from organizations.models import ApiToken
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return factories.user(factories.organization())


@pytest.fixture
def other():
    return factories.user(factories.organization())


def test_a_token_finds_its_user_and_nobody_else(user, other):
    mine, theirs = tokens.regenerate(user), tokens.regenerate(other)

    assert tokens.find(mine).user == user
    assert tokens.find(theirs).user == other
    assert tokens.find(mine[:-1]) is tokens.find(mine + "x") is tokens.find("") is None


def test_a_new_token_ends_the_old_one_and_no_other_users(user, other):
    theirs, old = tokens.regenerate(other), tokens.regenerate(user)

    new = tokens.regenerate(user)

    assert tokens.find(old) is None
    assert tokens.find(new).user == user
    assert tokens.find(theirs).user == other
    assert ApiToken.objects.filter(user=user).count() == 2, "the history of its digests stays"


def test_what_is_stored_is_a_digest_and_a_few_characters_to_know_it_by(user):
    token = tokens.regenerate(user)

    row = ApiToken.objects.get()

    assert (row.prefix, row.digest) == (token[: tokens.PREFIX_LENGTH], tokens.digest_of(token))
    assert len(token) >= 40
    assert token not in str(ApiToken.objects.values().get())


def test_ending_a_token_ends_it_once(user, other):
    token, theirs = tokens.regenerate(user), tokens.regenerate(other)

    assert tokens.end(user) is True
    ended_at = ApiToken.objects.get(user=user).revoked_at
    assert tokens.end(user) is False

    assert tokens.find(token) is None
    assert ApiToken.objects.get(user=user).revoked_at == ended_at
    assert tokens.find(theirs).user == other


def test_a_token_of_somebody_who_was_switched_off_works_no_more(user):
    token = tokens.regenerate(user)
    user.is_active = False
    user.save()

    assert tokens.find(token) is None
    assert ApiToken.objects.get().last_used_at is None


def test_when_it_was_last_used_is_written_once_a_minute(user, other):
    token = tokens.regenerate(user)
    tokens.regenerate(other)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        tokens.find(token)
        first = ApiToken.objects.get(user=user).last_used_at
        assert first == timezone.now()

        clock.shift(timedelta(seconds=59))
        tokens.find(token)
        assert ApiToken.objects.get(user=user).last_used_at == first

        clock.shift(timedelta(seconds=2))
        tokens.find(token)
        assert ApiToken.objects.get(user=user).last_used_at == timezone.now()
    assert ApiToken.objects.get(user=other).last_used_at is None
