"""What is likely wrong when a callback is refused, in a sentence that says what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _

from extensions.contract import Fault, Provider

_SUMMARIES: dict[Fault, Callable[[], str]] = {
    Fault.UNSIGNED: lambda: _("no proof of origin"),
    Fault.SECRET: lambda: _("wrong secret"),
    Fault.ADDRESS: lambda: _("another address"),
    Fault.CLOCK: lambda: _("clocks differ"),
    Fault.CONTENT: lambda: _("changed on the way"),
    Fault.OTHER_ACCOUNT: lambda: _("another account"),
    Fault.METHOD: lambda: _("a different signature method"),
    Fault.INCOMPLETE: lambda: _("account incomplete"),
    Fault.NO_ACCOUNT: lambda: _("no account"),
    Fault.FORMAT: lambda: _("content not readable"),
    Fault.UNKNOWN: lambda: _("not verified"),
}

_ADVICE: dict[Fault, Callable[[], str]] = {
    Fault.UNSIGNED: lambda: _(
        "The call carried no proof of where it comes from. If %(provider)s made it, signatures or the log-in are "
        "not switched on there yet, or a proxy in front of this server removes the header: the webhook test will "
        "tell. Anybody else's call is rightly refused."
    ),
    Fault.SECRET: lambda: _(
        "Probably the wrong secret: %(provider)s does not use what this account has under %(secrets)s. Compare the "
        "two, and replace the account if it has the old one. If they are the same, the call was changed on its way, "
        "or it was made for another address than the one shown here."
    ),
    Fault.ADDRESS: lambda: _(
        "%(provider)s called a different address from the one this server takes for its own. Enter the address "
        "exactly as shown here, and make PUBLIC_URL in this server's settings begin with exactly the scheme and "
        "host that are called."
    ),
    Fault.CLOCK: lambda: _(
        "The time in the call is too far from this server's clock. Synchronise the clock with NTP. A call that "
        "somebody repeats later is rightly refused."
    ),
    Fault.CONTENT: lambda: _(
        "The content that arrived is not what %(provider)s signed: a proxy in front of this server changes the "
        "body, its content type or the query. It must pass all of them on unchanged."
    ),
    Fault.OTHER_ACCOUNT: lambda: _(
        "The call is about another account at %(provider)s: this address was entered there too, or the account ID was "
        "mistyped here."
    ),
    Fault.METHOD: lambda: _(
        "%(provider)s does not sign its calls in the way this account is set up for: compare the signature settings "
        "at %(provider)s with the steps shown here."
    ),
    Fault.INCOMPLETE: lambda: _(
        "This account lacks what calls are checked with (%(secrets)s): replace the account and fill it in."
    ),
    Fault.NO_ACCOUNT: lambda: _(
        "There was no %(provider)s account when the call arrived. Add one, or remove the address at %(provider)s."
    ),
    Fault.FORMAT: lambda: _(
        "The call is authentic, but its content is not in the expected form: compare content type, method and template "
        "at %(provider)s with the steps shown here. A proxy that changes the content type has the same effect."
    ),
    Fault.UNKNOWN: lambda: _("Compare the address and the secrets at %(provider)s with those of the account."),
}


def summarise(fault: str) -> str:
    """In a few words why a callback was refused, for where there is no room for more; `fault` as it was stored."""
    return _SUMMARIES[_known(fault)]()


def explain(fault: str, provider: type[Provider]) -> str:
    """What is likely wrong at a callback of `provider` that was refused for `fault`, and what to do."""
    fields = provider.Credentials.base_fields
    secrets = ", ".join(_("“%(name)s”") % {"name": fields[name].label} for name in provider.webhook_secrets)
    return _ADVICE[_known(fault)]() % {"provider": provider.name, "secrets": secrets}


def _known(fault: str) -> Fault:
    """A newer version may have stored a word that this one does not know."""
    return Fault(fault) if fault in _ADVICE else Fault.UNKNOWN
