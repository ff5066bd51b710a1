"""What a distribution would do if it were launched now: who gets a text, who does not, how long and how dear.

Everything is computed from the real rows in one pass over the list, a few thousand contacts at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Left
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import ngettext

from contacts import numbers
from contacts.models import Contact, ContactList, OptOut, without_a_text
from distributions import segments
from distributions.engine import quiet
from distributions.engine.references import link_length
from distributions.models import Distribution, Epoch, Message
from distributions.piping import EMBEDDED, Template, values_of
from distributions.planning import times
from extensions.contract import SenderKind
from extensions.models import AccountState, ProviderAccount
from extensions.routing import NoRoute, Route, route_for, routes_for
from intake import figures
from intake.sentences import joined
from intake.sentences import said as _
from organizations.models import Licence, Organization, User
from organizations.permissions import require_sms
from organizations.reading import again, pages
from surveys import conversation
from surveys.models import Survey

BATCH = 5_000  # contacts
EXAMPLES = 3
MANY_SEGMENTS = 10
CHARACTERS = 20
AREA = 5  # characters of a number that say in which country it is, and in North America in which area
FIELDS_FROM = 500  # contacts whose other columns are offered while a message is being written


class Obstacle(Exception):
    """Something is wrong with the distribution itself; the exception's text says what and how to mend it."""


@dataclass(slots=True)
class Review:
    """The answer; `refusal` says why nothing could be sent, "" if everything is in place.

    `rate` is in segments per second. `finishes_at` is None where nothing would be sent.
    """

    distribution: Distribution
    route: Route | None = None
    refusal: str = ""
    total: int = 0
    sendable: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    least: int = 0
    most: int = 0
    segments: int = 0
    encodings: Counter[str] = field(default_factory=Counter)
    offending: dict[str, int] = field(default_factory=dict)  # character -> in how many texts
    changed: int = 0  # texts in which the provider replaces characters
    empty: Counter[str] = field(default_factory=Counter)  # placeholder's name -> for how many people it is empty
    known: set[str] = field(default_factory=set)  # the names of other columns that somebody has
    longest: str = ""
    longest_of: int | None = None  # the contact's key
    examples: list[tuple[Contact, str]] = field(default_factory=list)
    areas: dict[str, list[Any]] = field(default_factory=dict)  # the first digits -> one such number, how many people
    warnings: list[str] = field(default_factory=list)
    rate: float = 0.0
    starts_at: datetime | None = None
    finishes_at: datetime | None = None

    @property
    def account(self) -> ProviderAccount | None:
        return self.route.account if self.route else None

    @property
    def empty_fields(self) -> list[tuple[str, int]]:
        """Names of placeholders that are empty for somebody, and for how many."""
        return [(name.removeprefix(EMBEDDED), number) for name, number in self.empty.most_common()]

    @property
    def offending_characters(self) -> list[tuple[str, int]]:
        """The characters that make texts more expensive, the most frequent first, and in how many texts."""
        return sorted(self.offending.items(), key=lambda item: -item[1])[:CHARACTERS]

    @property
    def can_launch(self) -> bool:
        return not self.refusal and self.sendable > 0

    @property
    def skips(self) -> list[tuple[str, str, int]]:
        """Reason, its label, how many."""
        return [(skip.value, str(skip.label), self.skipped[skip]) for skip in Message.Skip if self.skipped[skip]]


def review(distribution: Distribution) -> Review:
    """Work out everything the last page before the launch shows."""
    found = begin(distribution)
    if distribution.contact_list_id is not None:
        texts = Texts.of(distribution, found.account)
        for contact, reason in recipients(distribution):
            add(found, contact, reason, texts)
        conclude(found)
    return found


def begin(distribution: Distribution, facts: Facts | None = None) -> Review:
    """A review of nobody so far: what carries it, and what is in its way."""
    found = Review(distribution)
    try:
        found.route = route_of(distribution)
    except NoRoute as error:
        found.refusal = error.reason
    found.refusal = obstacle(distribution, facts) or found.refusal
    return found


def add(found: Review, contact: Contact, reason: str, texts: Texts) -> None:
    """Add one of the `recipients` to a review."""
    found.total += 1
    found.known.update(contact.fields)
    if reason:
        found.skipped[reason] += 1
    else:
        _add(found, contact, texts)


def conclude(found: Review) -> None:
    """Say of a review of everybody what deserves a second look, and when the texts would have left."""
    distribution = found.distribution
    template = Template(distribution.whole_text)
    found.warnings = cautions(template, found.known, found.account, interactive=distribution.is_interactive)
    if found.most > MANY_SEGMENTS:
        found.warnings.append(
            _("The longest text takes %(segments)s segments. Many providers refuse more than %(limit)s.")
            % {"segments": found.most, "limit": MANY_SEGMENTS}
        )
    if distribution.send_at and distribution.send_at <= timezone.now():
        found.warnings.append(_("The planned time has passed: the texts are sent at once."))
    if found.account and found.sendable:
        found.rate = rate_of(found.account)
        found.starts_at = max(timezone.now(), distribution.send_at or timezone.now())
        found.finishes_at = finish(found.starts_at, found.segments / found.rate, distribution.organization)
        found.warnings.extend(at_night(distribution.organization, found.areas.values(), found.starts_at))


def areas_of(contact_list: ContactList) -> list[tuple[str, int]]:
    """Where those of its people are who could be texted now: of each area one number, and how many people."""
    people = reachable(Contact.objects.filter(contact_list=contact_list)).order_by()
    areas = (
        people.annotate(area=Left("phone", AREA)).values("area").annotate(phone_there=Min("phone"), number=Count("pk"))
    )
    return list(areas.values_list("phone_there", "number"))


def at_night(organization: Organization, areas: Iterable[Sequence[Any]], starts_at: datetime) -> Iterator[str]:
    """What to say if the first texts wait for the end of the quiet hours, or if they leave in people's night.

    `areas` has a number and how many people for each, as `areas_of` gives them; without any there is nothing to say.
    """
    areas = list(areas)
    if not areas:
        return
    own = organization.time_zone
    leaves_at = quiet.ends_at(starts_at, organization.quiet_from, organization.quiet_until, own) or starts_at
    if leaves_at != starts_at:
        yield _("Your quiet hours hold the texts back: the first are sent on %(moment)s.") % {
            "moment": _shown(leaves_at)
        }
    sleeping: Counter[str] = Counter()
    for phone, people in areas:
        there = numbers.zones_of(phone) or (own,)
        if all(quiet.is_night(leaves_at, zone) for zone in there):
            sleeping[own if own in there else there[0]] += people
    if sleeping:
        zone = max(sleeping, key=lambda zone: (sleeping[zone], zone))  # the same in whichever order they come
        yield ngettext(
            "When sending begins, it is night for %(people)s person: %(clock)s in %(zone)s. Consider another time.",
            "When sending begins, it is night for %(people)s people: %(clock)s in %(zone)s. Consider another time.",
            sleeping.total(),
        ) % {
            "people": figures.whole(sleeping.total()),
            "clock": date_format(leaves_at.astimezone(ZoneInfo(zone)), "TIME_FORMAT"),
            "zone": zone,
        }


def _shown(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def ready(distribution: Distribution, user: User, facts: Facts | None = None) -> Route:
    """What would carry it if `user` launched it now: every condition of a launch, asked at the launch and when the time
    of a planned one has come (and before that, with `facts` about many).

    Raises MissingRight, Obstacle, or NoRoute if nothing could carry it (R10).
    """
    require_sms(user)
    return fit(distribution, facts)


def fit(distribution: Distribution, facts: Facts | None = None) -> Route:
    """What would carry it if it were launched now by somebody who may. Raises Obstacle, or NoRoute."""
    if sentence := obstacle(distribution, facts):
        raise Obstacle(sentence)
    return route_of(distribution, facts)


def people_of(distribution: Distribution) -> int:
    """How many people on the list could be texted now."""
    return reachable(_on(distribution)).count()


def reachable(contacts: QuerySet[Contact]) -> QuerySet[Contact]:
    """Those of them who could be texted now."""
    stopped = OptOut.objects.active().filter(organization=OuterRef("organization"), phone=OuterRef("phone"))
    # Of those who share a number, whoever `contacts.models.without_a_text` leaves it to.
    household = Contact.objects.filter(contact_list=OuterRef("contact_list"), phone=OuterRef("phone"))
    before = Q(shares_number=False) | Q(pk__lt=OuterRef("pk"))
    served = Q(shares_number=True) & Exists(household.filter(before))
    return contacts.filter(opted_out_at=None).exclude(phone="").exclude(Exists(stopped)).exclude(served)


def _on(distribution: Distribution) -> QuerySet[Contact]:
    return Contact.objects.filter(contact_list_id=distribution.contact_list_id)


class Facts:
    """What the conditions of a launch ask the database: about one distribution at a time."""

    def people(self, distribution: Distribution) -> int:
        """How many could be texted now."""
        return people_of(distribution)

    def reaches_somebody(self, distribution: Distribution) -> bool:
        return reachable(_on(distribution)).exists()

    def has_contacts(self, distribution: Distribution) -> bool:
        return _on(distribution).exists()

    def route(self, distribution: Distribution) -> Route:
        """What carries its organisation's messages. Raises NoRoute."""
        return route_for(distribution.organization)


class FactsOfOne(Facts):
    """The same about one distribution, each asked once however often it is needed."""

    def __init__(self) -> None:
        self._people: int | None = None
        self._route: Route | NoRoute | None = None

    def people(self, distribution: Distribution) -> int:
        if self._people is None:
            self._people = super().people(distribution)
        return self._people

    def reaches_somebody(self, distribution: Distribution) -> bool:
        return self.people(distribution) > 0

    def route(self, distribution: Distribution) -> Route:
        if self._route is None:
            try:
                self._route = super().route(distribution)
            except NoRoute as refusal:
                self._route = refusal
        return _or_raise(self._route)


class FactsOfMany(Facts):
    """The same, read in a few statements for many distributions. Their organisations come with their licences."""

    def __init__(self, distributions: Collection[Distribution]) -> None:
        lists = {row.contact_list_id for row in distributions if row.contact_list_id is not None}
        counted = (
            reachable(Contact.objects.filter(contact_list__in=lists))
            .order_by()
            .values_list("contact_list_id")
            .annotate(number=Count("pk"))
        )
        self._people = dict(counted)
        some = Contact.objects.filter(contact_list=OuterRef("pk"))
        filled = ContactList.objects.filter(Exists(some), pk__in=lists - self._people.keys())
        self._filled = set(filled.values_list("pk", flat=True))
        self._routes = routes_for({row.organization_id: row.organization for row in distributions}.values())

    def people(self, distribution: Distribution) -> int:
        return self._people.get(distribution.contact_list_id, 0)

    def reaches_somebody(self, distribution: Distribution) -> bool:
        return self.people(distribution) > 0

    def has_contacts(self, distribution: Distribution) -> bool:
        return self.reaches_somebody(distribution) or distribution.contact_list_id in self._filled

    def route(self, distribution: Distribution) -> Route:
        return _or_raise(self._routes[distribution.organization_id])


def _or_raise(found: Route | NoRoute) -> Route:
    if isinstance(found, NoRoute):
        raise found
    return found


def obstacle(distribution: Distribution, facts: Facts | None = None) -> str:
    """Why this distribution cannot be launched as it is, whatever carries it; "" if nothing is in the way. Cheap."""
    facts = facts or Facts()
    problems = Template(distribution.message_text).problems
    if problems:
        return joined(problems)
    if sentence := survey_obstacle(distribution.survey, interactive=distribution.is_interactive):
        return sentence
    if not distribution.survey.url and Template(distribution.message_text).has_survey_link:
        return _("The survey has no address: remove the link to it from the introduction.")
    if distribution.contact_list_id is None:
        return _("The contact list has been deleted. Choose another one.")
    if not facts.reaches_somebody(distribution):
        if facts.has_contacts(distribution):
            return _("Nobody on this list can be texted: everybody has opted out or has no number.")
        return _("The contact list is empty: import people first.")
    now = timezone.now()
    begins = max(now, distribution.send_at or now)
    if distribution.link_expires_at and distribution.link_expires_at <= begins:
        return _("The link would have expired before the first text is sent. Choose a later time for it.")
    try:
        times.check_send_at(begins, now)
        if distribution.link_expires_at:
            times.check_expiry(distribution.link_expires_at, begins, now)
    except times.Unusable as refusal:
        return str(refusal)
    return ""


def survey_obstacle(survey: Survey, *, interactive: bool) -> str:
    """Why this survey cannot be sent as a link, or held by text; "" if it can."""
    if not interactive:
        if survey.url:
            return ""
        return _("The survey “%(survey)s” has no address: send it by text, or give it an address.") % {
            "survey": survey.name
        }
    script = survey.script()
    for position, sentence in conversation.flaws(script, stop_words=survey.organization.stop_words):
        if position is None:
            return sentence
        return _("Question %(number)s of the survey: %(problem)s") % {"number": position + 1, "problem": sentence}
    texts = [*(conversation.ask(question) for question in script.questions), script.thank_you]
    said = [Template(text) for text in (*texts, script.unreadable, script.over)]
    if not survey.url and any(template.has_survey_link for template in said):
        return _("The survey has no address, so a question cannot have a link to it.")
    return joined(sentence for template in said for sentence in template.problems)


def interactive_obstacle(organization: Organization) -> str:
    """Why this organisation cannot run a survey by text now, and whom to ask; "" if it can."""
    try:
        _require_two_way(organization, route_for(organization))
    except NoRoute as refusal:
        return refusal.reason
    return ""


def route_of(distribution: Distribution, facts: Facts | None = None) -> Route:
    """What would carry this distribution now. Raises NoRoute, also if it must be answered and cannot be (R69)."""
    route = (facts or Facts()).route(distribution)
    if distribution.is_interactive:
        _require_two_way(distribution.organization, route)
    return route


def _require_two_way(organization: Organization, route: Route) -> None:
    licence: Licence | None = getattr(organization, "licence", None)
    if licence is None or not licence.two_way:
        raise NoRoute(
            _(
                "Surveys by text need two-way SMS, and your organisation's licence does not include it. Ask whoever "
                "runs this installation, or send a link to the survey."
            )
        )
    if route.is_default:
        raise NoRoute(
            _(
                "Surveys by text need a number of your own: replies to the default number of this installation cannot "
                "be told apart. Finish the set-up of your own account, or send a link to the survey."
            )
        )
    if "message" not in route.account.provider_class.calls():
        raise NoRoute(
            _(
                "Replies to the account “%(name)s” do not arrive here: %(provider)s is one-way. A survey by text "
                "needs an account at a provider with two-way SMS; or send a link to the survey."
            )
            % {"name": route.account.name, "provider": route.account.provider_name}
        )
    if not route.account.capabilities.two_way:
        raise NoRoute(
            _(
                "The sender of the account “%(name)s” is a name, and nobody can reply to a name. A survey by text "
                "needs an account with a number; or send a link to the survey."
            )
            % {"name": route.account.name}
        )


class Texts:
    """Fills in a template as the launch will; the links have the length they will have, but lead nowhere.

    `carried` is what becomes of a text on its way through the provider.
    """

    def __init__(self, template: Template, carried: Callable[[str], str] = str) -> None:
        self.template = template
        self.carried = carried
        self.fields = template.fields
        epoch = Epoch.objects.order_by("-first_id").values("first_id")[:1]  # after a restore, keys begin far above
        latest = Message.objects.order_by("-pk").values_list("pk", Coalesce(Subquery(epoch), 0)).first() or (0, 0)
        nowhere = "x" * link_length(max(latest) + 1)
        self._survey_link = f"{settings.PUBLIC_URL}/s/{nowhere}"
        self._opt_out_link = f"{settings.PUBLIC_URL}/o/{nowhere}"

    @classmethod
    def of(cls, distribution: Distribution, account: ProviderAccount | None) -> Texts:
        return cls(Template(distribution.whole_text), account.provider_class.carried_text if account else str)

    def render(self, values: Mapping[str, str]) -> str:
        return self.template.render(values, survey_link=self._survey_link, opt_out_link=self._opt_out_link)


def _add(found: Review, contact: Contact, texts: Texts) -> None:
    values = values_of(contact)
    written = texts.render(values)
    text = texts.carried(written)
    length = segments.count(text)
    found.sendable += 1
    area = found.areas.setdefault(contact.phone[:AREA], [contact.phone, 0])
    area[:] = min(area[0], contact.phone), area[1] + 1
    found.segments += length.segments
    found.least = min(found.least or length.segments, length.segments)
    if length.segments > found.most:
        found.most, found.longest, found.longest_of = length.segments, text, contact.pk
    found.encodings[length.encoding] += 1
    for character in length.offending:
        found.offending[character] = found.offending.get(character, 0) + 1
    if text != written:
        found.changed += 1
    for name in texts.fields:
        if not values.get(name):
            found.empty[name] += 1
    if len(found.examples) < EXAMPLES:
        found.examples.append((contact, text))


def recipients(distribution: Distribution) -> Iterator[tuple[Contact, str]]:
    """Everybody on the list, in the order of sending, and why they would be skipped ("" if they would not)."""
    return chain.from_iterable(groups(distribution))


def groups(distribution: Distribution, after: int = 0) -> Iterator[list[tuple[Contact, str]]]:
    """The same, BATCH at a time; with `after`, from behind the contact with this key on."""
    contacts = Contact.objects.filter(contact_list_id=distribution.contact_list_id, pk__gt=after)
    for found in pages(contacts, size=BATCH):
        phones = {contact.phone for contact in found if contact.phone}
        stopped = again(partial(OptOut.objects.numbers, distribution.organization_id, phones))
        served = again(partial(without_a_text, distribution.contact_list_id, found))
        yield [(contact, _skip_reason(contact, stopped, served)) for contact in found]


def _skip_reason(contact: Contact, stopped: set[str], served: set[int]) -> str:
    if not contact.phone:
        return Message.Skip.NO_NUMBER
    if contact.opted_out_at is not None or contact.phone in stopped:
        return Message.Skip.OPTED_OUT
    if contact.pk in served:
        return Message.Skip.DUPLICATE
    return ""


# --- what deserves a second look -------------------------------------------------------------------------------------


def cautions(
    template: Template, known_fields: set[str], account: ProviderAccount | None, *, interactive: bool = False
) -> list[str]:
    """Sentences about a text that may be a mistake. None of them stops the launch."""
    found: list[str] = []
    if not template.has_survey_link and not interactive:
        found.append(
            _("The message has no link to the survey. Insert %(placeholder)s, so that people can answer.")
            % {"placeholder": "${l://SurveyURL}"}
        )
    unknown = template.unknown(known_fields)
    if unknown:
        found.append(
            _("Nobody on this list has these fields, so they stay empty: %(placeholders)s.")
            % {"placeholders": ", ".join(unknown)}
        )
    stop_words_reach_us = account is None or account.capabilities.stop_words_reach_us
    if not stop_words_reach_us:
        found.append(
            _(
                "The sender is a name, and nobody can reply to a name: at most, a stop word unsubscribes a person "
                "at the provider, and your contact list stays unchanged. Put a way to opt out into the survey "
                "itself. The opt-out link for messages does not work inside a survey, only in the message."
            )
        )
    if not template.has_opt_out_link and not (stop_words_reach_us and "stop" in template.text.casefold()):
        found.append(
            _("The message does not say how to opt out. Many countries require it: insert %(placeholder)s.")
            % {"placeholder": "${l://OptOutLink}"}
            if not stop_words_reach_us
            else _(
                "The message does not say how to opt out. Many countries require it: insert %(placeholder)s, or write "
                "“Reply STOP to opt out”."
            )
            % {"placeholder": "${l://OptOutLink}"}
        )
    return found


def other_columns(contact_list_id: int | None) -> list[str]:
    """The names of the list's other columns, from its first contacts, as they are offered while writing."""
    names: dict[str, str] = {}
    rows = Contact.objects.filter(contact_list_id=contact_list_id).order_by("pk").values_list("fields", flat=True)
    for fields in rows[:FIELDS_FROM]:
        for name in fields:
            names.setdefault(name.casefold(), name)
    return list(names.values())


# --- when it would be done -------------------------------------------------------------------------------------------


def rate_of(account: ProviderAccount) -> float:
    """Segments per second that the account carries."""
    own = AccountState.objects.filter(account=account).values_list("messages_per_second", flat=True).first()
    return own or account.provider_class.rate(SenderKind(account.sender_kind))


def finish(starts_at: datetime, seconds: float, organization: Organization) -> datetime:
    """When `seconds` of sending that begin at `starts_at` are over, with a rest in every quiet time."""
    left = timedelta(seconds=seconds)
    quiet_from, quiet_until = organization.quiet_from, organization.quiet_until
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return starts_at + left
    zone = ZoneInfo(organization.time_zone)
    at = starts_at
    while True:
        at = quiet.ends_at(at, quiet_from, quiet_until, organization.time_zone) or at
        rest_begins = _next(at, quiet_from, zone)
        if at + left <= rest_begins:
            return at + left
        left -= rest_begins - at
        at = rest_begins


def _next(after: datetime, clock: time, zone: ZoneInfo) -> datetime:
    """The next moment after `after` at which the clocks of `zone` show `clock`."""
    day: date = after.astimezone(zone).date()
    while True:
        moment = datetime.combine(day, clock, tzinfo=zone).astimezone(after.tzinfo)
        if moment > after:
            return moment
        day += timedelta(days=1)


def preview(
    text: str, contacts: Sequence[Contact], account: ProviderAccount | None
) -> list[tuple[Contact, str, segments.Segments]]:
    """The text as these people would get it."""
    texts = Texts(Template(text), account.provider_class.carried_text if account else str)
    rendered = [(contact, texts.carried(texts.render(values_of(contact)))) for contact in contacts]
    return [(contact, written, segments.count(written)) for contact, written in rendered]
