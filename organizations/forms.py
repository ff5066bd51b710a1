"""The forms of organisations and their people."""

from __future__ import annotations

import zoneinfo
from functools import cache
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext_lazy as _
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.geodata.locale import LOCALE_DATA
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

from organizations import throttle
from organizations.models import Licence, Organization, User


class LoginForm(AuthenticationForm):
    """E-mail and password. After several failures it asks to wait before it even looks at the password."""

    error_messages = {  # noqa: RUF012 (the base class declares it an instance's)
        "invalid_login": _("That e-mail and password do not belong together. Passwords are case-sensitive."),
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
        label=_("End the API token"),
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
        """A session that was left open, or stolen, is no place to guess the password."""
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


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("name", "language", "phone")
        widgets: ClassVar = {
            "name": UnfoldAdminTextInputWidget(attrs={"autocomplete": "name"}),
            "language": UnfoldAdminSelectWidget(),
            "phone": UnfoldAdminTextInputWidget(attrs={"autocomplete": "tel", "inputmode": "tel"}),
        }


# --- users -----------------------------------------------------------------------------------------------------------


def is_last_administrator(user: User) -> bool:
    """Whether nobody else could manage the organisation (or, for an operator, the platform)."""
    if user.role == User.Role.MEMBER or not user.is_active:
        return False
    others = User.objects.filter(organization=user.organization, role=user.role, is_active=True).exclude(pk=user.pk)
    return not others.exists()


class PersonForm(forms.ModelForm):
    """What every form about a user checks."""

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("There is a user with this e-mail already."), code="unique")
        return email

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk and self._loses_rights(cleaned):
            if self.instance.organization_id:  # two administrators who demote each other: one after the other
                Organization.objects.select_for_update().get(pk=self.instance.organization_id)
            if is_last_administrator(User.objects.get(pk=self.instance.pk)):
                raise ValidationError(
                    _("%(name)s is the last administrator. Make somebody else an administrator first."),
                    params={"name": self.instance},
                    code="last_administrator",
                )
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


class OperatorForm(PersonForm):
    """For operators, about operators and administrators: no role can be changed here."""

    class Meta:
        model = User
        fields = ("email", "name", "is_active")


# --- organisations ---------------------------------------------------------------------------------------------------


@cache
def time_zones() -> list[tuple[str, str]]:
    """Every place that has a time zone, and UTC."""
    names = (
        name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV"))
    )
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in sorted(names))]


@cache
def _regions(language: str) -> list[tuple[str, str]]:
    found = []
    for calling_code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            names = LOCALE_DATA.get(region)
            if names:
                name = names.get(language) or names["en"]
                name = names[name[1:]] if name.startswith("*") else name  # “*de”: as in that language
                found.append((region, f"{name} (+{calling_code})"))
    return sorted(found, key=lambda pair: pair[1])


def regions() -> list[tuple[str, str]]:
    """Country code -> name and calling code, in the language of the page."""
    return _regions((get_language() or "en")[:2])


class PlaceForm(forms.ModelForm):
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
    """For operators."""

    administrator_email = forms.EmailField(
        label=_("Add an administrator"),
        required=False,
        widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("E-mail. After saving you get a link to pass on, by which they set their password."),
    )

    class Meta:
        model = Organization
        fields = ("name", "public_id", "language", "time_zone", "default_region", "support_contact")

    def clean_administrator_email(self) -> str:
        email = str(self.cleaned_data["administrator_email"]).lower()
        if email and User.objects.filter(email__iexact=email).exists():
            raise ValidationError(_("There is a user with this e-mail already."), code="unique")
        return email


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
            self.add_error("quiet_until", _("The end must differ from the beginning, else no text would ever be sent."))
        return cleaned
