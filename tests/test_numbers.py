"""A phone number is read as people write it, or refused; what is accepted is never silently somebody else's, abroad."""

import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from contacts import numbers

COUNTRIES = (
    *("DE", "AT", "CH", "GB", "IE", "FR", "BE", "NL", "IT", "ES", "PT"),
    *("PL", "SE", "DK", "US", "CA", "AU", "NZ", "IN", "BR", "ZA", "RU"),
)
MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
SAMPLES = 25  # numbers of each country


def mobiles(region, how_many=SAMPLES):
    """Numbers from everywhere in a country's plan for mobile numbers, the same in each run."""
    dice = random.Random(region)
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    digits = str(example.national_number)
    found = []
    while len(found) < how_many:
        kept = dice.randint(0 if region in ("US", "CA") else 1, 3)
        national = digits[:kept] + "".join(str(dice.randint(0, 9)) for _ in digits[kept:])
        number = phonenumbers.PhoneNumber(country_code=example.country_code, national_number=int(national))
        if phonenumbers.region_code_for_number(number) == region and phonenumbers.number_type(number) in MOBILE:
            found.append(number)
    return found


def forms(number):
    """Significant digits, digits as dialled at home, digits with the country code."""
    significant = phonenumbers.national_significant_number(number)
    at_home = "".join(filter(str.isdigit, phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)))
    return significant, at_home, f"{number.country_code}{significant}"


def honest(number):
    significant, at_home, with_code = forms(number)
    yield f"+{with_code}"
    yield f"00{with_code}"
    yield f"+ {with_code}"
    yield f"+00 {with_code}"
    yield f"'+{with_code}"
    yield f'="+{with_code}"'
    yield phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    yield phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL).replace(" ", "\u00a0")
    yield phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    yield phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL).replace(" ", ".")
    yield phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL).replace(" ", "/", 1)
    yield at_home
    yield significant
    yield f"{significant}.0"
    yield with_code
    yield "".join(chr(0xFF10 + int(digit)) for digit in at_home)  # wide digits
    yield "".join(chr(0x0660 + int(digit)) for digit in at_home)  # Arabic digits
    if at_home.startswith("0"):
        yield f"+{number.country_code} (0){significant}"


def accidents(number, others):
    """What goes wrong on the way into a file. None of these says which country it means."""
    significant, at_home, with_code = forms(number)
    for digits in (significant, at_home, with_code):
        middle = len(digits) // 2
        yield f"{digits}.0"
        yield f"{digits},0"
        yield f"{digits}0"  # the same, read by a program that drops the dot
        yield f"{digits[:middle]}.{digits[middle:]}"
        yield f"{digits[0]}.{digits[1:]}E+{len(digits) - 1}"
        for extra in "0159":
            yield extra + digits
            yield digits + extra
            yield digits[:middle] + extra + digits[middle:]
        yield digits[1:]
        yield digits[:-1]
        yield digits[:middle] + digits[middle + 1 :]
        yield digits[:middle] + digits[middle] + digits[middle:]
        yield digits[1] + digits[0] + digits[2:]
        yield digits[:-2] + digits[-1] + digits[-2]
        yield digits + digits
        yield f"{digits}/79"
        yield f"{digits} / {significant}"
        yield f"{digits}, {significant}"
        yield f"{digits} x12"
        yield f"{digits} ext. 9"
        yield f"{digits[-7:-4]}-{digits[-4:]}"  # without the area
    yield f"{number.country_code}{with_code}"
    for other in others:
        yield from forms(other)


def read(text, region, **choice):
    try:
        return numbers.read(text, region, **choice)
    except numbers.InvalidNumber:
        return None


def is_explicit(text, region):
    return text.startswith(("+", "00")) or (region in ("US", "CA") and text.startswith("011"))


@pytest.mark.parametrize("region", COUNTRIES)
def test_no_accident_makes_it_silently_a_number_of_another_country(region):
    others = [mobiles(other, 1)[0] for other in COUNTRIES if other != region]
    foreign = []

    for number in mobiles(region):
        for text in accidents(number, others):
            found = read(text, region)
            if found is None or is_explicit(text, region):
                continue
            parsed = phonenumbers.parse(found.e164)
            if parsed.country_code != number.country_code or (
                phonenumbers.region_code_for_number(parsed) not in (region, None)
            ):
                foreign.append((text, found.e164))

    assert foreign == []


@pytest.mark.parametrize("region", COUNTRIES)
def test_numbers_are_read_as_people_write_them(region):
    wrong, total = [], 0

    for number in mobiles(region):
        for text in honest(number):
            total += 1
            found = read(text, region)
            if found is None or found.e164 != phonenumbers.format_number(number, PhoneNumberFormat.E164):
                wrong.append((text, found))

    assert len(wrong) <= total // 100, wrong[:10]


@pytest.mark.parametrize("region", COUNTRIES)
def test_digits_with_a_country_code_are_read_so_where_somebody_said_so(region):
    wrong, total = [], 0

    for other in COUNTRIES:
        for number in mobiles(other, 3):
            total += 1
            found = read(forms(number)[2], region, with_country_code=True)
            if found is None or found.e164 != phonenumbers.format_number(number, PhoneNumberFormat.E164):
                wrong.append((region, forms(number), found))

    assert len(wrong) <= total // 100, wrong


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("7700900123.0", "GB", "+447700900123"),
        ("0151/12345678", "DE", "+4915112345678"),
        ("0043/664/1234567", "DE", "+436641234567"),
        ("06/12/34/56/78", "FR", "+33612345678"),
        ("+44 (0)7700 900123", "DE", "+447700900123"),
        ("011 44 7700 900123", "US", "+447700900123"),
        ("0011 64 21 123 4567", "AU", "+64211234567"),
        ("\u202a+49 151 12345678\u202c", "DE", "+4915112345678"),
        ("0491 1234567", "DE", "+494911234567"),
        ("800 555 1234", "CA", "+18005551234"),
        ("20 11 20 26", "DK", "+4520112026"),  # not a date: as numbers are grouped there
        ("20112026", "DK", "+4520112026"),
    ],
)
def test_these_are_numbers(text, region, e164):
    assert numbers.read(text, region).e164 == e164


@pytest.mark.parametrize(
    ("text", "region", "words"),
    [
        ("683-4002", "US", "another country (Niue)"),
        ("14015555555", "DE", "another country (United States)"),
        ("77009001230", "GB", "another country (Kazakhstan)"),
        ("416 555 0123", "US", "another country (Canada), not from yours (United States)"),
        ("0151 12345678/79", "DE", "several numbers"),
        ("0151 12345678, 0170 1234567", "DE", "several numbers"),
        ("4.47700900123E+11", "GB", "shortened by a spreadsheet"),
        ("4,47700900123E+11", "GB", "shortened by a spreadsheet"),
        ("4E11", "GB", "shortened by a spreadsheet"),
        ("2026-11-27", "DK", "is a date"),  # read as a number, it is somebody's mobile phone
        (" 27.11.2026", "LV", "is a date"),
        ("'11/27/2026", "DE", "is a date"),
        ("1984/3/05", "KH", "is a date"),
        ("1-1-1950", "PM", "is a date"),
        ("+4949 151 12345678", "US", "country code twice; is it +4915112345678?"),
        ("+15112345678", "DE", "a plus but no country code; is it +4915112345678?"),
        ("+0151 12345678", "DE", "not a phone number"),
        ("0900 1234567", "DE", "premium-rate"),
        ("0151 1234 O678", "DE", "not a phone number"),
        ("1-800-FLOWERS", "US", "not a phone number"),
        ("0151 12345678 x12", "DE", "not a phone number"),
        ("0151+12345678", "DE", "not a phone number"),
        ("++49 151 12345678", "DE", "not a phone number"),
        ("110", "DE", "not a phone number"),
    ],
)
def test_these_are_refused_with_what_would_be_right(text, region, words):
    with pytest.raises(numbers.InvalidNumber) as refusal:
        numbers.read(text, region)

    assert words in str(refusal.value)


@pytest.mark.parametrize("region", COUNTRIES)
def test_no_date_is_a_number_and_no_number_of_a_country_looks_like_one(region):
    """Somebody chose the wrong column, or a spreadsheet has taken what was typed for a day."""
    for date in ("2026-11-27", "1984-03-05", "27.11.2026", "05/03/1984", "11/27/2026", "27-11-2026", "1.1.1950"):
        assert read(date, region) is None, date
    for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE):
        example = phonenumbers.example_number_for_type(region, kind)
        for form in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL):
            assert not numbers._DATE.fullmatch(phonenumbers.format_number(example, form))


def test_a_landline_is_a_number_that_is_pointed_out():
    assert numbers.read("030 1234567", "DE").is_landline
    assert not numbers.read("0151 12345678", "DE").is_landline
    assert not numbers.read("401 555 5555", "US").is_landline


@given(st.text(max_size=40), st.sampled_from(COUNTRIES), st.booleans())
def test_whatever_is_typed_is_a_number_or_refused(text, region, with_country_code):
    found = read(text, region, with_country_code=with_country_code)

    if found is not None:
        assert numbers.read(found.e164, region).e164 == found.e164
