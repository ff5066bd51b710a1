"""The names of countries, in the language of whoever reads them. Pure."""

from __future__ import annotations

from functools import cache
from importlib import util
from pathlib import Path

import phonenumbers
from django.utils.translation import get_language

_DATA = Path(phonenumbers.__file__).parent / "geodata" / "locale.py"


@cache
def names(language: str) -> dict[str, str]:
    """The country's ISO code -> its name in this language (an ISO 639-1 code), or in English.

    The library keeps them beside the places of all numbers in the world. Importing the package around them takes each
    process half a second and 100 MB; this module alone takes 30 ms and is not kept.
    """
    spec = util.spec_from_file_location("phonenumbers.geodata.locale", _DATA)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {}
    for region, said in module.LOCALE_DATA.items():
        name = said.get(language) or said.get("en", "")
        if name.startswith("*"):  # as in that other language
            name = said.get(name[1:], "")
        if name:
            found[region] = name
    return found


def name(region: str) -> str:
    """The name of a country in the reader's language; `region` is its ISO code, which stands for one without a name."""
    return names((get_language() or "en")[:2]).get(region, region)
