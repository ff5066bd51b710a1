"""What unfold's lists leave to us."""

from __future__ import annotations

import re

from django import template
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def begins_large(cell: SafeString) -> SafeString:
    """A cell whose label, which a phone shows, begins as the column's heading does: “Can be texted”.

    unfold takes it from the model as it is, and would write Every Word with a capital.
    """
    return mark_safe(re.sub(r'data-label="(.)', lambda label: f'data-label="{label[1].upper()}', cell, count=1))  # noqa: S308


@register.simple_tag
def page_of(changes: ChangeList, number: int) -> str:
    """The address of another page of the same list, searched and filtered as this one."""
    return changes.get_query_string({PAGE_VAR: number})
