"""The fields that the forms of credentials are made of: what a value looks like, and what to say if it does not.

Each raises one ValidationError; where the right value can be told from what was typed or pasted, it offers it as
`suggestion`, which the form can fill in, and puts in by itself where it is `certain`. What a provider means by its
fields stays in its own file, as data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError

from extensions.contract import SecretField, Text

PLAIN_INPUT: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false"}


def _error(sentence: Text, **params: Any) -> ValidationError:
    return ValidationError(str(sentence), params=params)


class IdentifierField(forms.CharField):
    """A value of one form, such as an account number.

    `pattern` is a full match. `instead` says of other patterns what was entered in its place. The value that is found
    in what was pasted (an address, a quoted or a labelled value) is offered with the sentence `suggest`: the
    first place that `found` matches, `spelled` as it should be, or what is left without the characters that `allowed`
    does not have. If nothing is found, the sentence is `wrong`, which may say how many characters there are (`count`).
    """

    def __init__(
        self,
        *,
        wrong: Text,
        suggest: Text,
        pattern: str = "",
        allowed: str = "",
        found: str = "",
        spelled: Callable[[str], str] = str,
        instead: Mapping[str, Text] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("widget", forms.TextInput(attrs=PLAIN_INPUT))
        super().__init__(**kwargs)
        self.pattern = re.compile(pattern or f"[{allowed}]+")
        self.allowed, self.found, self.spelled, self.instead = allowed, found, spelled, instead or {}
        self.wrong, self.suggest = wrong, suggest

    def clean(self, value: Any) -> str:
        typed: str = super().clean(value)
        if not typed or self.pattern.fullmatch(typed):
            return typed
        for pattern, sentence in self.instead.items():
            if re.fullmatch(pattern, typed):
                raise _error(sentence)
        if suggestion := self.suggestion(typed):
            raise _error(self.suggest, suggestion=suggestion, certain=self.is_certain(typed, suggestion))
        raise _error(self.wrong, count=len(typed))

    def is_certain(self, typed: str, suggestion: str) -> bool:
        """Whether nothing else can be meant: it looks like no other value, and is the only one there."""
        found = {self.spelled(match.group()) for match in re.finditer(self.found, typed)} if self.found else ()
        return len(found) == 1

    def suggestion(self, typed: str) -> str:
        """The right value within what was typed, "" if there is none."""
        if self.found:
            match = re.search(self.found, typed)
        else:
            match = self.pattern.search(re.sub(f"[^{self.allowed}]", "", typed))
        return self.spelled(match.group()) if match else ""


class ChosenNameField(IdentifierField):
    """A user name that the administrator makes up and gives to the provider: the form can generate it."""

    generates = 20  # random letters and digits


class HostField(forms.CharField):
    """The bare name of a host of the provider's: this server will call it with the credentials.

    One that is `lenient` takes capitals, and offers the host also where a port or a user name stands beside it.
    """

    def __init__(
        self, *, patterns: Sequence[str], wrong: Text, suggest: Text, lenient: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.patterns, self.wrong, self.suggest, self.lenient = patterns, wrong, suggest, lenient

    def clean(self, value: Any) -> str:
        typed: str = super().clean(value)
        host = typed.lower() if self.lenient else typed
        if not typed or self.is_host(host):
            return host
        if suggestion := self.suggestion(typed):
            raise _error(self.suggest, suggestion=suggestion, certain=True)
        raise _error(self.wrong)

    def is_host(self, value: str) -> bool:
        return any(re.fullmatch(pattern, value) for pattern in self.patterns)

    def suggestion(self, typed: str) -> str:
        """The host of something that looks like an address, "" if it is none of the provider's."""
        try:
            address = urlsplit(typed if "://" in typed else f"https://{typed}")
        except ValueError:
            return ""
        host = address.hostname or ""
        if not self.lenient and host != address.netloc.lower():
            return ""
        return host if self.is_host(host) else ""


class GivenSecretField(SecretField):
    """A secret that the provider has given out: never judged, but for what it clearly is not.

    `mistakes` says of patterns, wherever they match, what is wrong; the first counts.
    """

    def __init__(self, *, mistakes: Mapping[str, Text], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mistakes = mistakes

    def clean(self, value: Any) -> str:
        secret: str = super().clean(value)
        for pattern, sentence in self.mistakes.items():
            if secret and re.search(pattern, secret):
                raise _error(sentence)
        return secret


class ChoiceField(forms.ChoiceField):
    """A choice that may be left out: then it is the first."""

    def __init__(self, *, choices: Sequence[tuple[str, Text]], **kwargs: Any) -> None:
        super().__init__(choices=choices, required=False, initial=choices[0][0], **kwargs)

    def clean(self, value: Any) -> str:
        chosen: str = super().clean(value)
        return chosen or str(self.initial)
