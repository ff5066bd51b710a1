"""Numbers on pages, as intake/figures.py writes them."""

from __future__ import annotations

from django import template

from intake import figures

register = template.Library()
register.filter("amount", figures.amount)
register.filter("percent", figures.percent)
