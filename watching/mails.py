"""Who is told of a fact by e-mail, and the sending: a row for each mail, as each text has one.

A mail that a worker was sending when it was killed is sent again when its time is over; its Message-ID is the same, by
which mail systems know the second for the first. Nobody waits for a mail server: what does not leave is tried again.
"""

from __future__ import annotations

import logging
import smtplib
import time
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import F, Q
from django.utils import translation

from organizations import clock, steps
from organizations.models import User
from watching import wording
from watching.models import Fact, Mail

logger = logging.getLogger(__name__)

SEEN_TWICE = timedelta(seconds=9)  # what is over at the next look is not worth a mail
UNDER_WAY = timedelta(minutes=5)  # then whoever was sending it is taken for dead
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # seconds between two tries
GIVEN_UP_AFTER = timedelta(days=3)
AT_ONCE = 50  # mails in one go
LONGEST = 15.0  # seconds of one go


def is_possible() -> bool:
    """Whether this installation sends mails at all."""
    return bool(settings.EMAIL_URL)


def tell() -> int:
    """Make a mail for each person who is to be told of what is so and was not told yet; returns how many."""
    if not is_possible():
        return 0
    made = 0
    new = Fact.objects.filter(told_at=None, ended_at=None, began_at__lte=clock.now() - SEEN_TWICE)

    def tell_one(fact: Fact) -> None:
        nonlocal made
        with transaction.atomic():
            now = clock.read()
            if Fact.objects.filter(pk=fact.pk, told_at=None).update(told_at=now):
                people = readers(fact)
                Mail.objects.bulk_create(
                    [Mail(fact=fact, user=user, made_at=now, not_before=now) for user in people], ignore_conflicts=True
                )
                made += len(people)

    steps.for_each(new.order_by("pk")[:AT_ONCE], tell_one, "tell people of fact")
    return made


def readers(fact: Fact) -> list[User]:
    """Who is told of it by e-mail: operators, or the organisation's administrators, unless they wish otherwise."""
    people = User.objects.filter(is_active=True).exclude(told_on_home_page_only__kind=fact.kind)
    if fact.organization_id is None:
        return list(people.filter(role=User.Role.OPERATOR))
    return list(people.filter(role=User.Role.ADMINISTRATOR, organization=fact.organization_id))


def waiting() -> Q:
    return Q(sent_at=None, given_up_at=None)


def post() -> int:
    """Send what is due, until the mail server refuses to talk; returns how many left."""
    if not is_possible():
        return 0
    ends_at = time.monotonic() + LONGEST
    sent = 0
    for pk in list(Mail.objects.filter(waiting(), not_before__lte=clock.now()).values_list("pk", flat=True)[:AT_ONCE]):
        now = clock.now()
        mine = Mail.objects.filter(waiting(), pk=pk, not_before__lte=now)
        if not mine.update(not_before=now + UNDER_WAY, tries=F("tries") + 1):
            continue  # another worker is sending it
        mail = Mail.objects.select_related("fact__organization", "user__organization").get(pk=pk)
        if mail.fact.ended_at is not None or not mail.user.is_active:
            Mail.objects.filter(pk=pk).update(given_up_at=now, error="")  # it is not so any more
            continue
        try:
            message(mail).send()
        except (OSError, smtplib.SMTPException) as error:
            put_off(mail, error)
            if not isinstance(error, smtplib.SMTPRecipientsRefused):
                hold_back()  # the others would wait for the same server
                break
        except Exception as error:  # it cannot even be written: the others can
            logger.exception("Mail %d cannot be written.", pk)
            put_off(mail, error)
        else:
            sent += 1
            Mail.objects.filter(pk=pk).update(sent_at=clock.now(), error="")
        if time.monotonic() > ends_at:
            break
    return sent


def message(mail: Mail) -> EmailMessage:
    """The mail itself, in its reader's language."""
    user = mail.user
    language = user.language or (user.organization.language if user.organization else settings.LANGUAGE_CODE)
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    with translation.override(language):
        return EmailMessage(
            wording.subject(mail.fact),
            wording.body(mail.fact),
            to=[user.email],
            headers={
                "Message-ID": f"<switchboard-{mail.pk}-{mail.made_at:%Y%m%d%H%M%S}@{host}>",
                "Auto-Submitted": "auto-generated",
            },
            connection=get_connection(timeout=settings.EMAIL_TIMEOUT) if uses_smtp() else get_connection(),
        )


def uses_smtp() -> bool:
    return settings.EMAIL_BACKEND.endswith("smtp.EmailBackend")


def put_off(mail: Mail, error: Exception) -> None:
    """Try it again later, or give it up after days. What the server said is kept without addresses."""
    now = clock.read()
    code = getattr(error, "smtp_code", None)
    said = f"{type(error).__name__}{f' {code}' if code else ''}"
    logger.warning("Mail %d could not be sent (%s); it is tried again.", mail.pk, said)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(mail.tries - 1, 10))
    fields = {"not_before": now + timedelta(seconds=pause), "error": said[:200]}
    if now - mail.made_at > GIVEN_UP_AFTER:
        fields["given_up_at"] = now
        logger.error("Mail %d is given up.", mail.pk)
    Mail.objects.filter(pk=mail.pk).update(**fields)


def hold_back() -> None:
    """The server does not talk to us: nothing is tried for a while."""
    until = clock.now() + timedelta(seconds=FIRST_PAUSE)
    Mail.objects.filter(waiting(), not_before__lt=until).update(not_before=until)


def trouble() -> str:
    """Why mails wait that should have left long ago; "" if none do."""
    late = Mail.objects.filter(waiting(), made_at__lte=clock.now() - 3 * UNDER_WAY).exclude(error="")
    return late.values_list("error", flat=True).first() or ""


def forget(days: int = 90) -> int:
    """Delete what has long been over; returns how many facts."""
    over = Fact.objects.filter(ended_at__lt=clock.now() - timedelta(days=days))
    count = over.count()
    over.delete()
    return count
