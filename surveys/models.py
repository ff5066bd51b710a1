"""What an organisation asks."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from organizations.ids import new_id
from organizations.models import Owned, User


def new_survey_id() -> str:
    return new_id("SV_")


class Survey(Owned):
    """A survey that lives at an address of its own; people get a personal link to it."""

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_survey_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    url = models.URLField(
        _("address"),
        max_length=500,
        help_text=_(
            "Where the survey is, for example https://forms.example.org/s/42. Each person's reference is added to it."
        ),
    )
    reference_parameter = models.SlugField(
        _("parameter for the reference"),
        max_length=40,
        default="ref",
        help_text=_("The name under which the survey receives the person's reference: …?ref=Ab3dE."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("created by")
    )

    class Meta:
        verbose_name = _("survey")
        verbose_name_plural = _("surveys")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    def address_for(self, reference: str) -> str:
        """Where one person goes: the survey's address with their reference added, whatever query it has already."""
        parts = urlsplit(self.url)
        kept = [pair for pair in parts.query.split("&") if pair and pair.split("=")[0] != self.reference_parameter]
        query = "&".join([*kept, f"{self.reference_parameter}={quote(reference, safe='')}"])
        return urlunsplit(parts._replace(path=parts.path or "/", query=query))
