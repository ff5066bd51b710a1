"""Sentences of Unfold and Django that our pages show, for our own catalogue.

Unfold brings no translations at all, and Django's German calls some things by another name (“Passwort”).
Naming the sentences here makes `makemessages` collect them; a project's catalogue comes before Django's.
tests/test_german.py compares them with the Unfold and the Django that are installed.
"""

from django.utils.translation import gettext_noop, ngettext_lazy

UNFOLD = (
    gettext_noop("Click to cancel"),
    gettext_noop("Date"),
    gettext_noop("False"),
    gettext_noop("Run"),
    gettext_noop("Select action"),
    gettext_noop("Select action to run"),
    gettext_noop("Select all rows"),
    gettext_noop("Select record"),
    gettext_noop("Select value"),
    gettext_noop("This item will be deleted."),
    gettext_noop("Toggle password visibility"),
    gettext_noop("True"),
    gettext_noop("Type to search"),
    gettext_noop("You have been successfully logged out from the administration"),
)

DJANGO = (
    gettext_noop("Enter the same password as before, for verification."),
    gettext_noop("New password"),
    gettext_noop("New password confirmation"),
    gettext_noop("Old password"),
    gettext_noop("The password is too similar to the %(verbose_name)s."),
    gettext_noop("The two password fields didn’t match."),
    gettext_noop("This password is entirely numeric."),
    gettext_noop("This password is too common."),
    gettext_noop("Your old password was entered incorrectly. Please enter it again."),
    gettext_noop("Your password can’t be a commonly used password."),
    gettext_noop("Your password can’t be entirely numeric."),
    gettext_noop("Your password can’t be too similar to your other personal information."),
)

# Each with its plural, which is of no use here but for makemessages.
DJANGO_COUNTS = (
    ngettext_lazy(
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
    ),
    ngettext_lazy(
        "Your password must contain at least %(min_length)d character.",
        "Your password must contain at least %(min_length)d characters.",
    ),
)
