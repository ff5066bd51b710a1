"""Organisations, their licence, their people, and the record of who did what."""

from __future__ import annotations

import unicodedata
import zoneinfo
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from organizations import languages, permissions
from organizations.ids import new_organization_id, new_user_id, validate_organization_id
from organizations.permissions import Decision, Setting


def validate_time_zone(value: str) -> None:
    """Raises ValidationError unless `value` is a time zone of the IANA database."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError(
            _("“%(value)s” is not a time zone; use a name such as Europe/Berlin."), params={"value": value}
        )


class Organization(models.Model):
    """A tenant. Everything else belongs to exactly one."""

    public_id = models.CharField(
        _("organisation ID"),
        max_length=32,
        unique=True,
        default=new_organization_id,
        validators=[validate_organization_id],
        help_text=_("Part of every webhook URL; it cannot be changed later."),
    )
    name = models.CharField(_("name"), max_length=100)
    language = models.CharField(_("language"), max_length=languages.LONGEST, default="en", choices=languages.offered)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    default_region = models.CharField(
        _("default region"),
        max_length=2,
        default="US",
        validators=[RegexValidator(r"\A[A-Z]{2}\Z", _("Use two capital letters, for example DE."))],
        help_text=_("Numbers without a country code are read as numbers of this country."),
    )
    support_contact = models.CharField(
        _("whom to ask"),
        max_length=200,
        blank=True,
        help_text=_("Shown to people who lack a permission, for example “Ada Lovelace, ada@example.org”."),
    )
    quiet_from = models.TimeField(
        _("quiet from"),
        null=True,
        blank=True,
        help_text=_("No text is sent between these times, in the organisation's time zone."),
    )
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    stop_words = models.CharField(
        _("more stop words"),
        max_length=300,
        blank=True,
        help_text=_(
            "Words with which people can opt out, besides STOP and its counterparts in other languages, separated "
            "by commas. A reply counts if it is nothing but one of them."
        ),
    )
    help_text = models.CharField(
        _("answer to HELP"),
        max_length=300,
        blank=True,
        help_text=_(
            "Sent to people who reply HELP or INFO, at most once a day. Leave empty to name the organisation and say "
            "how to opt out."
        ),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("organisation")
        verbose_name_plural = _("organisations")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def has_sms(self) -> bool:
        """Whether the licence has the SMS add-on (R12)."""
        licence: Licence | None = getattr(self, "licence", None)
        return licence is not None and licence.sms


class Licence(models.Model):
    """What the vendor has sold to an organisation. SMS is an add-on (R12)."""

    organization = models.OneToOneField(
        Organization, models.CASCADE, related_name="licence", verbose_name=_("organisation")
    )
    sms = models.BooleanField(
        _("SMS add-on"), default=False, help_text=_("Without it neither extensions nor SMS distributions can be used.")
    )
    two_way = models.BooleanField(_("two-way SMS"), default=True)

    class Meta:
        verbose_name = _("licence")
        verbose_name_plural = _("licences")

    def __str__(self) -> str:
        return str(self.organization)


class OwnedQuerySet(models.QuerySet):
    """Rows that belong to an organisation. A query elsewhere starts here."""

    def visible_to(self, user: User) -> Self:
        """Only the rows of the user's own organisation; none for a platform operator, who has none."""
        if user.organization_id is None:
            return self.none()
        return self.filter(organization_id=user.organization_id)


class Owned(models.Model):
    """The base of every business model: it belongs to one organisation."""

    organization = models.ForeignKey(Organization, models.CASCADE, verbose_name=_("organisation"), editable=False)

    objects: ClassVar = OwnedQuerySet.as_manager()

    class Meta:
        abstract = True


class Permissioned(models.Model):
    """A level that can switch permissions on or off."""

    use_sms_distributions = models.CharField(
        _("Use SMS distributions"), max_length=10, choices=Setting.choices, default=Setting.INHERIT
    )
    see_recipients = models.CharField(
        _("See recipients"),
        max_length=10,
        choices=Setting.choices,
        default=Setting.INHERIT,
        help_text=_(
            "People's full numbers and what they answer. As inherited, it follows “Use SMS distributions”, and "
            "administrators have it."
        ),
    )

    class Meta:
        abstract = True


class UserType(Owned, Permissioned):
    """What kind of user somebody is, for example “Basic”."""

    name = models.CharField(_("name"), max_length=60)

    class Meta:
        verbose_name = _("user type")
        verbose_name_plural = _("user types")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="one_user_type_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class UserGroup(Owned, Permissioned):
    """People who share rights."""

    name = models.CharField(_("name"), max_length=60)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "name"], name="one_group_per_name")]

    def __str__(self) -> str:
        return self.name


def fold_email(email: str) -> str:
    """What all ways to write an e-mail have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold()).strip()


class UserQuerySet(models.QuerySet["User"]):
    def update(self, **fields: Any) -> int:
        """Switching people off in one statement is as final as one by one (see `User.save`)."""
        if fields.get("is_active") is not False:
            return super().update(**fields)
        keys = list(self.filter(is_active=True).values_list("pk", flat=True))
        number = super().update(**fields)
        found = User.objects.filter(pk__in=keys)
        super(UserQuerySet, found).update(times_switched_off=models.F("times_switched_off") + 1)
        end_tokens(found)
        return number


def end_tokens(users: models.QuerySet[User]) -> int:
    """End what lets programs act as these people. How many there were."""
    return ApiToken.objects.filter(user__in=users, revoked_at=None).update(revoked_at=timezone.now())


PeopleManager = models.Manager.from_queryset(UserQuerySet)


class UserManager(BaseUserManager["User"], PeopleManager):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A platform operator, so that Django's own createsuperuser command works."""
        return self.create_user(email, password, role=User.Role.OPERATOR, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)

    def by_email(self, email: str) -> User | None:
        """The user whom somebody means who types this e-mail, in whatever case or form of Unicode."""
        found = self.filter(email__iexact=email.strip()).first()
        folded = fold_email(email)
        if found is None and folded != email.strip().lower():
            found = self.filter(email__iexact=folded).first()
        return found

    def visible_to(self, user: User) -> models.QuerySet[User]:
        """One's own organisation; for an operator the operators and administrators, not the members."""
        if user.is_operator:
            return self.exclude(role=User.Role.MEMBER)
        return self.filter(organization_id=user.organization_id or 0)


class User(AbstractBaseUser, Permissioned):
    """Somebody who logs in, by e-mail."""

    class Role(models.TextChoices):
        OPERATOR = "operator", _("Platform operator")
        ADMINISTRATOR = "administrator", _("Administrator")
        MEMBER = "member", _("Member")

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_user_id, editable=False)
    email = models.EmailField(
        _("e-mail"), unique=True, error_messages={"unique": _("There is already a user with this e-mail address.")}
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    organization = models.ForeignKey(
        Organization,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="users",
        verbose_name=_("organisation"),
        editable=False,
    )
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.MEMBER)
    user_type = models.ForeignKey(UserType, models.SET_NULL, null=True, blank=True, verbose_name=_("user type"))
    groups = models.ManyToManyField(UserGroup, blank=True, related_name="users", verbose_name=_("groups"))
    language = models.CharField(
        _("language"), max_length=languages.LONGEST, blank=True, choices=languages.offered_or_inherited
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        db_default="",
        default="",
        validators=[validate_time_zone],
        help_text=_("In which you read times. Planned times and quiet hours stay those of the organisation."),
    )
    phone = models.CharField(
        _("mobile number"),
        max_length=16,
        blank=True,
        validators=[
            RegexValidator(r"\A\+[1-9]\d{6,14}\Z", _("Use the international form, for example +4915112345678."))
        ],
        help_text=_("Where test messages go."),
    )
    confirmed_phone = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)
    guide_dismissed_at = models.DateTimeField(null=True, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    # Part of what sessions and password links prove, so that those of before do not come to life again.
    times_switched_off = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering: ClassVar = ["email"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(role="operator", organization__isnull=True)
                | (~Q(role="operator") & Q(organization__isnull=False)),
                name="everybody_but_operators_has_an_organization",
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Somebody who is switched off is off for good: tokens, sessions and password links do not work again."""
        if self.pk and not self.is_active and User.objects.filter(pk=self.pk, is_active=True).exists():
            self.times_switched_off += 1
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "times_switched_off"}
        super().save(*args, **kwargs)
        if not self.is_active:
            end_tokens(User.objects.filter(pk=self.pk))

    def get_session_auth_hash(self) -> str:
        """Of what ends sessions when it changes: the password, and being switched off."""
        proof = super().get_session_auth_hash()
        return f"{proof}-{self.times_switched_off}" if self.times_switched_off else proof

    @property
    def is_operator(self) -> bool:
        return self.role == self.Role.OPERATOR

    @property
    def is_administrator(self) -> bool:
        return self.role == self.Role.ADMINISTRATOR

    @property
    def has_confirmed_phone(self) -> bool:
        """Whether a code that was sent to the number of the profile has come back: it is the user's own."""
        return bool(self.phone) and self.confirmed_phone == self.phone

    @property
    def is_staff(self) -> bool:
        """The admin site is the whole web UI, so whoever may log in may enter it."""
        return self.is_active

    def has_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        """Django's model permissions are not used: `OwnedAdmin` decides by role (organizations/admin_base.py)."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active

    def sms_permission(self) -> Decision:
        """Whether this user may distribute by SMS, and why (R31)."""
        return permissions.resolve(*self._levels("use_sms_distributions"))

    def recipients_permission(self) -> Decision:
        """Whether this user sees recipients' numbers and answers, and why."""
        said = permissions.said(*self._levels("see_recipients"))
        return said or permissions.inherited_sight(self, self.sms_permission())

    def _levels(self, permission: str) -> tuple[str, list[tuple[str, str]], tuple[str, str] | None]:
        """What the user, the groups and the user type say about a permission, as `permissions.said` takes it."""
        groups = [(group.name, getattr(group, permission)) for group in self.groups.all()] if self.pk else []
        user_type = (self.user_type.name, getattr(self.user_type, permission)) if self.user_type else None
        return getattr(self, permission), groups, user_type


class ApiToken(models.Model):
    """Lets a program act as a user. The token is shown once; only its digest is kept.

    A user has at most one that works: a new one ends the old at once.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens", verbose_name=_("user"))
    digest = models.CharField(max_length=64, unique=True)  # SHA-256: the token is random, so no slow hash is needed
    prefix = models.CharField(_("begins with"), max_length=8)  # by which its owner recognises it
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    last_used_at = models.DateTimeField(_("last used"), null=True)
    revoked_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user"], condition=Q(revoked_at=None), name="one_working_token_per_user")
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class PhoneCode(models.Model):
    """The code that was texted to a number of a user's, until it comes back."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="phone_code")
    phone = models.CharField(max_length=16)
    digest = models.CharField(max_length=64)  # keyed: of so short a code any other could be guessed
    expires_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)  # wrong ones

    def __str__(self) -> str:
        return str(self.user_id)


class Attempts(models.Model):
    """How often somebody has tried a secret lately (organizations/attempts.py); of nobody's data, only of counters."""

    key = models.CharField(max_length=200, primary_key=True)
    count = models.PositiveIntegerField()
    until = models.DateTimeField(db_index=True)  # from then on the row counts no more

    def __str__(self) -> str:
        return self.key


class AuditEventQuerySet(models.QuerySet):
    """Rows that can only be added and read. (Deleting a whole organisation still takes its trail along.)"""

    def update(self, **fields: Any) -> int:
        raise ValidationError(_("The audit trail cannot be changed."))

    def delete(self) -> tuple[int, dict[str, int]]:
        raise ValidationError(_("The audit trail cannot be changed."))


class AuditEvent(models.Model):
    """One thing somebody did. Append-only; no secret, number or text is ever in it."""

    organization = models.ForeignKey(Organization, models.CASCADE, null=True, verbose_name=_("organisation"))
    actor = models.ForeignKey(User, models.SET_NULL, null=True, verbose_name=_("who"))
    actor_email = models.CharField(_("who"), max_length=254, blank=True)
    action = models.CharField(_("what"), max_length=40)
    object_type = models.CharField(_("kind"), max_length=40, blank=True)
    object_id = models.CharField(_("ID"), max_length=40, blank=True)
    object_name = models.CharField(_("name"), max_length=200, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    address = models.GenericIPAddressField(_("address"), null=True)
    at = models.DateTimeField(_("when"), default=timezone.now, db_index=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [models.Index(fields=["organization", "-at", "-id"], name="audit_by_organization")]

    def __str__(self) -> str:
        return f"{gettext(self.action) if self.action else ''} {self.object_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise ValidationError(_("The audit trail cannot be changed."))
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise ValidationError(_("The audit trail cannot be changed."))
