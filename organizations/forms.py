"""The forms of organisations and their people."""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext_lazy as _
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from unfold.forms import AuthenticationForm
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from intake import countries, examples
from intake.pasted import seen, typed_as_ascii
from organizations import throttle
from organizations.meanwhile import Meanwhile
from organizations.models import Licence, Organization, User
from organizations.one_line import keep_to_one_line


class LoginForm(AuthenticationForm):
    """E-mail and password. After several failures it asks to wait before it even looks at the password."""

    error_messages = {  # noqa: RUF012 (the base class declares it an instance's)
        "invalid_login": _("Wrong e-mail or password. Passwords are case-sensitive."),
        "inactive": _("This account is switched off. Ask an administrator of your organisation."),
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        email = self.fields["username"]
        email.label = _("E-mail")
        email.widget = forms.EmailInput(
            attrs={"autocomplete": "username", "autofocus": "", "class": " ".join(BASE_INPUT_CLASSES)}
        )
        self.fields["password"].widget.attrs["autocomplete"] = "current-password"

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username")
        if email is None or self.request is None:
            return super().clean()
        try:
            attempt = throttle.reserve_login(self.request, email)
        except throttle.Throttled as throttled:
            raise ValidationError(str(throttled), code="throttled") from throttled
        except (DatabaseError, InterfaceError) as error:  # what cannot be counted is not tried
            raise ValidationError(
                _("Nobody can log in at the moment: the database does not answer. Please try again in a minute."),
                code="unavailable",
            ) from error
        cleaned = super().clean()  # the slow part; a wrong password raises, and the attempt stays counted
        attempt.release()
        return cleaned


class ChosenPasswordForm(SetPasswordForm):
    """Sets a password, by a link or for oneself. Whoever knew the old one may have the API token, too: it can end."""

    end_token = forms.BooleanField(
        label=_("Revoke the API token"),
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
        help_text=_("Programs that use it are refused from now on. Leave it ticked if somebody else may have it."),
    )
    field_order = ("old_password", "new_password1", "new_password2", "end_token")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without a user the link is not one of ours, and the page says so.
        if self.user is None or not self.user.pk or not self.user.api_tokens.filter(revoked_at=None).exists():
            del self.fields["end_token"]
        for name in ("new_password1", "new_password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


class OwnPasswordForm(ChosenPasswordForm, PasswordChangeForm):
    """Asks for the old password first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"})

    def clean_old_password(self) -> str:
        """A session that was left open, or stolen, must not be a place to guess the password."""
        try:
            attempt = throttle.reserve_old_password(self.user)
        except throttle.Throttled as throttled:
            minutes = throttled.minutes
            raise ValidationError(
                ngettext(
                    "Too many wrong passwords. Try again in %(minutes)d minute.",
                    "Too many wrong passwords. Try again in %(minutes)d minutes.",
                    minutes,
                )
                % {"minutes": minutes},
                code="throttled",
            ) from throttled
        password: str = super().clean_old_password()
        attempt.release()
        return password


@cache
def time_zones() -> list[tuple[str, str]]:
    """Every place that has a time zone, and UTC."""
    names = (
        name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV"))
    )
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in sorted(names))]


def _own_zones() -> list[tuple[str, Any]]:
    return [("", _("As the organisation")), *time_zones()]


class ProfileForm(Meanwhile):
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=_own_zones,
        required=False,
        widget=UnfoldAdminSelect2Widget,
        help_text=User._meta.get_field("time_zone").help_text,
    )

    class Meta:
        model = User
        fields = ("name", "language", "time_zone", "phone")
        widgets: ClassVar = {
            "name": UnfoldAdminTextInputWidget(attrs={"autocomplete": "name"}),
            "language": UnfoldAdminSelectWidget(),
            "phone": UnfoldAdminTextInputWidget(attrs={"autocomplete": "tel", "inputmode": "tel"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_to_one_line(self.fields.values())
        organization = self.instance.organization
        example = examples.number(organization.default_region if organization else "")
        self.fields["phone"].help_text = _("Where test messages go, for example %(example)s.") % {"example": example}

    def clean_phone(self) -> str:
        """In the digits that providers read, whatever the keyboard writes."""
        return typed_as_ascii(seen(self.cleaned_data["phone"]))


# --- users -----------------------------------------------------------------------------------------------------------


LAST_ADMINISTRATOR = _("%(name)s is the last administrator. Make somebody else an administrator first.")


def is_last_administrator(user: User, *, without: Collection[int] = ()) -> bool:
    """Whether nobody else could manage the organisation (or, for an operator, the platform).

    `without` are the keys of those who are about to go together with this user.
    """
    if user.role == User.Role.MEMBER or not user.is_active:
        return False
    return not _colleagues(user).exclude(pk__in={user.pk, *without}).exists()


def wait_for_colleagues(user: User) -> None:
    """Rights end one after the other: until this transaction is over, nobody else ends any of these people's.

    Two administrators who remove each other in the same moment would both be the last but one.
    """
    if user.role != User.Role.MEMBER:
        list(_colleagues(user).select_for_update().order_by("pk").values_list("pk"))


def _colleagues(user: User) -> QuerySet[User]:
    """Everybody who manages what this user manages."""
    return User.objects.filter(organization=user.organization_id, role=user.role, is_active=True)


class PersonForm(forms.ModelForm):
    """What every form about a user checks."""

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("There is already a user with this e-mail address."), code="unique")
        return email

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk and self._loses_rights(cleaned):
            stored = User.objects.get(pk=self.instance.pk)
            wait_for_colleagues(stored)
            stored.refresh_from_db()
            if is_last_administrator(stored):
                raise ValidationError(LAST_ADMINISTRATOR, params={"name": stored}, code="last_administrator")
        return cleaned

    def _loses_rights(self, cleaned: dict[str, Any]) -> bool:
        return not cleaned.get("is_active", True) or cleaned.get("role", self.initial.get("role")) != self.initial.get(
            "role"
        )


class LevelForm(forms.ModelForm):
    """A level that permissions can be switched at. Who leaves one out leaves it as it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "see_recipients" in self.fields:
            self.fields["see_recipients"].required = False

    def clean_see_recipients(self) -> str:
        chosen: str = self.cleaned_data["see_recipients"]
        return chosen or self.instance.see_recipients


class UserForm(LevelForm, PersonForm):
    """For administrators, about the people of their organisation."""

    role = forms.ChoiceField(
        label=_("Role"),
        choices=[choice for choice in User.Role.choices if choice[0] != User.Role.OPERATOR],
        widget=UnfoldAdminRadioSelectWidget,
        initial=User.Role.MEMBER,
        help_text=_("Administrators set up extensions and manage people; members work with surveys and contacts."),
    )

    class Meta:
        model = User
        fields = (
            "email",
            "name",
            "is_active",
            "role",
            "user_type",
            "groups",
            "use_sms_distributions",
            "see_recipients",
        )
        widgets: ClassVar = {
            "groups": UnfoldAdminCheckboxSelectMultipleWidget,
            "use_sms_distributions": UnfoldAdminRadioSelectWidget,
            "see_recipients": UnfoldAdminRadioSelectWidget,
        }
        help_texts: ClassVar = {"groups": _("Permissions that several people share. Groups are added under “Groups”.")}


class OperatorForm(PersonForm):
    """For operators, about operators and administrators: no role can be changed here."""

    class Meta:
        model = User
        fields = ("email", "name", "is_active")


# --- organisations ---------------------------------------------------------------------------------------------------


@cache
def _regions(language: str) -> list[tuple[str, str]]:
    names = countries.names(language)
    found = [
        (region, f"{names[region]} (+{calling_code})")
        for calling_code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
        if region in names
    ]
    return sorted(found, key=lambda pair: pair[1])


def regions() -> list[tuple[str, str]]:
    """Country code -> name and calling code, in the language of the page."""
    return _regions((get_language() or "en")[:2])


class PlaceForm(Meanwhile):
    """What operators and administrators set about an organisation alike."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zones,
        widget=UnfoldAdminSelect2Widget,
        help_text=_("Type to search, for example “Berlin”."),
    )
    default_region = forms.ChoiceField(
        label=_("Default region"),
        choices=regions,
        widget=UnfoldAdminSelect2Widget,
        help_text=Organization._meta.get_field("default_region").help_text,
    )


class OrganizationForm(PlaceForm):
    """For operators. What nobody could work with is saved only once they have said that it is meant."""

    administrator_email = forms.EmailField(
        label=_("Add an administrator"),
        required=False,
        widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("E-mail. After saving you get a link to pass on, with which they set their password."),
    )
    as_it_is = forms.BooleanField(
        label=_("Save it as it is"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=_("Nobody can work with it until the rest is there, too."),
    )

    class Meta:
        model = Organization
        fields = ("name", "public_id", "language", "time_zone", "default_region", "support_contact")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:  # the country is asked for: no preset is right for everybody
            region = self.fields["default_region"]
            assert isinstance(region, forms.ChoiceField)
            region.choices = lambda: [("", _("Choose a country")), *regions()]
            self.initial["default_region"] = ""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        missing = [] if self.errors or cleaned.get("as_it_is") else list(self.missing())
        if missing:
            self.asks = True  # the box with which it is saved all the same
            raise ValidationError([_("Nothing is saved yet: nobody could work with this organisation."), *missing])
        return cleaned

    asks = False

    def missing(self) -> Iterator[Any]:
        """What an organisation lacks, as sentences, without which its people can do nothing. What it lacks already,
        whoever saves it has seen.
        """
        had = Licence.objects.filter(organization=self.instance.pk, sms=True).exists()
        licence = LicenceForm(self.data, prefix=f"{LICENCE_PREFIX}-0")
        if not licence["sms"].value() and (had or self.instance.pk is None):
            yield _("The SMS add-on is not ticked: they can neither add an account nor send.")
        if self.instance.pk is None and not self.cleaned_data.get("administrator_email"):
            yield _("It has no administrator: nobody can log in. Enter an e-mail under “Add an administrator”.")

    def clean_administrator_email(self) -> str:
        email = str(self.cleaned_data["administrator_email"]).lower()
        if email and User.objects.filter(email__iexact=email).exists():
            raise ValidationError(_("There is already a user with this e-mail address."), code="unique")
        return email


LICENCE_PREFIX = "licence"  # of the licence's fields on the page of its organisation


class LicenceForm(forms.ModelForm):
    class Meta:
        model = Licence
        fields = ("sms", "two_way")

    def has_changed(self) -> bool:
        """An organisation gets its licence even if every box stays as it is."""
        return self.instance.pk is None or super().has_changed()


class OrganizationSettingsForm(PlaceForm):
    """For administrators: their own organisation."""

    class Meta:
        model = Organization
        fields = (
            "name",
            "language",
            "time_zone",
            "default_region",
            "support_contact",
            "quiet_from",
            "quiet_until",
            "stop_words",
            "help_text",
        )
        widgets: ClassVar = {
            "name": UnfoldAdminTextInputWidget(),
            "language": UnfoldAdminSelectWidget(),
            "support_contact": UnfoldAdminTextInputWidget(),
            "stop_words": UnfoldAdminTextInputWidget(),
            "help_text": UnfoldAdminTextInputWidget(),
            "quiet_from": forms.TimeInput(
                format="%H:%M", attrs={"type": "time", "class": " ".join(BASE_INPUT_CLASSES)}
            ),
            "quiet_until": forms.TimeInput(
                format="%H:%M", attrs={"type": "time", "class": " ".join(BASE_INPUT_CLASSES)}
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_to_one_line(self.fields.values())

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        start, end = cleaned.get("quiet_from"), cleaned.get("quiet_until")
        if (start is None) != (end is None):
            missing = "quiet_from" if start is None else "quiet_until"
            self.add_error(
                missing, _("Quiet hours need a beginning and an end, for example 21:00 and 08:00; or leave both empty.")
            )
        elif start is not None and start == end:
            self.add_error("quiet_until", _("The end must differ from the beginning, or no text would ever be sent."))
        return cleaned
