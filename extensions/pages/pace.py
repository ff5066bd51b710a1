"""How fast an account sends: the one setting of it that can be changed, since it is the engine's."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import INPUT_CLASSES

from extensions import rates
from extensions.models import AccountState, ProviderAccount
from extensions.pages.frame import account_of, for_administrators, page
from organizations.current import current_user


class Rate(forms.FloatField):
    """A number as people write it, with a point or a comma."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.count(",") == 1 and "." not in value:
            value = value.replace(",", ".")
        return super().to_python(value)


class PaceForm(forms.Form):
    use_required_attribute = False

    rate = Rate(
        label=gettext_lazy("Segments per second"),
        required=False,
        error_messages={"invalid": gettext_lazy("Enter a number, such as 2.5, or leave the field empty.")},
        widget=forms.TextInput(
            attrs={"class": " ".join(INPUT_CLASSES), "inputmode": "decimal", "autocomplete": "off", "size": 8}
        ),
    )

    def __init__(self, account: ProviderAccount, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most = rates.documented_rate(account)
        self.fields["rate"].help_text = _(
            "From %(least)s to %(most)s. Empty means %(most)s, which the provider is known to take of such a sender."
        ) % {"least": shown(rates.SLOWEST), "most": shown(self.most)}

    def clean_rate(self) -> float | None:
        rate: float | None = self.cleaned_data["rate"]
        if rate is not None and not rates.SLOWEST <= rate <= self.most:
            said = {"least": shown(rates.SLOWEST), "most": shown(self.most)}
            if rate > self.most:
                raise forms.ValidationError(
                    _("Enter a number from %(least)s to %(most)s. Faster than that, texts would fail at the provider.")
                    % said
                )
            raise forms.ValidationError(
                _("Enter a number from %(least)s to %(most)s. To send nothing at all, withdraw access instead.") % said
            )
        return rate


def shown(rate: float) -> str:
    """A rate as people of the language write it: no more decimals than it has."""
    return str(number_format(f"{rate:.10g}", use_l10n=True))


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def set_pace(request: HttpRequest, public_id: str) -> HttpResponse:
    account = account_of(request, public_id)
    state = AccountState.objects.filter(account=account).first() or AccountState(account=account)
    own = state.messages_per_second
    form = PaceForm(
        account,
        request.POST if request.method == "POST" else None,
        initial={"rate": shown(own) if own is not None else ""},
    )
    if request.method == "POST" and form.is_valid():
        rates.set_rate(account, current_user(request), form.cleaned_data["rate"], request=request)
        messages.success(
            request,
            _("“%(name)s” sends at most %(rate)s segments per second from the next minute on.")
            % {"name": account.name, "rate": shown(form.cleaned_data["rate"] or form.most)},
        )
        return redirect("admin:extensions_account", account.public_id)
    return page(
        request,
        "pace",
        title=_("Sending rate"),
        account=account,
        form=form,
        most=form.most,
        state=state,
        status=422 if form.is_bound else 200,
    )
