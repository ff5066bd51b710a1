"""Why something went wrong at a provider, in words: what is stored is the category, and the provider's own words."""

from __future__ import annotations

from django.utils.functional import Promise

from extensions.contract import Category
from intake import sentences
from intake.sentences import said_lazy as _
from intake.sentences import stored_within

LONGEST_WORDS = 450  # characters

WORDS: dict[str, str | Promise] = {
    Category.AUTH_FAILED: _("The provider refused the account's credentials."),
    Category.INSUFFICIENT_BALANCE: _("The account at the provider has run out of money."),
    Category.INVALID_RECIPIENT: _("The number does not exist or cannot receive texts."),
    Category.INVALID_SENDER: _("The provider does not allow this sender for this number."),
    Category.RATE_LIMITED: _("The provider was given more texts at once than it accepts."),
    Category.REJECTED_CONTENT: _("The text was blocked because of its content, or the sender is not registered."),
    Category.TRANSIENT: _("The phone or the network was not available for a while."),
    Category.UNKNOWN: _("The provider gave a reason we have no words for."),
}


def kept(category: str, words: str) -> str:
    """What to keep of a refusal: its category and the provider's words, as "auth_failed: 20003"."""
    return f"{category}: {stored_within(words, LONGEST_WORDS)}"


def worded(stored: str) -> str:
    """What `kept` has made, in a sentence; anything else as it is."""
    category, _colon, words = stored.partition(": ")
    words = sentences.worded(words)
    sentence = WORDS.get(category)
    if sentence is None:
        return stored
    return _("%(sentence)s (%(words)s)") % {"sentence": sentence, "words": words} if words else str(sentence)
