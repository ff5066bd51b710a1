"""Who may do what at every address of the installation: the table that the walk in test_who_may.py holds it to.

`docs/permissions.md` is written from it: `python -m tests.who_may > docs/permissions.md`. A new address needs one line
here, a new action one in ACTIONS, and the walk then tries it as everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Who is meant by a word of the table: role, and "+" for whoever has the permission "Use SMS distributions".
ANYBODY, LOGGED_IN, ORGANISATION = "anybody", "whoever is logged in", "the organisation"
SENDERS, READERS, ADMINISTRATORS, OPERATORS, MANAGERS, NOBODY = (
    "senders",
    "readers",
    "administrators",
    "operators",
    "administrators and operators",
    "–",
)
WORDS: dict[str, tuple[frozenset[str], str]] = {
    ANYBODY: (
        frozenset({"administrator+", "administrator", "member+", "member", "operator", "stranger"}),
        "also without logging in: the address or the request carries a proof of its own, or there is nothing to tell",
    ),
    LOGGED_IN: (
        frozenset({"administrator+", "administrator", "member+", "member", "operator"}),
        "about themselves, or about nothing",
    ),
    ORGANISATION: (
        frozenset({"administrator+", "administrator", "member+", "member"}),
        "administrators and members, in their own organisation",
    ),
    SENDERS: (
        frozenset({"administrator+", "member+"}),
        "administrators and members who have the permission “Use SMS distributions”",
    ),
    READERS: (
        frozenset({"administrator+", "administrator", "member+"}),
        "administrators and members who have the permission “See recipients”; inherited, it is that of senders, and "
        "administrators have it",
    ),
    ADMINISTRATORS: (frozenset({"administrator+", "administrator"}), "of the organisation that the row belongs to"),
    OPERATORS: (frozenset({"operator"}), "platform operators, who belong to no organisation and see no contact"),
    MANAGERS: (
        frozenset({"administrator+", "administrator", "operator"}),
        "administrators about the people of their organisation, operators about operators and administrators",
    ),
    NOBODY: (frozenset(), "nobody: there is no such method, or no such page"),
}
ACTORS = ("administrator+", "administrator", "member+", "member", "operator", "stranger")


@dataclass(frozen=True)
class Row:
    """Who may GET and who may POST (or DELETE) at an address. `example` is one, where the address is a pattern."""

    what: str
    get: str
    post: str = NOBODY
    delete: str = ""  # only the API has it
    example: str = ""


@dataclass(frozen=True)
class Model:
    """Who may do what with the rows of a model at Django's own addresses."""

    look: str
    add: str = NOBODY
    change: str = NOBODY
    delete: str = NOBODY


MODELS: dict[str, Model] = {
    "contacts/contact": Model(ORGANISATION, ORGANISATION, ORGANISATION, ORGANISATION),
    "contacts/contactlist": Model(ORGANISATION, ORGANISATION, ORGANISATION, ORGANISATION),
    "contacts/optout": Model(ORGANISATION, ADMINISTRATORS),
    "distributions/distribution": Model(ORGANISATION, SENDERS, NOBODY, SENDERS),
    "distributions/inboundmessage": Model(ORGANISATION),
    "extensions/enabledextension": Model(OPERATORS, OPERATORS, NOBODY, OPERATORS),
    "keeping/forgetting": Model(ADMINISTRATORS, ADMINISTRATORS),
    "organizations/auditevent": Model(MANAGERS),
    "organizations/organization": Model(OPERATORS, OPERATORS, OPERATORS),
    "organizations/user": Model(MANAGERS, MANAGERS, MANAGERS, MANAGERS),
    "organizations/usergroup": Model(ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "organizations/usertype": Model(ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "surveys/survey": Model(ORGANISATION, ORGANISATION, ORGANISATION, ORGANISATION),
    "webhooks/callback": Model(OPERATORS),
}

_DISTRIBUTION = "admin/distributions/distribution/"
_ACCOUNT = "admin/extensions/account/<slug:public_id>/"
_ACCOUNT_ROWS = "admin/extensions/provideraccount/"
_LIST = "admin/contacts/contactlist/<int:pk>/"

ROWS: dict[str, Row] = {
    "": Row("The way to the admin site", ANYBODY, ANYBODY),
    # --- the person who is looking ---
    "admin/": Row("The home page", LOGGED_IN, LOGGED_IN),
    "admin/login/": Row("Logging in", ANYBODY, ANYBODY),
    "admin/logout/": Row("Logging out", NOBODY, ANYBODY),
    "admin/language/": Row("Choosing the language", NOBODY, ANYBODY),
    "admin/password_change/": Row("Changing one's own password", LOGGED_IN, LOGGED_IN),
    "admin/password_change/done/": Row("“It is changed”", LOGGED_IN),
    "admin/profile/": Row("One's own name, language, number and token", LOGGED_IN, LOGGED_IN),
    "admin/guide/": Row("Hiding the guide on the home page, and showing it again", NOBODY, LOGGED_IN),
    "admin/profile/notices/": Row("Choosing which news one has by e-mail", MANAGERS, MANAGERS),
    "admin/profile/token/": Row("Making an API token for oneself; seeing it for a while", ORGANISATION, ORGANISATION),
    "admin/profile/token/end/": Row("Ending one's own API token", NOBODY, LOGGED_IN),
    "admin/invitation/<uidb64>/<token>/": Row("Setting a password by a link", ANYBODY, ANYBODY),
    "admin/phones/": Row("The simulated phones, in the demonstration alone: whoever sees recipients", NOBODY),
    "admin/jsi18n/": Row("Words of the user interface", LOGGED_IN),
    "admin/autocomplete/": Row(
        "Suggestions in a field; asks for the right to see the rows", NOBODY, NOBODY, example="admin/autocomplete/"
    ),
    "admin/r/<path:content_type_id>/<path:object_id>/": Row("Django's “view on site”: no row has such a page", NOBODY),
    "admin/^(?P<app_label>organizations|extensions|contacts|surveys|distributions|webhooks|keeping)/$": Row(
        "The part of the home page about one app, for whoever may see a list of it",
        ORGANISATION,
        ORGANISATION,
        example="admin/contacts/",
    ),
    "admin/(?P<url>.*)$": Row("Whatever does not exist", NOBODY, example="admin/nothing-here/"),
    # --- people ---
    "admin/organizations/user/permission/": Row("What a form as filled in would allow", NOBODY, MANAGERS),
    "admin/organizations/user/<int:pk>/link/": Row("Making a link that sets a password", NOBODY, MANAGERS),
    "admin/organizations/user/<int:pk>/invitation/": Row("Showing that link, once", MANAGERS, MANAGERS),
    "admin/organisation/": Row("The organisation's settings", ADMINISTRATORS, ADMINISTRATORS),
    "admin/keeping/periods/": Row("How long the organisation keeps what", ADMINISTRATORS, ADMINISTRATORS),
    # --- extensions ---
    "admin/extensions/": Row("The catalogue", ADMINISTRATORS),
    "admin/extensions/<provider:provider>/": Row("One extension", ADMINISTRATORS),
    "admin/extensions/<provider:provider>/add/": Row("Adding an account", ADMINISTRATORS, ADMINISTRATORS),
    "admin/extensions/<provider:provider>/sender/": Row("What a sender means", NOBODY, ADMINISTRATORS),
    "admin/extensions/<provider:provider>/check/": Row("What was typed into a field", NOBODY, ADMINISTRATORS),
    "admin/extensions/<provider:provider>/numbers/": Row(
        "Its own numbers, asked of the provider", NOBODY, ADMINISTRATORS
    ),
    _ACCOUNT: Row("One account", ADMINISTRATORS),
    f"{_ACCOUNT}verify/": Row("Asking the provider about the credentials", NOBODY, ADMINISTRATORS),
    f"{_ACCOUNT}grant/": Row("Using it for everybody", NOBODY, ADMINISTRATORS),
    f"{_ACCOUNT}test/": Row("Sending a test message", NOBODY, ADMINISTRATORS),
    f"{_ACCOUNT}webhooks/": Row("Calling our own webhooks", NOBODY, ADMINISTRATORS),
    f"{_ACCOUNT}set-webhooks/": Row("Writing the webhooks at the provider", ADMINISTRATORS, ADMINISTRATORS),
    f"{_ACCOUNT}balance/": Row("Asking the provider for the balance", NOBODY, ADMINISTRATORS),
    f"{_ACCOUNT}calls/": Row("The provider’s newest calls", ADMINISTRATORS),
    f"{_ACCOUNT}calls/<int:call_id>/": Row(
        "One of them, for whoever sees recipients; applying it once more", ADMINISTRATORS, ADMINISTRATORS
    ),
    f"{_ACCOUNT}replace/": Row("Replacing it", ADMINISTRATORS),
    f"{_ACCOUNT}take-over/": Row("Putting it in the place of the one that it replaces", ADMINISTRATORS, ADMINISTRATORS),
    f"{_ACCOUNT}withdraw/": Row("Using it no longer", ADMINISTRATORS, ADMINISTRATORS),
    f"{_ACCOUNT}rate/": Row("How fast it sends", ADMINISTRATORS, ADMINISTRATORS),
    f"{_ACCOUNT}top/": Row("Making it the first in the list", NOBODY, ADMINISTRATORS),
    f"{_ACCOUNT}delete/": Row("Deleting it", ADMINISTRATORS, ADMINISTRATORS),
    _ACCOUNT_ROWS: Row("The way to the catalogue", ADMINISTRATORS),
    f"{_ACCOUNT_ROWS}add/": Row("The way to the catalogue", ADMINISTRATORS),
    f"{_ACCOUNT_ROWS}<int:pk>/change/": Row("The way to the account's page", ADMINISTRATORS),
    f"{_ACCOUNT_ROWS}<int:pk>/delete/": Row("The way to the account's page", ADMINISTRATORS),
    f"{_ACCOUNT_ROWS}<int:pk>/history/": Row("The way to the account's page", ADMINISTRATORS),
    # --- contacts and surveys ---
    f"{_LIST}import/": Row("Uploading a file of contacts", ORGANISATION, ORGANISATION),
    f"{_LIST}import/contacts.csv": Row("An example of such a file", ORGANISATION),
    f"{_LIST}import/<int:import_id>/": Row("What was found in it, and importing it", ORGANISATION, ORGANISATION),
    f"{_LIST}import/<int:import_id>/progress/": Row("How far it is", ORGANISATION),
    f"{_LIST}import/<int:import_id>/cancel/": Row("Stopping it", NOBODY, ORGANISATION),
    f"{_LIST}import/<int:import_id>/rows.csv": Row("Its rows that are not imported, as a file", ORGANISATION),
    f"{_LIST}import/<int:import_id>/problems.csv": Row("What is wrong with it, as a file", ORGANISATION),
    f"{_LIST}export/": Row("The list as a file", ORGANISATION),
    "admin/contacts/contact/<int:pk>/texts/": Row("The latest texts to and from a contact", ORGANISATION),
    "admin/contacts/optout/export/": Row("Opt-outs as a file", ORGANISATION),
    "admin/surveys/survey/try/": Row("Trying a conversation that is being written", NOBODY, ORGANISATION),
    "admin/surveys/survey/<int:pk>/try/": Row("Trying a conversation", ORGANISATION, ORGANISATION),
    "admin/surveys/survey/<int:pk>/copy/": Row("Copying a survey", NOBODY, ORGANISATION),
    # --- distributions ---
    "admin/distributions/to-myself/": Row(
        "A test to one's own, confirmed number; the code that confirms it", NOBODY, SENDERS
    ),
    "admin/distributions/doubt/": Row("Replies that may be opt-outs", SENDERS),
    "admin/distributions/doubt/<int:doubt>/decide/": Row("Deciding about one", NOBODY, SENDERS),
    f"{_DISTRIBUTION}add/": Row("Writing one", SENDERS, SENDERS),
    f"{_DISTRIBUTION}preview/": Row("What people would get", NOBODY, SENDERS),
    f"{_DISTRIBUTION}night/": Row("Whether they would get it at night", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/change/": Row("What is becoming of one", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/history/": Row("The same, at Django's address", ORGANISATION),
    f"{_DISTRIBUTION}<path:object_id>/history/": Row("The same, at Django's address", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/edit/": Row("Changing a draft", SENDERS, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/edit-planned/": Row("Stopping the clock of a planned one, to change it", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/keep/": Row("Leaving it as it was planned", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/review/": Row("The last look before the launch", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/skipped.csv": Row("Who would be skipped, as a file", SENDERS),
    f"{_DISTRIBUTION}<int:pk>/launch/": Row("Launching", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/pause/": Row("Pausing", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/resume/": Row("Going on", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/take-over/": Row("Taking over what is held", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/cancel/": Row("Cancelling what has not been sent", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/rest/": Row("Sending what is left of one that was held", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/copy/": Row("Copying", NOBODY, SENDERS),
    f"{_DISTRIBUTION}<int:pk>/progress/": Row("Figures, while they change", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/reasons/": Row("Why texts did not arrive", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/carriers/": Row("How many texts left through which account", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/messages/": Row("Every recipient", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/messages.csv": Row("Every recipient, as a file", READERS),
    f"{_DISTRIBUTION}<int:pk>/answers.csv": Row("Answers given by text, as a file", READERS),
    f"{_DISTRIBUTION}<int:pk>/messages/<int:message_pk>/": Row("One text and what came back", ORGANISATION),
    f"{_DISTRIBUTION}<int:pk>/messages/<int:message_pk>/send-again/": Row("Sending it once more", NOBODY, SENDERS),
    # --- programs; their token has its user's rights ---
    "API/v3/whoami": Row("Whose token it is", ORGANISATION),
    "API/v3/surveys": Row("Surveys by name", ORGANISATION),
    "API/v3/mailinglists": Row("Contact lists by name", ORGANISATION),
    "API/v3/distributions/sms": Row("Listing distributions; launching one", ORGANISATION, SENDERS),
    "API/v3/distributions/sms/<slug:public_id>": Row(
        "Looking at one; taking it back", ORGANISATION, NOBODY, delete=SENDERS
    ),
    "API/v3/distributions/sms/<slug:public_id>/history": Row("What became of each text", ORGANISATION),
    "API/v3/forgettings": Row("Listing when persons were forgotten; forgetting one", ADMINISTRATORS, ADMINISTRATORS),
    "API/v3/schema": Row("The description of the API", ANYBODY),
    "API/v3/docs": Row("The description of the API, to read", ANYBODY),
    "^API/": Row("Whatever does not exist", NOBODY, example="API/nothing-here"),
    # --- providers and respondents ---
    "^distribution-providers/v1/[Rr]eceive/distribution/(?P<kind>status|message)/(?P<slug>[a-z0-9-]{1,40})/"
    "(?P<organization_id>[A-Za-z0-9_-]{4,32})/?$": Row(
        "Callbacks of providers, with their signature", NOBODY, NOBODY, example="distribution-providers/v1/…"
    ),
    "^distribution-providers/v1/[Ee]rhalten/distribution/(?P<kind>status|message)/(?P<slug>[a-z0-9-]{1,40})/"
    "(?P<organization_id>[A-Za-z0-9_-]{4,32})/?$": Row(
        "The same, as German instructions spell it", NOBODY, NOBODY, example="distribution-providers/v1/…"
    ),
    "docs/<path:path>": Row("The documentation", ANYBODY, example="docs/objects.inv"),
    "docs/": Row("The way to the documentation in one's language", ANYBODY),
    "s/<tail:token>": Row("The personal link to a survey", ANYBODY),
    "o/<tail:token>": Row("The personal link to opt out", ANYBODY, ANYBODY),
}

# The menu of actions above a list: "<app>/<model>: <action>".
ACTIONS: dict[str, str] = {
    "contacts/contact: delete_selected": ORGANISATION,
    "contacts/contactlist: delete_selected": ORGANISATION,
    "contacts/optout: delete_selected": NOBODY,
    "contacts/optout: let_back_in": ADMINISTRATORS,
    "distributions/inboundmessage: delete_selected": NOBODY,
    "extensions/enabledextension: delete_selected": OPERATORS,
    "extensions/provideraccount: delete_selected": NOBODY,
    "organizations/organization: delete_selected": NOBODY,
    "organizations/user: delete_selected": MANAGERS,
    "organizations/usergroup: delete_selected": ADMINISTRATORS,
    "organizations/usertype: delete_selected": ADMINISTRATORS,
    "surveys/survey: delete_selected": ORGANISATION,
    "webhooks/callback: delete_selected": NOBODY,
    "webhooks/callback: try_again": OPERATORS,
}


def django_rows(name: str, rights: Model) -> Iterator[tuple[str, Row]]:
    """Django's own addresses of a model."""
    place = f"admin/{name}/"
    yield place, Row("The list", rights.look, rights.look)
    yield f"{place}add/", Row("Adding", rights.add, rights.add)
    yield f"{place}<path:object_id>/change/", Row("One row; saving it", rights.look, rights.change)
    yield f"{place}<path:object_id>/delete/", Row("Deleting it", rights.delete, rights.delete)
    yield f"{place}<path:object_id>/history/", Row("What was done to it here", rights.look, rights.look)
    yield f"{place}<path:object_id>/", Row("The way to its page", LOGGED_IN, LOGGED_IN)


def table() -> dict[str, Row]:
    """Every address -> who may; what a line of ROWS says goes before what MODELS says."""
    found = {address: row for name, rights in MODELS.items() for address, row in django_rows(name, rights)}
    return {**found, **ROWS}


def document() -> str:
    """docs/permissions.md."""
    lines = [
        "# Who may do what",
        "",
        "Every address of the installation, and who may open it (GET) or send something to it (POST, DELETE).",
        "A test visits each of them as each kind of person and compares; this page is written from its table",
        "(`python -m tests.who_may > docs/permissions.md`), so that it says what holds.",
        "",
        "| word | who |",
        "| --- | --- |",
        *(f"| {word} | {meaning} |" for word, (_actors, meaning) in WORDS.items()),
        "",
        "Everything is about rows of one's own organisation: those of another do not exist. Whoever lacks “See",
        "recipients” sees every number masked (+44•••0123) and no answer, on every page, in every file and through the",
        "API, and can neither filter, search nor sort by them. What a launched survey says and where it leads, and who",
        "is on the list of a planned distribution, is changed by senders only.",
        "",
        "## Addresses",
        "",
        "| address | what | open | send |",
        "| --- | --- | --- | --- |",
    ]
    for address, row in sorted(table().items()):
        sends = row.post if not row.delete else f"{row.post if row.post != NOBODY else ''} DELETE: {row.delete}".strip()
        lines.append(f"| `/{address.replace('|', '&#124;')}` | {row.what} | {row.get} | {sends} |")
    lines += ["", "## Actions of lists", "", "| action | who |", "| --- | --- |"]
    lines += [f"| `{action}` | {who} |" for action, who in sorted(ACTIONS.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201
