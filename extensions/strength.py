"""Whether a secret that somebody has thought up can be guessed. Pure.

It protects a public address against guesses at a limited pace, so a table of what people choose is enough; nobody who
presses *Generate* meets it.
"""

from __future__ import annotations

import pkgutil
import re
from functools import cache
from itertools import pairwise

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.utils.translation import gettext as _

from extensions import providers

FEWEST_DIFFERENT = 5  # characters
LONG = 12  # characters: from here on one kind of them is enough
# What the page itself suggests, as far as it is not among the common passwords.
OBVIOUS = frozenset(
    [
        "acme",
        "callback",
        "changeme",
        "clinic",
        "demo",
        "example",
        "kennwort",
        "passwort",
        "provider",
        "secret",
        "sms",
        "survey",
        "switchboard",
        "token",
        "webhook",
        "webhooksecret",
        "webhookpassword",
    ]
)
_LEET = str.maketrans("013457@$!", "oieastasi")


@cache
def _common() -> frozenset[str]:
    """What many people choose, what the page suggests, and the providers' names, which are those of their modules."""
    names = {module.name.replace("_", "") for module in pkgutil.iter_modules(providers.__path__)}
    return frozenset(CommonPasswordValidator().passwords) | OBVIOUS | names


def weakness(secret: str) -> str:
    """Why `secret` is too easy to guess, as a sentence that says what would be right; "" if it is not."""
    folded = secret.casefold()
    steps = [abs(ord(after) - ord(before)) <= 1 for before, after in pairwise(folded)]
    if len(set(folded)) < FEWEST_DIFFERENT or sum(steps) * 3 > len(steps) * 2:
        return _(
            "This is easy to guess, because it repeats itself or counts up or down. Press “Generate”, or use 20 "
            "random characters."
        )
    if _core(folded) in _common() and sum(map(str.isalpha, folded.translate(_LEET))) * 2 >= len(folded):
        return _("This is easy to guess, because it is a common word. Press “Generate”, or use 20 random characters.")
    if len(secret) < LONG and (folded.isalpha() or folded.isdigit()):
        return _("This is easy to guess, because it is short. Press “Generate”, or use 20 random characters.")
    return ""


def _core(folded: str) -> str:
    """The word without what people put around it and in place of its letters: p@ssw0rd123 -> password."""
    letters = re.search(r"[a-z](?:.*[a-z])?", folded, re.DOTALL)
    word = re.sub(r"[^a-z]", "", letters[0].translate(_LEET)) if letters else ""
    once = re.sub(r"^(.+?)\1+$", r"\1", re.sub(r"^(?:my|the|our)", "", word))
    return once if len(once) > 2 else word
