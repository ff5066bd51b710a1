"""The guide on the home page: what lies between a new organisation and its first text, read from what there is.

Nothing of it is stored but that somebody does not want to see it any more. It is gone once a first distribution has
been launched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from contacts.models import Contact, ContactList
from distributions.models import Distribution
from extensions import entitlements, routing
from extensions.checklist import Mark, tested
from extensions.models import TestMessage
from extensions.routing import Place
from organizations.models import Organization, User
from organizations.permissions import whom_to_ask
from surveys.models import Question, Survey


@dataclass(slots=True)
class Step:
    """One step. Without `link` the reader cannot take it; `ask` says who can. Both are "" once it is done."""

    title: str
    is_done: bool
    link: str = ""
    button: str = ""
    ask: str = ""
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class Guide:
    steps: Sequence[Step]

    @property
    def done(self) -> int:
        return sum(step.is_done for step in self.steps)

    @property
    def next(self) -> Step | None:
        """The first step that the reader can take now; None where somebody else has to."""
        return next((step for step in self.steps if step.is_next), None)


def is_over(organization: Organization) -> bool:
    return Distribution.objects.filter(organization=organization).exclude(launched_at=None).exists()


def guide_for(user: User) -> Guide | None:
    """The guide as this user sees it; None where there is none: it is over, or none of it could be theirs."""
    organization = user.organization
    if organization is None or is_over(organization):
        return None
    may_send = user.sms_permission().allowed
    if not (user.is_administrator or (may_send and organization.has_sms)):
        return None
    enabled = entitlements.enabled_keys(organization) if organization.has_sms else frozenset()
    places = routing.places(organization, enabled) if organization.has_sms else []
    steps = [_licence(user, organization, enabled), *_account_and_test(user, organization, places)]
    steps += [_people(user), _survey(user)]
    steps.append(_first_send(user, may_send=may_send, is_prepared=all(step.is_done for step in steps)))
    if step := next((step for step in steps if not step.is_done and step.link), None):
        step.is_next = True
    return Guide(steps)


def _licence(user: User, organization: Organization, enabled: frozenset[str]) -> Step:
    title = _("SMS is licensed, and a provider's extension is enabled")
    if organization.has_sms and enabled:
        return Step(title, True)
    return Step(title, False, ask=_("Whoever runs this installation does that: please ask them."))


def _account_and_test(user: User, organization: Organization, places: Sequence[Place]) -> list[Step]:
    in_use = next((place.account for place in places if place.in_use), None)
    by_default = in_use is None and organization.has_sms and routing.installation_account() is not None
    account = Step(_("An account at your SMS provider is in use"), in_use is not None or by_default)
    test = Step(_("A test text has been seen on a phone"), by_default)
    if in_use is not None:
        newest = TestMessage.objects.filter(account=in_use).first()
        test.is_done = newest is not None and tested(newest, in_use).mark is Mark.DONE
    steps = [account, test]
    if not user.is_administrator:
        for step in steps:
            step.ask = "" if step.is_done else whom_to_ask(organization, user)
    elif organization.has_sms:
        begun = places[0].account if places and in_use is None else in_use
        page = reverse("admin:extensions_account", args=[begun.public_id]) if begun else ""
        if not account.is_done:
            account.link = page or reverse("admin:extensions_catalogue")
            account.button = _("Continue with “%(name)s”") % {"name": begun.name} if begun else _("Add an account")
        elif not test.is_done:
            test.link, test.button = page, _("Send a test message")
    return steps


def _people(user: User) -> Step:
    title = _("There are people to text")
    if Contact.objects.visible_to(user).exclude(phone="").exists():
        return Step(title, True)
    newest = ContactList.objects.visible_to(user).order_by("-pk").first()
    if newest is None:
        return Step(title, False, reverse("admin:contacts_contactlist_add"), _("Create a contact list"))
    upload = reverse("admin:contacts_contactlist_upload", args=[newest.pk])
    return Step(title, False, upload, _("Upload people to “%(name)s”") % {"name": newest})


def _survey(user: User) -> Step:
    asked = Question.objects.filter(survey=OuterRef("pk"))
    found = Survey.objects.visible_to(user).filter(~Q(url="") | Exists(asked)).exists()
    return Step(
        _("There is a survey"),
        found,
        *(() if found else (reverse("admin:surveys_survey_add"), _("Write a survey"))),
    )


def _first_send(user: User, *, may_send: bool, is_prepared: bool) -> Step:
    """Not before all else is there: nothing could be launched."""
    title = _("The first distribution is sent")
    if not may_send:
        own = reverse("admin:organizations_user_change", args=[user.pk])
        return Step(title, False, own if is_prepared else "", _("Give yourself the permission to send"))
    if not is_prepared:
        return Step(title, False)
    draft = Distribution.objects.visible_to(user).filter(state=Distribution.State.DRAFT).order_by("-pk").first()
    if draft is None:
        return Step(title, False, reverse("admin:distributions_distribution_add"), _("Write the first distribution"))
    review = reverse("admin:distributions_distribution_review", args=[draft.pk])
    return Step(title, False, review, _("Review “%(name)s”") % {"name": draft.name})
