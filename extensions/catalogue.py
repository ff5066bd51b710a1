"""The providers as the catalogue shows them: what each can do, and where this organisation stands with it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from extensions.contract import Provider, SenderKind, WebhookCheck
from extensions.routing import Badge, Place, Standing

TWO_WAY = ("two-way", "2-way", "zwei-wege", "2-wege")  # as people write it in either language
LIKE = 0.75  # of difflib's ratio: one or two slips in a name, but not another word
KIND = gettext_lazy("Text messages (SMS)")  # what each of them is an extension for


@dataclass(frozen=True, slots=True)
class Card:
    """One provider in the catalogue."""

    provider: Provider  # without credentials: a template would call a class
    state: Badge
    detail: str
    badges: Sequence[Badge]
    enabled: bool


def search(providers: Sequence[type[Provider]], query: str) -> list[type[Provider]]:
    """Those that people may mean by `query` (R18): where no name has its words, those with words that are like them."""
    exact = [provider for provider in providers if matches(provider, query)]
    return exact or [provider for provider in providers if _is_like(provider, _words(query))]


def matches(provider: type[Provider], query: str) -> bool:
    """Whether every word of `query` is in what people may know the provider by."""
    known = _known(provider)
    return all(word in known for word in _words(query))


def _words(query: str) -> list[str]:
    asked = _plain(query)
    for kind in {_plain(str(KIND)), "text messages (sms)"}:  # as an extension is called in full
        asked = re.sub(rf"{re.escape(kind)}\s*(?:via|über|per)\b", " ", asked)
    return re.findall(r"\w+", asked)


def _known(provider: type[Provider]) -> str:
    """What people may know the provider by, and what they may look for in it."""
    names = [provider.name, provider.key, provider.slug, *provider.keywords, provider.coverage, KIND]
    two_way = TWO_WAY if provider.capabilities(SenderKind.NUMBER).two_way else ()
    return _plain(" ".join(map(str, [*names, *two_way])))


def _is_like(provider: type[Provider], words: Sequence[str]) -> bool:
    """Whether each word is one of the provider's names, or two of them written as one, but for a slip or two."""
    names = [_plain(name) for name in (provider.name, *provider.keywords)]
    known = {word for name in names for word in (*name.split(), "".join(name.split()))}
    return all(difflib.get_close_matches(word, known, n=1, cutoff=LIKE) for word in words)


def _plain(text: str) -> str:
    """Without differences of case, width and accents written in two characters."""
    return unicodedata.normalize("NFKC", text).casefold()


def card(provider: type[Provider], places: Sequence[Place], enabled: frozenset[str]) -> Card:
    """The provider's card; `places` are all of the organisation's accounts."""
    state, detail = _state([place for place in places if place.account.provider == provider.key], provider, enabled)
    return Card(provider({}), state, detail, badges(provider), provider.key in enabled)


def _state(mine: Sequence[Place], provider: type[Provider], enabled: frozenset[str]) -> tuple[Badge, str]:
    if provider.key not in enabled:
        return Badge(_("Not enabled")), _("Not enabled for your organisation.")
    if not mine:
        return Badge(_("No account")), ""
    for standing in (Standing.IN_USE, Standing.WAITING, Standing.UNFINISHED, Standing.REFUSED):
        place = next((place for place in mine if place.standing is standing), None)
        if place is not None:
            if standing is Standing.IN_USE:
                sentence = _("“%(name)s” carries all SMS distributions of your organisation.")
            else:
                sentence = _("“%(name)s”: %(reason)s")
            return place.badge, sentence % {"name": place.account.name, "reason": place.reason}
    return Badge(_("Not enabled")), mine[0].reason


def badges(provider: type[Provider]) -> list[Badge]:
    """What the provider can do, in the same words for all of them (R3)."""
    able = provider.capabilities(SenderKind.NUMBER)
    found = []
    if able.two_way:
        found.append(_("Two-way"))
    if takes_alphanumeric(provider):
        found.append(_("Alphanumeric sender"))
    if able.delivery_reports:
        found.append(_("Delivery reports"))
    if provider.batch_size > 1:
        found.append(_("Batches of %(size)s") % {"size": provider.batch_size})
    if provider.calls():
        found.append(CHECKS[provider.webhook_check]())
    return [Badge(text, "is-plain") for text in found]


CHECKS = {
    WebhookCheck.SIGNATURE: lambda: _("Webhooks signed"),
    WebhookCheck.BASIC: lambda: _("Webhooks with password"),
    WebhookCheck.SECRET_URL: lambda: _("Webhooks with secret address"),
}


@dataclass(slots=True)
class Block:
    """Some lines of a set-up text: a numbered list that begins with `start`, or paragraphs (None).

    A line is a list of pieces; those at odd places are addresses. `is_letter`: it is for the provider, in English.
    """

    start: int | None
    is_letter: bool = False
    lines: list[list[str]] = field(default_factory=list)


def blocks(text: str, addresses: Sequence[str]) -> list[Block]:
    """A provider's set-up text as it is laid out: lines that begin with "1." are a list, what is in “…” a letter."""
    address = re.compile("(" + "|".join(re.escape(each) for each in addresses) + ")")
    found: list[Block] = []
    is_letter = False
    for line in filter(None, map(str.strip, text.splitlines())):
        numbered = re.match(r"(\d+)\.\s+", line)
        is_letter = is_letter or line.startswith("“")
        if not found or (found[-1].start is None, found[-1].is_letter) != (numbered is None, is_letter):
            found.append(Block(int(numbered[1]) if numbered else None, is_letter))
        found[-1].lines.append(address.split(line[numbered.end() :] if numbered else line))
        is_letter = is_letter and not line.endswith("”")
    return found


def takes_alphanumeric(provider: type[Provider]) -> bool:
    """Whether the provider takes a word as the sender: asked of its own rule."""
    try:
        return provider.clean_sender("Example")[1] is SenderKind.ALPHANUMERIC
    except forms.ValidationError:
        return False
