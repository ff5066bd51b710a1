"""Which extensions an organisation may use, and its accounts at providers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Self, cast

from django.conf import settings
from django.core.exceptions import FieldError, PermissionDenied
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from extensions import categories, registry
from extensions.contract import Capabilities, Delivery, Kind, NotTaken, Provider, SenderKind
from extensions.fields import EncryptedJSONField, Unreadable
from extensions.senders import spellings
from intake.sentences import said, worded
from organizations import commitments
from organizations.fields import SentenceField
from organizations.ids import new_id
from organizations.models import Organization, OwnedQuerySet, User


class UnreadableCredentials(NotTaken):
    """None of FERNET_KEYS opens what an account has stored: it cannot be used until the key is back."""

    def __init__(self) -> None:
        super().__init__(
            said(
                gettext_noop(
                    "Its stored credentials cannot be read, since a key of this installation is missing. Whoever runs "
                    "it has to put the former key back into FERNET_KEYS; or enter the credentials again in a new "
                    "account that replaces this one."
                )
            )
        )


def new_account_id() -> str:
    return new_id("ACC_")


def new_provider_identity() -> str:
    return new_id("PA_")


class EnabledExtension(models.Model):
    """A provider that the vendor has switched on for an organisation (R14)."""

    organization = models.ForeignKey(
        Organization, models.CASCADE, related_name="enabled_extensions", verbose_name=_("organisation")
    )
    provider = models.CharField(_("provider"), max_length=32)

    class Meta:
        verbose_name = _("enabled extension")
        verbose_name_plural = _("enabled extensions")
        ordering: ClassVar = ["provider"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "provider"], name="one_switch_per_extension")
        ]

    def __str__(self) -> str:
        provider = registry.find(self.provider)
        return provider.name if provider else self.provider


class ProviderAccountQuerySet(OwnedQuerySet):
    """Accounts in their list order: oldest first."""

    def alive(self) -> Self:
        """Accounts in their organisation's list: neither deleted nor about to be."""
        return self.filter(deleted_at=None, retiring_at=None)

    def verifying(self) -> Self:
        """Accounts whose callbacks are believed: the living, and for a grace period the deleted that were not ended."""
        since = timezone.now() - timedelta(days=settings.CALLBACK_GRACE_DAYS)
        return self.filter(Q(deleted_at=None) | Q(deleted_at__gt=since), ended_at=None)

    def usable(self) -> Self:
        """Accounts that may carry traffic: not deleted, granted to all users (R34), their extension enabled (R14), and
        their credentials not known to be refused.

        Also one that finishes what it began. The installation's own account has no extension. The licence (R12) is
        the organisation's matter, not theirs.
        """
        switch = EnabledExtension.objects.filter(
            organization=models.OuterRef("organization"), provider=models.OuterRef("provider")
        )
        granted = self.filter(deleted_at=None, granted_at__isnull=False).exclude(check_ok=False)
        return granted.filter(Q(organization=None) | models.Exists(switch))

    def unreadable(self, keys: Iterable[int]) -> set[int]:
        """Those of these accounts whose credentials none of FERNET_KEYS opens."""
        opened = cast("Iterable[ProviderAccount]", self.filter(pk__in=list(keys)).only("credentials"))
        return {account.pk for account in opened if account.is_unreadable}

    def update(self, **fields: Any) -> int:
        refused = ProviderAccount.IMMUTABLE.intersection(fields)
        if refused:
            raise FieldError(f"{', '.join(sorted(refused))}: an account's details cannot be changed (R24).")
        if not ProviderAccount.IN_USE_BY.intersection(fields):
            return super().update(**fields)
        owners = set(self.order_by().values_list("organization_id", flat=True))
        number = super().update(**fields)
        for owner in owners:
            commitments.changed(owner)
        return number


class ProviderAccount(models.Model):
    """An organisation's credentials and sender at one provider. Its details never change: replace it instead (R24).

    `organization` is None only for the installation's own account (DEFAULT_PROVIDER).
    """

    IMMUTABLE: ClassVar[frozenset[str]] = frozenset(
        {"organization", "organization_id", "provider", "name", "sender", "sender_kind", "credentials", "public_id"}
        | {"provider_identity"}
    )

    # What decides whether it may carry traffic: a change is told to whatever is planned.
    IN_USE_BY: ClassVar[frozenset[str]] = frozenset(
        {"granted_at", "check_ok", "listed_at", "retiring_at", "deleted_at"}
    )

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_account_id, editable=False)
    organization = models.ForeignKey(
        Organization,
        models.CASCADE,
        null=True,
        related_name="provider_accounts",
        verbose_name=_("organisation"),
        editable=False,
    )
    provider = models.CharField(_("provider"), max_length=32)
    name = models.CharField(
        _("name"), max_length=100, help_text=_("Any text by which you will recognise this account.")
    )
    sender = models.CharField(_("sender"), max_length=40)
    sender_kind = models.CharField(
        _("kind of sender"), max_length=16, choices=[(kind.value, kind.value) for kind in SenderKind]
    )
    credentials = EncryptedJSONField()
    # The same for all rows of an organisation that are one account at the provider: its ids count within that.
    provider_identity = models.CharField(max_length=24, default=new_provider_identity, editable=False)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("added by"))
    # Its place in the list: when it was added, or when the account was whose place it took over.
    listed_at = models.DateTimeField(_("in the list since"), default=timezone.now, editable=False)
    replaces = models.ForeignKey(
        "self", models.SET_NULL, null=True, editable=False, related_name="replaced_by", verbose_name=_("replaces")
    )
    checked_at = models.DateTimeField(_("credentials verified"), null=True)
    check_ok = models.BooleanField(_("credentials valid"), null=True)  # None: unproved, the provider has not said
    check_detail = SentenceField(_("the provider's answer"), blank=True)
    granted_at = models.DateTimeField(_("access granted"), null=True)
    granted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("granted by"))
    # Out of the list, but finishing the distributions that it has begun; then it is deleted.
    retiring_at = models.DateTimeField(_("finishing since"), null=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True)
    ended_at = models.DateTimeField(_("secrets revoked"), null=True)  # nothing that they sign is believed any more
    ends_former = models.BooleanField(default=False, editable=False)  # the secrets of `replaces` end with it

    objects = ProviderAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering: ClassVar = ["listed_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "provider"], name="accounts_by_provider"),
            models.Index(fields=["provider", "sender"], name="accounts_by_sender"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises FieldError when an existing account is saved other than by naming fields that may change."""
        if not self._state.adding:
            changing = kwargs.get("update_fields")
            if changing is None or self.IMMUTABLE.intersection(changing):
                raise FieldError("An account's details cannot be changed (R24): name the update_fields that may.")
        else:
            same = next(filter(self.is_same_at_provider, self._earlier()), None)
            self.provider_identity = same.provider_identity if same else self.provider_identity
        super().save(*args, **kwargs)

    def _earlier(self) -> models.QuerySet[ProviderAccount]:
        earlier = ProviderAccount.objects.filter(organization=self.organization, provider=self.provider)
        return earlier.order_by("pk")

    def is_same_at_provider(self, earlier: ProviderAccount) -> bool:
        """Whether `earlier`, of the same organisation and provider, is the same account there.

        So it is with the same credentials, with those that name the account (its secrets may have been renewed), and
        where this one took the other's place on its number.
        """
        mine, theirs = self.credentials.get("values", {}), earlier.credentials.get("values", {})
        provider = registry.find(self.provider)
        names = provider.account_fields if provider else ()
        named = [mine.get(name) for name in names]
        is_named_alike = all(named) and bool(names) and named == [theirs.get(name) for name in names]
        took_its_place = self.replaces_id == earlier.pk and spellings(self.sender) == spellings(earlier.sender)
        return is_named_alike or took_its_place or (bool(mine) and mine == theirs)

    def has_number_of(self, other: ProviderAccount) -> bool:
        """Whether people see the same sender, however it is spelt."""
        return self.sender in spellings(other.sender)

    def is_proven_with(self, other: ProviderAccount) -> bool:
        """Whether what proves a callback for `other`, of the same organisation and provider, proves it for this one."""
        mine, theirs = self.credentials.get("values", {}), other.credentials.get("values", {})
        provider = registry.find(self.provider)
        names = provider.webhook_secrets if provider else ()
        secrets = [mine.get(name) for name in names]
        alike = all(secrets) and bool(secrets) and secrets == [theirs.get(name) for name in names]
        return self.provider_identity == other.provider_identity or alike

    @classmethod
    def seal(cls, organization: Organization | None, values: dict[str, str]) -> dict[str, Any]:
        """What is stored for these credentials: bound to the organisation: a copied value opens nowhere else."""
        return {"organization": organization.public_id if organization else None, "values": values}

    def secrets(self) -> dict[str, str]:
        """The decrypted credentials. Raises PermissionDenied if they were sealed for another organisation.

        Raises UnreadableCredentials where none of FERNET_KEYS opens them: a matter of this account alone.
        """
        if self.is_unreadable:
            raise UnreadableCredentials
        owner = self.organization.public_id if self.organization else None
        if self.credentials["organization"] != owner:
            raise PermissionDenied("These credentials belong to another organisation.")
        return dict(self.credentials["values"])

    @property
    def is_unreadable(self) -> bool:
        """Whether none of FERNET_KEYS opens the credentials."""
        return isinstance(self.credentials, Unreadable)

    @property
    def why_unreadable(self) -> str:
        return worded(str(UnreadableCredentials()))

    @property
    def is_refused(self) -> bool:
        """Whether the provider is known to refuse the credentials."""
        return self.check_ok is False

    @property
    def answer(self) -> str:
        """What the provider said of the credentials, as a sentence that ours can follow."""
        return ended(self.check_detail)

    @property
    def is_unanswered(self) -> bool:
        """Whether the provider was asked about the credentials and has never said anything."""
        return self.check_ok is None and self.checked_at is not None

    @property
    def provider_class(self) -> type[Provider]:
        return registry.get(self.provider)

    @property
    def provider_name(self) -> str:
        provider = registry.find(self.provider)
        return provider.name if provider else self.provider

    def open(self, token: str = "") -> Provider:
        """The provider with this account's credentials, ready to build requests."""
        return self.provider_class(self.secrets(), sender=self.sender, token=token)

    @property
    def capabilities(self) -> Capabilities:
        return self.provider_class.capabilities(SenderKind(self.sender_kind))

    @property
    def routes(self) -> tuple[Kind, ...]:
        """The addresses of ours that are called for this account: without two-way, none for inbound messages."""
        two_way = self.capabilities.two_way
        return tuple(kind for kind in self.provider_class.calls() if kind == "status" or two_way)


def ended(said: str) -> str:
    """What a provider said, with a full stop where it has none: providers write as they like."""
    said = said.rstrip()
    return said if not said or said[-1] in ".!?…" else f"{said}."


class AccountState(models.Model):
    """What changes while an account sends: its place in the rate limit, its breaker, its sightings of callbacks."""

    account = models.OneToOneField(ProviderAccount, models.CASCADE, primary_key=True, related_name="state")
    next_slot_at = models.DateTimeField(default=timezone.now)  # when the rate limit allows the next segment
    open_until = models.DateTimeField(null=True)  # the circuit breaker: nothing is sent before
    failures = models.PositiveIntegerField(default=0)  # in a row
    stopped_reason = models.TextField(
        blank=True
    )  # category and the provider's words; set when only an administrator can help: bad credentials, no balance
    stopped_at = models.DateTimeField(null=True)
    messages_per_second = models.FloatField(null=True)  # overrides the provider's default; in segments
    max_in_flight = models.PositiveIntegerField(null=True)
    throttled_rate = models.FloatField(null=True)  # what the provider takes at present, if less; in segments per second
    reports_seen_at = models.DateTimeField(null=True)
    inbound_seen_at = models.DateTimeField(null=True)
    strange_reports = models.PositiveBigIntegerField(default=0, db_default=0)  # about texts that are not ours
    balance = models.FloatField(null=True)  # as the provider told it at `balance_at`
    balance_unit = models.CharField(max_length=40, blank=True, default="", db_default="")
    balance_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.account_id)

    @property
    def why_stopped(self) -> str:
        """`stopped_reason` in words, as a sentence that ours can follow."""
        return ended(categories.worded(self.stopped_reason))


WORKER_SLOTS = 2  # pumps that may work for one account at once


class WorkerSlot(models.Model):
    """The right to send through one account for a while: at most a few pumps work for one account at once."""

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="slots")
    number = models.PositiveSmallIntegerField()
    holder = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "extensions_pumpseat"  # its first name: an upgrade moves no table
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "number"], name="one_seat_per_number")]

    def __str__(self) -> str:
        return f"{self.account_id}/{self.number}"


class AccessToken(models.Model):
    """A provider's bearer token, kept until it runs out: one worker refreshes it for all."""

    account = models.OneToOneField(ProviderAccount, models.CASCADE, primary_key=True, related_name="access_token")
    value: Any = EncryptedJSONField(null=True)
    expires_at = models.DateTimeField(null=True)
    fetching_until = models.DateTimeField(null=True)  # one worker is asking the provider for a new one

    def __str__(self) -> str:
        return str(self.account_id)


class KeptSecret(models.Model):
    """A secret of a form that is not saved yet, sealed for a quarter of an hour (extensions/kept.py)."""

    handle = models.CharField(max_length=24, unique=True)
    session = models.CharField(max_length=64, db_index=True)  # the digest of a secret of the session's own
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    provider = models.CharField(max_length=32)
    field = models.CharField(max_length=64)
    value: Any = EncryptedJSONField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.handle


class TestMessage(models.Model):
    """An SMS by which an administrator tried an account. The number is kept only as far as it can be recognised."""

    __test__ = False  # not a test class, whatever its name

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="test_messages")
    reference = models.CharField(max_length=20, unique=True)
    to = models.CharField(_("to"), max_length=40)  # masked
    provider_message_id = models.CharField(max_length=120, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=[(state.value, state.value) for state in Delivery])
    detail = SentenceField(_("the provider's answer"), blank=True)
    sent_at = models.DateTimeField(_("sent"), default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-sent_at", "-id"]

    def __str__(self) -> str:
        return self.reference
