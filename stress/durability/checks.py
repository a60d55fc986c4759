"""Claims that hold after any failure: no acknowledged lead or mail is lost or stored twice."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from email.message import EmailMessage

import httpx2
from sqlalchemy import RowMapping

from stress.durability.deployment import attorney
from stress.durability.load import ACCEPTED, Outcome, kinds
from stress.durability.tally import MAILS_FOR_EACH_LEAD, Tally

PAGE = 1000


def check_answers(tally: Tally, outcomes: Sequence[Outcome], *, expected: Collection[str]) -> None:
    """Check that every submission was accepted in the end and every response had an expected status."""
    answers = [answer for outcome in outcomes for answer in outcome.answers]
    unexpected = {kind: n for kind, n in kinds(outcomes).items() if kind not in {ACCEPTED, *expected}}
    tally.count(
        submissions=len(outcomes),
        accepted_at_first_try=sum(outcome.is_accepted and len(outcome.answers) == 1 for outcome in outcomes),
        retries=len(answers) - len(outcomes),
        unexpected_statuses=sum(unexpected.values()),
    )
    tally.claim(f"only the statuses {sorted({ACCEPTED, *expected})}: {unexpected}", not unexpected)
    rejected = [outcome.prospect.email for outcome in outcomes if not outcome.is_accepted]
    tally.claim(f"every submission is accepted in the end; {len(rejected)} are not: {rejected[:3]}", not rejected)
    without = [answer for answer in answers if answer.kind == "503" and not answer.has_retry_after]
    tally.claim(f"every 503 has a Retry-After; {len(without)} have none", not without)


def check_leads(tally: Tally, url: str, outcomes: Iterable[Outcome]) -> None:
    """Check that the service at `url` lists exactly the acknowledged leads, once each, with identical CVs."""
    accepted = {outcome.prospect.email: outcome.prospect for outcome in outcomes if outcome.is_accepted}
    with attorney(url) as client:
        leads = list_leads(client)
        ids = {lead["email"]: int(lead["id"]) for lead in leads}
        identical = [email for email in accepted.keys() & ids if fetch_cv(client, ids[email]) == accepted[email].cv]
    tally.count(leads=len(leads), CVs_identical=len(identical))
    missing, unknown = accepted.keys() - ids, ids.keys() - accepted.keys()
    tally.claim(f"every acknowledged lead is saved; {len(missing)} are not: {sorted(missing)[:3]}", not missing)
    tally.claim(f"only acknowledged leads are saved; {len(unknown)} others are", not unknown)
    tally.claim(f"no lead is saved twice; {len(leads) - len(ids)} are", len(leads) == len(ids))
    changed = len(accepted.keys() & ids) - len(identical)
    tally.claim(f"every CV is downloaded as it was sent; {changed} are not", not changed)


def check_mails(
    tally: Tally,
    mails: Sequence[RowMapping],
    delivered: Sequence[EmailMessage],
    *,
    allowed_duplicates: int,
    failed_recipients: Collection[str] = (),
) -> None:
    """Check that each lead has its mails once, and that each was delivered.

    Mails to `failed_recipients` must have failed. All copies of a mail must be alike.
    """
    _check_enqueued(tally, mails)
    wrong = [mail for mail in mails if (mail["state"] == "sent") == (mail["recipient"] in failed_recipients)]
    tally.claim(f"every mail is sent, or failed where it must; {Counter(mail['state'] for mail in wrong)}", not wrong)
    copies = _copies(delivered)
    duplicates = len(delivered) - len(copies)
    tally.count(mails_enqueued=len(mails), delivered=len(copies), duplicates=duplicates)
    tally.count(allowed_duplicates=allowed_duplicates)
    sent = {mail["message_id"] for mail in mails if mail["state"] == "sent"}
    tally.claim(f"every sent mail was delivered; {len(sent - copies.keys())} were not", sent <= copies.keys())
    tally.claim(f"every delivered mail is recorded as sent; {len(copies.keys() - sent)} are not", copies.keys() <= sent)
    tally.claim(f"{duplicates} duplicates, {allowed_duplicates} allowed", duplicates <= allowed_duplicates)
    _check_copies(tally, mails, copies)


def list_leads(client: httpx2.Client) -> list[dict[str, str]]:
    """Return every lead, page by page."""
    leads: list[dict[str, str]] = []
    while page := client.get(f"/internal/leads/?limit={PAGE}&after={leads[-1]['id'] if leads else 0}").json():
        leads += page
    return leads


def fetch_cv(client: httpx2.Client, lead_id: int) -> bytes:
    """Return a lead's CV; empty if the download fails or is interrupted."""
    try:
        answer = client.get(f"/internal/leads/{lead_id}/cv-download")
    except httpx2.TransportError:
        return b""
    return answer.content if answer.status_code == 200 else b""


def _check_enqueued(tally: Tally, mails: Sequence[RowMapping]) -> None:
    enqueued: dict[int, list[str]] = defaultdict(list)
    for mail in mails:
        enqueued[mail["lead_id"]].append(mail["kind"])
    # a lead without any mail shows in the total
    leads = tally.counts.get("leads", len(enqueued))
    wrong = [lead for lead, mail_kinds in enqueued.items() if sorted(mail_kinds) != ["alert", "confirmation"]]
    tally.claim(f"each lead has a confirmation and an alert; {len(wrong)} do not", not wrong)
    tally.claim(f"{leads} leads have {len(mails)} mails", len(mails) == leads * MAILS_FOR_EACH_LEAD)


def _copies(delivered: Iterable[EmailMessage]) -> dict[str, list[EmailMessage]]:
    copies: dict[str, list[EmailMessage]] = defaultdict(list)
    for message in delivered:
        copies[str(message["Message-ID"])].append(message)
    return copies


def _check_copies(tally: Tally, mails: Sequence[RowMapping], copies: dict[str, list[EmailMessage]]) -> None:
    differing = [one for one, messages in copies.items() if len({str(m["Date"]) for m in messages}) != 1]
    tally.claim(f"all copies of a mail have the same Date; {len(differing)} differ", not differing)
    to = {mail["message_id"]: mail["recipient"] for mail in mails}
    misaddressed = [one for one, messages in copies.items() if {str(m["To"]) for m in messages} != {to.get(one)}]
    tally.claim(f"a Message-ID belongs to one recipient's mail; {len(misaddressed)} do not", not misaddressed)
