"""What a raw callback keeps of somebody who was forgotten: nothing, as soon as it has been dealt with.

It is stored as it came, since none may be lost, and says whom it is about only when it is read, a moment later. In the
transaction that applies it, or sets it aside, it is emptied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from contacts import forgotten
from extensions.contract import WebhookRequest
from extensions.models import ProviderAccount
from organizations.models import Organization
from webhooks.models import Callback


def organization_of(callback: Callback) -> Organization | None:
    """The organisation that the callback's address names; whose the reply is, the number that was written to says."""
    name = WebhookRequest(callback.method, callback.url).path.rstrip("/").rsplit("/", 1)[-1]
    return Organization.objects.filter(public_id=name).first()


def text_of(callback: Callback) -> str:
    """Its address and body as text, whatever bytes they are."""
    return f"{callback.url}\n{bytes(callback.body).decode(errors='replace')}"


def redact(account: ProviderAccount, callbacks: Iterable[tuple[Callback, bool]]) -> int:
    """Empty those that name somebody whom their organisation has forgotten; returns how many.

    The flag says whether it holds replies. One that waits for the message of a report is read once more, so its form
    stays: the digits of the number become nines, which are nobody's number. With replies in it, it waits no longer.
    """
    if not forgotten.anybody(account.organization_id):
        return 0
    texts: dict[int, dict[int, str]] = defaultdict(dict)
    held = {callback.pk: (callback, with_replies) for callback, with_replies in callbacks}
    for callback, _with_replies in held.values():
        organization_id = account.organization_id
        if organization_id is None:
            named = organization_of(callback)
            organization_id = named.pk if named else 0
        texts[organization_id][callback.pk] = text_of(callback)
    found = {pk: numbers for key, of in texts.items() for pk, numbers in forgotten.mentions(key, of).items()}
    for pk, numbers in found.items():
        empty(held[pk][0], numbers, with_replies=held[pk][1])
    return len(found)


def empty(callback: Callback, numbers: Iterable[str], *, with_replies: bool) -> None:
    """Take what names these numbers (digits) out of a callback that has been dealt with."""
    row = Callback.objects.filter(pk=callback.pk)
    if not with_replies and row.filter(state=Callback.State.PARKED).exists():
        body, url = bytes(callback.body), callback.url
        for number in numbers:
            body, url = body.replace(number.encode(), b"9" * len(number)), url.replace(number, "9" * len(number))
        row.update(body=body, url=url)
        return
    row.filter(state=Callback.State.PARKED).update(state=Callback.State.APPLIED, pending=None)
    row.update(body=b"", url="")
