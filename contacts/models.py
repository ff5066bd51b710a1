"""Whom an organisation can reach, and who has asked not to be reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from intake.masking import mask_number
from organizations.ids import new_id
from organizations.models import Owned, OwnedQuerySet, User

validate_e164 = RegexValidator(r"\A\+[1-9]\d{6,14}\Z", _("Use the international form, for example +4915112345678."))


def new_list_id() -> str:
    return new_id("CG_")


def new_contact_id() -> str:
    return new_id("CID_")


class ContactList(Owned):
    """People to whom distributions are sent."""

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_list_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("created by")
    )

    class Meta:
        verbose_name = _("contact list")
        verbose_name_plural = _("contact lists")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name


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

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["organization", "phone"], name="contacts_by_phone")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["contact_list", "phone"],
                condition=~Q(phone="") & Q(shares_number=False),
                name="one_contact_per_number_and_list",
            )
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.first_name, self.last_name))) or mask_number(self.phone)


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
    """A file that was read and checked: shown to its user, written to the list, then kept as a line of its history.

    `rows` and `problems` are gzipped lines of JSON; `rows` is emptied once they are written or when the file has
    problems. `content` is the file, gzipped, while somebody has to say how its numbers are meant. `columns` are pairs
    of a heading and the column of ours it stands for, "" for other columns.
    """

    contact_list = models.ForeignKey(ContactList, models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=200)
    columns = models.JSONField(default=list)
    preview = models.JSONField(default=list)
    total = models.PositiveIntegerField()
    new = models.PositiveIntegerField()
    updated = models.PositiveIntegerField()
    without_phone = models.PositiveIntegerField()
    opted_out = models.PositiveIntegerField()
    problem_count = models.PositiveIntegerField()
    doubt_count = models.PositiveIntegerField()
    foreign_count = models.PositiveIntegerField(default=0)  # numbers that begin with another country's code
    with_country_code = models.BooleanField(default=False)  # somebody said that the numbers carry it
    problems = models.BinaryField()
    rows = models.BinaryField()
    content = models.BinaryField(default=b"")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    imported_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.file_name


class OptOutQuerySet(OwnedQuerySet):
    def active(self) -> Self:
        return self.filter(ended_at=None)

    def numbers(self, organization_id: int, phones: Iterable[str]) -> set[str]:
        """Which of these numbers must not be texted by the organisation."""
        return set(
            self.active()
            .filter(organization_id=organization_id, phone__in=list(phones))
            .values_list("phone", flat=True)
        )


class OptOut(Owned):
    """A number that must not be texted by the organisation, from `created_at` until `ended_at`."""

    class Source(models.TextChoices):
        KEYWORD = "keyword", _("stop word in a reply")
        PROVIDER = "provider", _("told by the provider")
        LINK = "link", _("opt-out link")
        ADMINISTRATOR = "administrator", _("administrator")
        IMPORT = "import", _("import")
        API = "api", _("API")

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
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "phone"], condition=Q(ended_at=None), name="one_active_opt_out_per_number"
            )
        ]

    def __str__(self) -> str:
        return mask_number(self.phone)  # it stands in titles, questions and trails
