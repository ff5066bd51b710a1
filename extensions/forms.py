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

from extensions import entries
from extensions.contract import Provider, SecretField, SenderKind
from extensions.entries import Entry
from extensions.kept import Drawer
from organizations.one_line import ONE_LINE

KINDS = {
    SenderKind.NUMBER: _("a phone number"),
    SenderKind.SHORT_CODE: _("a short code"),
    SenderKind.ALPHANUMERIC: _("an alphanumeric sender ID"),
    SenderKind.SERVICE: _("a messaging service"),
}


# Nobody's own name or address belongs into a provider's form, and no keyboard of a phone changes what an identifier is.
AS_TYPED = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "data-1p-ignore": ""}


def dress(form: forms.Form) -> None:
    """Give the form's widgets the admin's look, and have browsers leave what is typed as it is."""
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
        if isinstance(widget, forms.TextInput | forms.PasswordInput | forms.Textarea):
            widget.attrs = {**AS_TYPED, **widget.attrs}


class CommonFields(forms.Form):
    """What every account has, whatever the provider."""

    use_required_attribute = False  # all errors come at once, from the server

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        validators=[ONE_LINE],
        help_text=_("Any text by which you will recognise this account later."),
        widget=forms.TextInput(attrs={"autocapitalize": "sentences", "spellcheck": "true"}),
    )
    sender = forms.CharField(max_length=40)
    end_former = forms.BooleanField(
        label=_("Revoke the secrets of the former account as soon as it is replaced"),
        help_text=_(
            "Choose this if one of them has become known to others. Replies and delivery reports that are still "
            "signed with them are then refused."
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
    """A field as it is shown.

    `kept` is the handle of a secret that need not be typed again; `put_right` the value as it counts where it is not as
    it was typed, which is never told of a secret.
    """

    field: BoundField
    is_secret: bool = False
    kept: str = ""
    put_right: str = ""
    left_out: bool = False  # something that stood around a secret

    @property
    def generates(self) -> int:
        """How many random characters the form offers to fill in; 0 where the provider gives the value out."""
        return getattr(self.field.field, "generates", 0)

    @property
    def hides(self) -> bool:
        """Whether what is typed there shows as dots."""
        return isinstance(self.field.field.widget, forms.PasswordInput)

    @property
    def suggestion(self) -> str:
        """The corrected value, where the error offers one."""
        for error in [] if self.is_secret else self.field.errors.as_data():
            if error.params and error.params.get("suggestion"):
                return str(error.params["suggestion"])
        return ""


KEPT = "kept-"  # before the name of a secret's field: the handle under which it is kept


class AccountForm:
    """The common fields and the provider's own, as one form. Secrets are never rendered back.

    `data` are the posted values, None for an empty form; `initial` prefills what is not a secret. What was typed is put
    right first (`entries`), and a secret that was not typed is looked up in `drawer`. Two values that stand in each
    other's field are exchanged, and `misplaced` names the fields: nothing is saved before somebody has seen it, or has
    said that they are meant as they were typed: then `exchange_back` names the same fields.
    """

    def __init__(
        self,
        provider: type[Provider],
        data: Mapping[str, Any] | None = None,
        initial: dict[str, str] | None = None,
        *,
        drawer: Drawer | None = None,
        exchange_back: str = "",
    ) -> None:
        self.provider, self.drawer = provider, drawer
        self.secrets = [name for name, field in provider.Credentials.base_fields.items() if _is_secret(field)]
        self.kept: dict[str, str] = {}  # field -> handle
        self.entries: dict[str, Entry] = {}
        self.misplaced: list[tuple[str, str]] = []
        if data is None:
            self.kept = drawer.newest(self.secrets) if drawer else {}
        else:
            data = self._read(data, exchange_back)
        self.common = CommonFields(provider, data, initial=initial)
        self.credentials = provider.Credentials(data, initial=initial)
        self.credentials.use_required_attribute = False
        dress(self.common)
        dress(self.credentials)

    def _read(self, data: Mapping[str, Any], exchange_back: str) -> dict[str, Any]:
        """The values as they count."""
        self.entries = entries.read(
            self.provider, {name: data.get(name) or "" for name in entries.rules_of(self.provider)}
        )
        values = {name: entry.value for name, entry in self.entries.items()}
        typed = {name: entry.typed for name, entry in self.entries.items()}
        for name in self.secrets:
            handle = str(data.get(f"{KEPT}{name}") or "")
            if self.drawer and not values[name] and (secret := self.drawer.open(name, handle)):
                values[name] = typed[name] = secret
                self.kept[name] = handle
        if exchange_back:
            pairs = [pair for pair in _pairs(exchange_back) if set(pair) <= values.keys()]
        else:
            pairs = self.misplaced = entries.misplaced(self.provider, typed)
        if pairs:
            values = entries.exchanged(self.provider, typed, pairs)
        for name in [name for pair in pairs for name in pair]:
            self.kept.pop(name, None)
        self._lost = {name for name in self.secrets if data.get(f"{KEPT}{name}") and not values[name]}
        return {**{name: data.get(name) for name in CommonFields.base_fields}, **values}

    def is_valid(self) -> bool:
        """Whether all is right and in its place; both halves are always checked, so that all errors show at once."""
        results = [self.common.is_valid(), self.credentials.is_valid()]
        if not all(results):
            self._explain()
        return all(results) and not self.misplaced

    def _explain(self) -> None:
        """Say of a kept secret that it has run out; take out of sight what was typed into a field that is shown."""
        for name in self._lost & self.credentials.errors.keys():
            self.credentials.errors[name] = self.credentials.error_class(
                [gettext("Please type this once more: it was kept for 15 minutes only.")]
            )
        for form in (self.common, self.credentials):
            shown = [name for name in form.errors if name in self.entries and name not in self.secrets]
            for name in shown:
                secret = entries.betrayed(self.provider, name, str(form.data.get(name) or ""))
                if secret:
                    label = self.credentials.fields[secret].label
                    sentence = gettext("This looks like the value for “%(field)s”. Enter it there.") % {"field": label}
                    form.errors[name] = form.error_class([sentence])
                    form.data = {**form.data, name: ""}

    def keep(self, *names: str) -> None:
        """Keep the secrets (of these fields, else all) that are right, so that nobody has to type them again."""
        assert self.drawer is not None
        for name in names or self.secrets:
            secret = str(self.credentials.data.get(name) or "")
            if name in self.secrets and secret and not self.credentials.errors.get(name):
                self.kept[name] = self.kept.get(name) or self.drawer.keep(name, secret)
            else:
                self.kept.pop(name, None)

    @property
    def errors(self) -> dict[str, Any]:
        return {**self.common.errors, **self.credentials.errors}

    @property
    def non_field_errors(self) -> list[str]:
        return [*self.common.non_field_errors(), *self.credentials.non_field_errors()]

    def label(self, name: str) -> str:
        field = self.credentials.fields.get(name) or self.common.fields[name]
        return str(field.label)

    @property
    def exchanged_names(self) -> str:
        """The fields of `misplaced`, as `exchange_back` takes them."""
        return " ".join(":".join(pair) for pair in self.misplaced)

    @property
    def exchanges(self) -> list[tuple[str, str]]:
        """The labels of the fields whose values were in each other's place."""
        return [(self.label(here), self.label(there)) for here, there in self.misplaced]

    def rows(self) -> Iterator[Row]:
        """The fields in the order in which they are asked for; the confirmation is shown with the sender."""
        yield self.row("name")
        for field in self.credentials:
            yield self.row(field.name)
            if field.name == self.provider.sender_after:
                yield self.row(entries.SENDER)
        if not self.provider.sender_after:
            yield self.row(entries.SENDER)

    def row(self, name: str) -> Row:
        """One field. Raises KeyError where there is none of this name."""
        form = self.credentials if name in self.credentials.fields else self.common
        field = form[name]
        entry = self.entries.get(name)
        is_put_right = bool(entry and entry.is_put_right and entry.value and not field.errors)
        if name in [moved for pair in self.misplaced for moved in pair]:
            is_put_right = False  # said for both of them together
        if name in self.secrets:
            return Row(field, True, self.kept.get(name, ""), left_out=is_put_right)
        if entry and entries.betrayed(self.provider, name, entry.value):
            is_put_right = False  # it may be a secret that is in the wrong field: it is not repeated
        return Row(field, put_right=entry.value if entry and is_put_right else "")

    @property
    def put_right(self) -> list[tuple[str, str]]:
        """Label and value of each field whose value counts otherwise than it was typed; secrets are not among them."""
        return [(str(row.field.label), row.put_right) for row in self.rows() if row.put_right]

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


def _pairs(text: str) -> list[tuple[str, str]]:
    found = [word.partition(":") for word in text.split()]
    return [(here, there) for here, colon, there in found if colon and here != there]


def _is_secret(field: forms.Field) -> bool:
    return isinstance(field, SecretField)
