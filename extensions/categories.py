"""Why something went wrong at a provider, in words: what is stored is the category, and the provider's own words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from extensions.contract import Category

WORDS: dict[str, str | Promise] = {
    Category.AUTH_FAILED: _("The provider refused the account's credentials."),
    Category.INSUFFICIENT_BALANCE: _("The account at the provider has run out of money."),
    Category.INVALID_RECIPIENT: _("The number does not exist or cannot receive texts."),
    Category.INVALID_SENDER: _("The provider does not allow this sender for this number."),
    Category.RATE_LIMITED: _("The provider was given more texts at once than it takes."),
    Category.REJECTED_CONTENT: _("The text was blocked because of its content, or the sender is not registered."),
    Category.TRANSIENT: _("The phone or the network was not available for a while."),
    Category.UNKNOWN: _("The provider gave a reason we have no words for."),
}


def worded(stored: str) -> str:
    """A category and the provider's words, stored as "auth_failed: 20003", in a sentence; anything else as it is."""
    category, _colon, words = stored.partition(": ")
    sentence = WORDS.get(category)
    if sentence is None:
        return stored
    return f"{sentence} ({words})" if words else str(sentence)
