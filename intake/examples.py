"""What a phone number of a country looks like, for sentences that say how to write one. Pure."""

from __future__ import annotations

from functools import cache

from phonenumbers import PhoneNumberFormat, PhoneNumberType, example_number_for_type, format_number

ELSEWHERE = "+4915112345678"


@cache
def number(region: str) -> str:
    """A mobile number of this country (its ISO code), in E.164."""
    found = example_number_for_type(region, PhoneNumberType.MOBILE) if region else None
    return format_number(found, PhoneNumberFormat.E164) if found else ELSEWHERE
