"""What a fact is called, in the reader's language, and where it leads."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from intake.masking import mask_numbers
from intake.sentences import worded
from organizations.models import User
from watching.models import Fact, Kind


def kinds_of(user: User) -> list[Kind]:
    """What this person is told: administrators what their organisation can mend, operators the rest."""
    if user.is_operator:
        return [Kind.HEALTH, Kind.ACCOUNT_STOPPED]
    return [kind for kind in Kind if kind != Kind.HEALTH] if user.is_administrator else []


def sentence(fact: Fact) -> str:
    """The fact in a sentence, without numbers of people."""
    names = {name: worded(value) for name, value in fact.names.items()}
    match fact.kind:
        case Kind.ACCOUNT_STOPPED if fact.organization_id is None:
            said = _("%(provider)s has stopped the installation's own account. Nothing is sent through it.")
        case Kind.ACCOUNT_STOPPED:
            said = _(
                "%(provider)s has stopped your account “%(account)s”. Nothing is sent through it until you verify it."
            )
        case Kind.CALLBACKS_AWAY:
            said = _(
                "%(provider)s has accepted texts from your account “%(account)s” but has sent no delivery reports "
                "since. Check the webhook set-up."
            )
        case Kind.DISTRIBUTION_PROBLEM:
            said = _("The distribution “%(distribution)s” is stuck or cannot start: %(problem)s")
        case Kind.DOUBTS_WAIT:
            said = _("Replies that may mean “no more texts” are waiting for your decision.")
        case Kind.UNREADABLE:
            said = _(
                "Nothing is sent through your account “%(account)s”: its stored credentials cannot be read, since a "
                "key of this installation is missing. Ask whoever runs it, or replace the account by a new one."
            )
        case Kind.LICENCE_ENDED:
            said = _(
                "Your organisation's licence for SMS has ended, so nothing is sent. Ask whoever runs this installation."
            )
        case _:
            said = _("The health check “%(check)s” fails: %(problem)s")
    return mask_numbers(said % names)


def subject(fact: Fact) -> str:
    return f"Switchboard: {fact.get_kind_display()}"


def path(fact: Fact) -> str:
    """The page on which something can be done."""
    match fact.kind:
        case Kind.ACCOUNT_STOPPED if fact.organization_id is not None:
            return reverse("admin:extensions_account", args=[fact.names["id"]])
        case Kind.UNREADABLE:
            return reverse("admin:extensions_account", args=[fact.names["id"]])
        case Kind.CALLBACKS_AWAY:
            return reverse("admin:extensions_extension", args=[fact.names["key"]])
        case Kind.DISTRIBUTION_PROBLEM:
            return reverse("admin:distributions_distribution_change", args=[fact.names["pk"]])
        case Kind.DOUBTS_WAIT:
            return reverse("admin:distributions_doubts")
        case Kind.LICENCE_ENDED:
            return reverse("admin:organization_settings")
    return reverse("admin:index")


def body(fact: Fact) -> str:
    """The text of a mail. It names neither numbers nor texts of people, whatever mailbox it ends in."""
    why = (
        _("You are receiving this because you run this installation.")
        if fact.organization_id is None
        else _("You are receiving this because you are an administrator of %(organization)s.")
        % {"organization": fact.organization}
    )
    choose = _("Choose which e-mails you receive: %(link)s") % {
        "link": f"{settings.PUBLIC_URL}{reverse('admin:notices')}"
    }
    return f"{sentence(fact)}\n\n{settings.PUBLIC_URL}{path(fact)}\n\n-- \n{why}\n{choose}\n"
