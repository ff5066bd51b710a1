"""The form that adds an account: a name and a sender, beside the fields that the provider itself asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES, SELECT_CLASSES, TEXTAREA_CLASSES

from extensions.contract import Provider, SecretField, SenderKind

KINDS = {
    SenderKind.NUMBER: _("a phone number"),
    SenderKind.SHORT_CODE: _("a short code"),
    SenderKind.ALPHANUMERIC: _("an alphanumeric sender ID"),
    SenderKind.SERVICE: _("a messaging service"),
}


def dress(form: forms.Form) -> None:
    """Give the form's widgets the admin's look."""
    for field in form.fields.values():
        widget = field.widget
        if isinstance(widget, forms.CheckboxInput):
            classes = CHECKBOX_CLASSES
        elif isinstance(widget, forms.Select):
            classes = SELECT_CLASSES
        elif isinstance(widget, forms.Textarea):
            classes = TEXTAREA_CLASSES
        else:
            classes = INPUT_CLASSES
        widget.attrs["class"] = " ".join(classes)


class CommonFields(forms.Form):
    """What every account has, whatever the provider."""

    use_required_attribute = False  # all errors come at once, from the server

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Any text by which you will recognise this account later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    sender = forms.CharField(
        max_length=40, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    end_former = forms.BooleanField(
        label=_("End the secrets of the former account as soon as it is replaced"),
        help_text=_(
            "Choose this if one of them has become known to others. Replies and delivery reports that are still signed "
            "with them are refused then."
        ),
        required=False,
    )
    confirm_one_way = forms.BooleanField(
        label=_("I have read this and will offer a way to opt out in the survey itself."), required=False
    )

    def __init__(self, provider: type[Provider], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.provider = provider
        self.sender_kind: SenderKind | None = None
        self.fields["sender"].label = str(provider.sender_label)
        self.fields["sender"].help_text = str(provider.sender_help)

    def clean_sender(self) -> str:
        value, self.sender_kind = self.provider.clean_sender(self.cleaned_data["sender"])
        return value

    def clean(self) -> dict[str, Any]:
        """Where no reply reaches us, as with a name for a sender, that is confirmed before it is saved (R51, R52)."""
        kind = self.sender_kind
        one_way = kind is not None and not self.provider.capabilities(kind).two_way
        if one_way and not self.cleaned_data.get("confirm_one_way"):
            self.add_error("confirm_one_way", gettext("Tick this box to confirm that you have read the warning."))
        return self.cleaned_data


@dataclass(frozen=True, slots=True)
class Row:
    """A field as it is shown. A secret has to be typed again after an error."""

    field: BoundField
    is_secret: bool = False

    @property
    def generates(self) -> int:
        """How many random characters the form offers to fill in; 0 where the provider gives the value out."""
        return getattr(self.field.field, "generates", 0)

    @property
    def suggestion(self) -> str:
        """The corrected value, where the error offers one."""
        for error in [] if self.is_secret else self.field.errors.as_data():
            if error.params and error.params.get("suggestion"):
                return str(error.params["suggestion"])
        return ""


class AccountForm:
    """The common fields and the provider's own, as one form. Secrets are never rendered back.

    `data` are the posted values, None for an empty form; `initial` prefills name and sender.
    """

    def __init__(
        self, provider: type[Provider], data: Mapping[str, Any] | None = None, initial: Mapping[str, str] | None = None
    ) -> None:
        self.provider = provider
        self.common = CommonFields(provider, data, initial=initial)
        self.credentials = provider.Credentials(data)
        self.credentials.use_required_attribute = False
        dress(self.common)
        dress(self.credentials)

    def is_valid(self) -> bool:
        """Whether both halves are right; both are always checked, so that all errors show at once."""
        results = [self.common.is_valid(), self.credentials.is_valid()]
        return all(results)

    @property
    def errors(self) -> dict[str, Any]:
        return {**self.common.errors, **self.credentials.errors}

    @property
    def non_field_errors(self) -> list[str]:
        return [*self.common.non_field_errors(), *self.credentials.non_field_errors()]

    def rows(self) -> Iterator[Row]:
        """The fields in the order in which they are asked for; the confirmation is shown with the sender."""
        yield Row(self.common["name"])
        sender = Row(self.common["sender"])
        for field in self.credentials:
            yield Row(field, isinstance(field.field, SecretField))
            if field.name == self.provider.sender_after:
                yield sender
        if not self.provider.sender_after:
            yield sender

    @property
    def name(self) -> str:
        return str(self.common.cleaned_data["name"])

    @property
    def sender(self) -> str:
        return str(self.common.cleaned_data["sender"])

    @property
    def end_former(self) -> bool:
        return bool(self.common.cleaned_data["end_former"])

    @property
    def sender_kind(self) -> SenderKind:
        kind = self.common.sender_kind
        assert kind is not None  # a valid form has one
        return kind

    @property
    def values(self) -> dict[str, str]:
        """The provider's own fields, as they are stored."""
        return {name: str(value) for name, value in self.credentials.cleaned_data.items()}
