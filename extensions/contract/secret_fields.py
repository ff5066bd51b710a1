"""The fields for secrets, which are never rendered back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from extensions.strength import weakness


class SecretField(forms.CharField):
    """A credential that is typed once and never rendered back.

    One that is `verbatim` was chosen by a person, and may begin and end with whatever they like.
    """

    def __init__(self, *, verbatim: bool = False, **kwargs: Any) -> None:
        self.verbatim = verbatim
        kwargs.setdefault("max_length", 4096)
        kwargs.setdefault(
            "widget",
            forms.PasswordInput(
                render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false", "data-1p-ignore": ""}
            ),
        )
        super().__init__(**kwargs)


class ChosenSecretField(SecretField):
    """A secret that the administrator makes up and gives to the provider: the form can generate it.

    What is typed must not be easy to guess. What a provider has given out is a SecretField and never judged.
    """

    generates = 20  # random letters and digits

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(verbatim=True, **kwargs)

    def validate(self, value: str) -> None:
        super().validate(value)
        is_too_short = len(value) < (self.min_length or 1)  # said by the field's own rule, or as missing
        if not is_too_short and (sentence := weakness(value)):
            raise ValidationError(sentence, code="weak")
