"""What each answer to a send means for the message and for its account, as a table."""

from __future__ import annotations

import pytest

from distributions.engine import outcomes
from distributions.engine.outcomes import Kind
from extensions.contract import Category, NotTaken, ProviderError, Refused, SendResult, Unclear

WHOSE_FAULT = dict.fromkeys(Category, Kind.REFUSED) | {
    Category.AUTH_FAILED: Kind.ACCOUNT,
    Category.INSUFFICIENT_BALANCE: Kind.ACCOUNT,
}


def test_what_was_taken_keeps_the_providers_id_and_its_count_of_segments():
    outcome = outcomes.of(SendResult(message_id="SM1", segments=3))

    assert (outcome.kind, outcome.message_id, outcome.segments) == (Kind.ACCEPTED, "SM1", 3)
    assert (outcome.category, outcome.error, outcome.opts_out, outcome.too_many) == (Category.NONE, "", False, False)


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("blocked", [False, True])
def test_a_refusal_is_the_messages_fault_or_the_accounts(category, blocked):
    outcome = outcomes.of(Refused(category, "why", blocked=blocked))

    assert (outcome.kind, outcome.category, outcome.error) == (WHOSE_FAULT[category], category, "why")
    assert outcome.opts_out is (category == Category.OPTED_OUT and not blocked)
    assert outcome.too_many is False
    assert outcome.message_id == ""


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("wait", [None, 0.0, 1.5, 10.0**9])
@pytest.mark.parametrize("blameless", [False, True])
def test_what_was_not_taken_may_go_again(category, wait, blameless):
    """429 is a pace and no failure, unless a neighbour alone was at fault."""
    outcome = outcomes.of(NotTaken("busy", retry_after=wait, category=category, blameless=blameless))

    assert (outcome.kind, outcome.category, outcome.error) == (Kind.NOT_TAKEN, category, "busy")
    assert (outcome.retry_after, outcome.blameless) == (wait, blameless)
    assert outcome.too_many is (category == Category.RATE_LIMITED and not blameless)
    assert outcome.opts_out is False


def test_what_may_be_on_its_way_is_never_sent_again_on_its_own():
    outcome = outcomes.of(Unclear("timeout"))

    assert (outcome.kind, outcome.category, outcome.error) == (Kind.UNCLEAR, Category.TRANSIENT, "timeout")
    assert not outcome.too_many


@pytest.mark.parametrize("answer", [None, "ok", ValueError("x"), ProviderError("x")])
def test_anything_else_is_a_mistake_of_ours(answer):
    with pytest.raises(TypeError, match=type(answer).__name__):
        outcomes.of(answer)
