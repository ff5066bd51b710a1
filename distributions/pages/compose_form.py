"""The one form of a distribution. It is the same whatever provider carries it (R7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime, tzinfo
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import DATETIME_CLASSES, INPUT_CLASSES, TEXTAREA_CLASSES

from contacts.models import ContactList
from distributions.models import Distribution
from distributions.piping import Template
from distributions.planning import times
from distributions.planning.review import survey_obstacle
from organizations.meanwhile import Meanwhile
from organizations.models import User
from organizations.one_line import keep_to_one_line
from surveys.models import Survey

LOCAL = "%Y-%m-%dT%H:%M"  # what a browser's date and time field sends


class MomentField(forms.DateTimeField):
    """A local date and time. What the clocks pass over or show twice when they are changed is refused in our words.

    `kept` is what is stored. Whoever leaves it as it is shown means it, seconds and a time that comes twice included.
    `zone` is by whose clocks it is written and read: the organisation's, whatever the reader's own.
    """

    kept: datetime | None = None
    zone: tzinfo | None = None

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, datetime) and timezone.is_aware(value):
            return timezone.make_naive(value, self.zone)
        return value

    def clean(self, value: Any) -> datetime | None:
        if self.kept is not None and value == timezone.localtime(self.kept, self.zone).strftime(LOCAL):
            return self.kept
        cleaned: datetime | None = super().clean(value)
        return cleaned

    def to_python(self, value: Any) -> datetime | None:
        try:
            with timezone.override(self.zone or timezone.get_current_timezone()):
                return super().to_python(value)
        except forms.ValidationError as error:
            if error.code != "ambiguous_timezone":
                raise
            sentence = _(
                "The clocks are changed at this time, so that it comes twice or not at all. Choose another one."
            )
            raise forms.ValidationError(sentence, code=error.code) from error


def time_in(written: Mapping[str, str], zone: tzinfo) -> datetime | None:
    """When the texts are to leave, of a form that is being filled in; None for at once, and for what is not a time."""
    if written.get("when") == ComposeForm.NOW:
        return None
    field = deepcopy(ComposeForm.base_fields["send_at"])
    assert isinstance(field, MomentField)
    field.zone = zone
    try:
        moment: datetime | None = field.clean(written.get("send_at", ""))
        if moment:
            times.check_send_at(moment, timezone.now())
    except (forms.ValidationError, times.Unusable):
        return None
    return moment


def _moment(label: Any, help_text: Any) -> MomentField:
    return MomentField(
        label=label,
        required=False,
        help_text=help_text,
        input_formats=[LOCAL, f"{LOCAL}:%S"],
        widget=forms.DateTimeInput(format=LOCAL, attrs={"type": "datetime-local", "class": " ".join(DATETIME_CLASSES)}),
        error_messages={"invalid": _("Write a date and a time, for example 2030-05-31T09:30.")},
    )


class ComposeForm(Meanwhile):
    """Method, recipients, message and time of a draft. What the two methods ask for differs in `_clean_method` only."""

    use_required_attribute = False

    NOW, LATER = "now", "later"

    when = forms.ChoiceField(
        label=_("Send"),
        choices=[(NOW, _("as soon as it is launched")), (LATER, _("at a time"))],
        initial=NOW,
        widget=forms.RadioSelect,
    )
    send_at = _moment(_("Date and time"), "")
    link_expires_at = _moment(
        _("The survey link works until"),
        _("After that, people read that the survey has ended. Leave empty for no end date."),
    )

    class Meta:
        model = Distribution
        fields = ("method", "name", "contact_list", "survey", "message_text", "send_at", "link_expires_at")
        labels: ClassVar = {
            "name": _("Name"),
            "contact_list": _("Contact list"),
            "survey": _("Survey"),
            "message_text": _("Text"),
        }
        help_texts: ClassVar = {
            "name": _("For you and your colleagues; recipients do not see it."),
            "message_text": _("Sent before the first question; optional."),  # shown with a survey by text alone
        }
        error_messages: ClassVar = {
            "method": {name: _("Choose one of the two methods.") for name in ("required", "invalid_choice")},
        }
        widgets: ClassVar = {
            "method": forms.RadioSelect,
            "name": forms.TextInput(attrs={"class": " ".join(INPUT_CLASSES), "autocomplete": "off"}),
            "contact_list": forms.Select(attrs={"class": "snd-select"}),
            "survey": forms.Select(attrs={"class": "snd-select"}),
            "message_text": forms.Textarea(attrs={"class": " ".join(TEXTAREA_CLASSES), "rows": 5}),
        }

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_to_one_line(self.fields.values())
        lists = self.fields["contact_list"]
        surveys = self.fields["survey"]
        assert isinstance(lists, forms.ModelChoiceField)
        assert isinstance(surveys, forms.ModelChoiceField)
        lists.queryset = ContactList.objects.visible_to(user)
        surveys.queryset = Survey.objects.visible_to(user)
        lists.required = True
        lists.empty_label = surveys.empty_label = _("Choose …")
        assert user.organization is not None  # only its people write distributions
        zone = user.organization.time_zone
        self.fields["send_at"].help_text = _("In the time zone %(zone)s.") % {"zone": zone}
        if self.instance.pk and self.instance.send_at:
            self.fields["when"].initial = self.LATER
        for name in ("send_at", "link_expires_at"):
            moment = self.fields[name]
            assert isinstance(moment, MomentField)
            moment.kept, moment.zone = getattr(self.instance, name), ZoneInfo(zone)

    def clean_message_text(self) -> str:
        text: str = self.cleaned_data["message_text"].replace("\r\n", "\n").replace("\r", "\n")
        problems = Template(text).problems
        if problems:
            raise forms.ValidationError(problems)
        return text

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "method" in cleaned:
            self._clean_method(cleaned, interactive=cleaned["method"] == Distribution.Method.INTERACTIVE)
        now = timezone.now()
        if cleaned.get("when") == self.NOW:
            cleaned["send_at"] = None
            self.errors.pop("send_at", None)  # of no interest then
        elif "send_at" in cleaned:
            if cleaned["send_at"] is None:
                self.add_error("send_at", _("Choose when the texts are to be sent."))
            elif cleaned["send_at"] <= now:
                self.add_error("send_at", _("This time has passed. Choose a later one."))
        send_at, expires = cleaned.get("send_at"), cleaned.get("link_expires_at")
        if expires:
            self._check("link_expires_at", times.check_expiry, expires, send_at or now, now)
        if send_at:
            self._check("send_at", times.check_send_at, send_at, now)
        return cleaned

    def _check(self, field: str, check: Callable[..., None], *moments: datetime) -> None:
        try:
            check(*moments)
        except times.Unusable as refusal:
            self.add_error(field, str(refusal))

    def _clean_method(self, cleaned: dict[str, Any], *, interactive: bool) -> None:
        """A link needs a text and an address to lead to, a survey by text needs questions."""
        survey = cleaned.get("survey")
        if survey and (sentence := survey_obstacle(survey, interactive=interactive)):
            self.add_error("survey", sentence)
        text = cleaned.get("message_text")
        if interactive:
            cleaned["link_expires_at"] = None
            self.errors.pop("link_expires_at", None)  # of no interest then
            if text and survey and not survey.url and Template(text).has_survey_link:
                self.add_error("message_text", _("The survey has no address: remove the link to it."))
        elif text is not None and not text.strip():
            self.add_error("message_text", _("Write the text that people get."))
