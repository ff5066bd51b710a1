"""Names of countries: in the reader's language, and at no cost to processes that show none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.utils.translation import override

from intake import countries


@pytest.mark.parametrize(
    ("language", "region", "name"),
    [
        ("en", "DE", "Germany"),
        ("de", "DE", "Deutschland"),
        ("de-at", "GB", "Vereinigtes Königreich"),
        ("es", "AR", "Argentina"),
        ("tlh", "FR", "France"),  # nobody has translated it: in English
        ("de", "ZZ", "ZZ"),
    ],
)
def test_a_country_has_its_name_in_the_readers_language(language: str, region: str, name: str) -> None:
    with override(language):
        assert countries.name(region) == name


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_no_name_is_empty_or_leads_to_another_language(language: str) -> None:
    found = countries.names(language)

    assert len(found) > 240
    assert [name for name in found.values() if not name or name.startswith("*")] == []


def test_no_process_reads_where_in_the_world_every_number_is() -> None:
    """The library's 100 MB of places would be in the memory of each web worker, sender and command."""
    program = """
import sys, django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import config.celery
from intake import countries
countries.names("en")
print([name for name in sys.modules if name.startswith("phonenumbers.geodata")])
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}

    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
    )

    assert told.stdout.strip() == "[]"
