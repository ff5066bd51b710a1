"""Whom an organisation can reach, and who has asked not to be reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts import forgotten
from contacts.forgotten import ForgottenKey, ForgottenNumber
from intake.masking import mask_number
from organizations.encrypted import SealedField
from organizations.ids import new_id, new_ids
from organizations.models import Owned, OwnedQuerySet, User

__all__ = ["Contact", "ContactImport", "ContactList", "ForgottenKey", "ForgottenNumber", "OptOut"]

validate_e164 = RegexValidator(r"\A\+[1-9]\d{6,14}\Z", _("Use the international form, for example +4915112345678."))


def new_list_id() -> str:
    return new_id("CG_")


def new_contact_id() -> str:
    return new_id("CID_")


def new_contact_ids(count: int) -> list[str]:
    """As many at once, for people who come by the hundred thousand."""
    return new_ids("CID_", count)


class ContactListManager(models.Manager.from_queryset(OwnedQuerySet)):  # type: ignore[misc]
    """The lists that there are: without those of which only people are still to be removed."""

    def get_queryset(self) -> OwnedQuerySet:
        found: OwnedQuerySet = super().get_queryset().filter(removed_at=None)
        return found


class ContactList(Owned):
    """People to whom distributions are sent."""

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_list_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("created by")
    )
    removed_at = models.DateTimeField(null=True, editable=False)  # it is gone, its people follow: removing.py

    objects: ClassVar = ContactListManager()
    every: ClassVar = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact list")
        verbose_name_plural = _("contact lists")
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["removed_at"], condition=Q(removed_at__isnull=False), name="lists_to_remove")
        ]

    def __str__(self) -> str:
        return self.name


class ListChange(models.Model):
    """By how much a list has changed: a list's numbers are the sums of its rows. Written by the database alone.

    contacts/counts.py says how. `changes` counts statements, so that its sum is a version of the list. There is no
    foreign key in the database, since what is counted down while a list is deleted is counted, too.
    """

    contact_list = models.ForeignKey(
        ContactList, models.DO_NOTHING, db_constraint=False, related_name="changes", editable=False
    )
    people = models.IntegerField()
    reachable = models.IntegerField()
    changes = models.BigIntegerField()
    is_sum = models.BooleanField()  # of what had been appended before

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["contact_list"], condition=Q(is_sum=False), name="list_changes_to_add_up")
        ]

    def __str__(self) -> str:
        return f"{self.contact_list_id} {self.people:+}"


class ContactQuerySet(OwnedQuerySet):
    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Whoever was forgotten and is entered again has opted out, from this very transaction on."""
        contacts = list(objs)
        with transaction.atomic():
            _stop_the_forgotten(contacts)
            return super().bulk_create(contacts, *args, **kwargs)

    def update(self, **fields: Any) -> int:
        """The same where a number is changed."""
        if not fields.get("phone"):
            return super().update(**fields)
        with transaction.atomic():
            for organization_id in set(self.order_by().values_list("organization_id", flat=True)):
                if OptOut.objects.restore(organization_id, [fields["phone"]]):
                    fields.setdefault("opted_out_at", timezone.now())
            return super().update(**fields)


def _stop_the_forgotten(contacts: Iterable[Contact]) -> None:
    phones: dict[int, set[str]] = {}
    for contact in contacts:
        if contact.phone:
            phones.setdefault(contact.organization_id, set()).add(contact.phone)
    stopped = {key: OptOut.objects.restore(key, numbers) for key, numbers in phones.items()}
    for contact in contacts:
        if contact.phone in stopped.get(contact.organization_id, ()):
            contact.opted_out_at = contact.opted_out_at or timezone.now()


class Contact(Owned):
    """One person on one list. `fields` holds the file's other columns (embedded data), by their names."""

    public_id = models.CharField(_("ID"), max_length=24, default=new_contact_id, editable=False)
    contact_list = models.ForeignKey(
        ContactList, models.CASCADE, related_name="contacts", verbose_name=_("contact list")
    )
    first_name = models.CharField(_("first name"), max_length=200, blank=True)
    last_name = models.CharField(_("last name"), max_length=200, blank=True)
    email = models.CharField(_("e-mail"), max_length=254, blank=True)
    phone = models.CharField(_("phone"), max_length=16, blank=True, validators=[validate_e164])
    # Another person of the household, on the same list, has this number and gets its text: one to each number.
    shares_number = models.BooleanField(default=False, editable=False)
    external_reference = models.CharField(_("external reference"), max_length=200, blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True)
    fields = models.JSONField(_("other fields"), default=dict, blank=True)
    opted_out_at = models.DateTimeField(_("opted out of this list"), null=True, blank=True)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)

    objects: ClassVar = ContactQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        ordering: ClassVar = ["id"]
        # Names and references are searched by indexes that only PostgreSQL has: migration 0004.
        indexes: ClassVar = [
            models.Index(
                fields=["organization", "phone"],
                name="contacts_by_number",
                opclasses=["int8_ops", "varchar_pattern_ops"],  # the beginning of a number is looked for, too
            ),
            models.Index(fields=["contact_list", "id"], name="contacts_of_list"),  # as pages and launches read them
            models.Index(
                fields=["contact_list", "id"],
                condition=Q(opted_out_at__isnull=False),
                name="contacts_opted_out_of_list",
            ),
            models.Index(fields=["contact_list", "id"], condition=Q(phone=""), name="contacts_without_a_number"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["contact_list", "phone"],
                condition=~Q(phone="") & Q(shares_number=False),
                name="one_contact_per_number_and_list",
            )
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.first_name, self.last_name))) or mask_number(self.phone)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Whoever was forgotten and is entered again has opted out, from this very transaction on."""
        with transaction.atomic():
            _stop_the_forgotten([self])
            super().save(*args, **kwargs)


def without_a_text(contact_list_id: int | None, contacts: Iterable[Any]) -> set[int]:
    """Whose number gets its text through somebody else on the list (keys), so that one text goes to one number.

    `contacts` have pk, phone and shares_number. It is whoever does not share; if they are gone, who came first.
    """
    sharing = {contact.phone for contact in contacts if contact.shares_number and contact.phone}
    if not sharing:
        return set()
    households = Contact.objects.filter(contact_list_id=contact_list_id, phone__in=sharing)
    holders: dict[str, int] = {}
    for phone, pk in households.order_by("shares_number", "pk").values_list("phone", "pk"):
        holders.setdefault(phone, pk)
    return {contact.pk for contact in contacts if contact.shares_number and holders.get(contact.phone) != contact.pk}


class ContactImport(Owned):
    """A file that is read, shown to its user, written to the list, then kept as a line of its history.

    `columns` are pairs of a heading and what becomes of it: a column of ours, "" for one of the organisation's own,
    LEFT_OUT for nothing. `choices` is how the file is read (importing/choices.py). What is read of it is in `portions`
    until it is imported, cancelled or a day old.
    """

    class State(models.TextChoices):
        READING = "reading"
        CHECKED = "checked"  # everything is known that an import would do
        WRITING = "writing"
        DONE = "done"
        REFUSED = "refused"  # `reason` says why
        CANCELLED = "cancelled"

    contact_list = models.ForeignKey(ContactList, models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=200)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DONE, db_default=State.DONE)
    reason = models.TextField(blank=True, db_default="")
    choices = models.JSONField(default=dict, db_default={})
    columns = models.JSONField(default=list)
    preview = models.JSONField(default=list)
    size = models.PositiveBigIntegerField(default=0, db_default=0)  # bytes
    cursor = models.PositiveIntegerField(default=0, db_default=0)  # the last row of the file that has been read
    step = models.PositiveIntegerField(default=0, db_default=0)  # how many portions of rows there are
    progress = models.PositiveSmallIntegerField(default=0, db_default=0)  # thousandths of what is being done
    total = models.PositiveIntegerField(default=0)  # rows that hold anything
    bad_rows = models.PositiveIntegerField(default=0, db_default=0)  # of these, rows that are given back
    new = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0, db_default=0)  # they are on the list already, and stay as they are
    without_phone = models.PositiveIntegerField(default=0)
    opted_out = models.PositiveIntegerField(default=0)
    problem_count = models.PositiveIntegerField(default=0)
    doubt_count = models.PositiveIntegerField(default=0)
    foreign_count = models.PositiveIntegerField(default=0)  # numbers that begin with another country's code
    with_country_code = models.BooleanField(default=False)  # somebody said that the numbers carry it
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    worked_at = models.DateTimeField(default=timezone.now, db_default=Now())  # when a worker last came a step further
    imported_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.file_name

    @property
    def good_rows(self) -> int:
        """Rows that can be imported."""
        return self.total - self.bad_rows


class ImportPortion(Owned):
    """A piece of an uploaded file, or of what was read of it: compressed and encrypted (importing/portions.py)."""

    class Kind(models.TextChoices):
        FILE = "file"
        SHEET = "sheet"
        ROWS = "rows"
        PROBLEMS = "problems"
        DOUBTS = "doubts"

    contact_import = models.ForeignKey(ContactImport, models.CASCADE, related_name="portions")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    number = models.PositiveIntegerField()
    content = SealedField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["contact_import", "kind", "number"], name="one_portion_of_each_number")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


class OptOutQuerySet(OwnedQuerySet):
    def active(self) -> Self:
        return self.filter(ended_at=None)

    def numbers(self, organization_id: int, phones: Iterable[str]) -> set[str]:
        """Which of these numbers must not be texted by the organisation: those of whom it was asked to forget, too."""
        asked = list(phones)
        stopped = self.active().filter(organization_id=organization_id, phone__in=asked)
        return set(stopped.values_list("phone", flat=True)) | forgotten.known(organization_id, asked)

    def restore(self, organization_id: int, phones: Iterable[str]) -> set[str]:
        """Numbers of these that were forgotten, and are entered again: each is a plain opt-out from now on.

        Every way of entering one comes by here, in its own transaction: `Contact.save`, `bulk_create` and `update`,
        and once more the launch, whatever wrote the contact.
        """
        found = forgotten.known(organization_id, phones)
        if found:
            with transaction.atomic():
                for phone in sorted(found):
                    self.get_or_create(
                        organization_id=organization_id,
                        phone=phone,
                        ended_at=None,
                        defaults={"source": OptOut.Source.FORGOTTEN},
                    )
                forgotten.drop(organization_id, found)
        return found


class OptOut(Owned):
    """A number that must not be texted by the organisation, from `created_at` until `ended_at`."""

    class Source(models.TextChoices):
        KEYWORD = "keyword", _("stop word in a reply")
        PROVIDER = "provider", _("told by the provider")
        LINK = "link", _("opt-out link")
        ADMINISTRATOR = "administrator", _("administrator")
        IMPORT = "import", _("import")
        API = "api", _("API")
        FORGOTTEN = "forgotten", _("was forgotten before")

    phone = models.CharField(_("phone"), max_length=16, validators=[validate_e164])
    source = models.CharField(_("source"), max_length=16, choices=Source.choices)
    evidence = models.CharField(_("evidence"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("since"), default=timezone.now)
    ended_at = models.DateTimeField(_("until"), null=True, blank=True)

    objects: ClassVar = OptOutQuerySet.as_manager()

    class Meta:
        verbose_name = _("opt-out")
        verbose_name_plural = _("opt-outs")
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at", "-id"], name="opt_outs_latest_first"),
            models.Index(
                fields=["organization", "phone"],
                name="opt_outs_by_number",
                opclasses=["int8_ops", "varchar_pattern_ops"],  # the beginning of a number is looked for, too
            ),
            models.Index(fields=["organization", "source", "-created_at", "-id"], name="opt_outs_by_source"),
            models.Index(
                fields=["organization", "-created_at", "-id"],
                condition=Q(ended_at__isnull=False),
                name="opt_outs_that_have_ended",
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "phone"], condition=Q(ended_at=None), name="one_active_opt_out_per_number"
            )
        ]

    def __str__(self) -> str:
        return mask_number(self.phone)  # it stands in titles, questions and trails
