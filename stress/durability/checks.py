"""What must hold whatever went wrong: nothing that was acknowledged is lost, and nothing is there twice."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from email.message import EmailMessage

import httpx2
from sqlalchemy import RowMapping

from stress.durability.deployment import attorney
from stress.durability.load import TAKEN, Outcome, kinds
from stress.durability.tally import MAILS_FOR_EACH_LEAD, Tally

PAGE = 1000


def check_answers(tally: Tally, outcomes: Sequence[Outcome], *, foreseen: Collection[str]) -> None:
    """Every submission was taken in the end, and nothing was answered but what is foreseen."""
    answers = [answer for outcome in outcomes for answer in outcome.answers]
    unexpected = {kind: n for kind, n in kinds(outcomes).items() if kind not in {TAKEN, *foreseen}}
    tally.count(
        submissions=len(outcomes),
        taken_at_first_try=sum(outcome.is_taken and len(outcome.answers) == 1 for outcome in outcomes),
        retries=len(answers) - len(outcomes),
        unexpected_statuses=sum(unexpected.values()),
    )
    tally.claim(f"no status but {sorted({TAKEN, *foreseen})}: {unexpected}", not unexpected)
    not_taken = [outcome.prospect.email for outcome in outcomes if not outcome.is_taken]
    tally.claim(f"every submission is taken in the end; {len(not_taken)} are not: {not_taken[:3]}", not not_taken)
    mute = [answer for answer in answers if answer.kind == "503" and not answer.has_retry_after]
    tally.claim(f"every 503 has a Retry-After; {len(mute)} have none", not mute)


def check_leads(tally: Tally, url: str, outcomes: Iterable[Outcome]) -> None:
    """Each acknowledged lead is there once, its CV byte for byte; the service at `url` says so, and has no others."""
    taken = {outcome.prospect.email: outcome.prospect for outcome in outcomes if outcome.is_taken}
    with attorney(url) as client:
        leads = list_leads(client)
        ids = {lead["email"]: int(lead["id"]) for lead in leads}
        identical = [email for email in taken.keys() & ids if fetch_cv(client, ids[email]) == taken[email].cv]
    tally.count(leads=len(leads), CVs_identical=len(identical))
    missing, unknown = taken.keys() - ids, ids.keys() - taken
    tally.claim(f"every acknowledged lead is kept; {len(missing)} are not: {sorted(missing)[:3]}", not missing)
    tally.claim(f"no lead is kept but those acknowledged; {len(unknown)} are", not unknown)
    tally.claim(f"no lead is kept twice; {len(leads) - len(ids)} are", len(leads) == len(ids))
    changed = len(taken.keys() & ids) - len(identical)
    tally.claim(f"every CV comes as it was sent; {changed} do not", not changed)


def check_mails(
    tally: Tally,
    mails: Sequence[RowMapping],
    taken: Sequence[EmailMessage],
    *,
    allowed_duplicates: int,
    dead: Collection[str] = (),
) -> None:
    """Each lead owes its mails once; each is sent (to the `dead` addresses: is dead) and arrived; copies are alike."""
    _check_owed(tally, mails)
    wrong = [mail for mail in mails if mail["state"] != ("failed" if mail["recipient"] in dead else "sent")]
    tally.claim(f"every mail is sent, or dead where it must be; {Counter(mail['state'] for mail in wrong)}", not wrong)
    copies = _copies(taken)
    duplicates = len(taken) - len(copies)
    tally.count(mails_owed=len(mails), arrived=len(copies), duplicates=duplicates)
    tally.count(allowed_duplicates=allowed_duplicates)
    sent = {mail["message_id"] for mail in mails if mail["state"] == "sent"}
    tally.claim(f"what is sent arrived; {len(sent - copies.keys())} did not", sent <= copies.keys())
    tally.claim(f"what arrived is sent; {len(copies.keys() - sent)} are not", copies.keys() <= sent)
    tally.claim(f"{duplicates} duplicates, {allowed_duplicates} allowed", duplicates <= allowed_duplicates)
    _check_copies(tally, mails, copies)


def list_leads(client: httpx2.Client) -> list[dict[str, str]]:
    """Return every lead, page by page."""
    leads: list[dict[str, str]] = []
    while page := client.get(f"/internal/leads/?limit={PAGE}&after={leads[-1]['id'] if leads else 0}").json():
        leads += page
    return leads


def fetch_cv(client: httpx2.Client, lead_id: int) -> bytes:
    """Return a lead's CV; nothing, where the service gives none, or breaks off."""
    try:
        answer = client.get(f"/internal/leads/{lead_id}/cv-download")
    except httpx2.TransportError:
        return b""
    return answer.content if answer.status_code == 200 else b""


def _check_owed(tally: Tally, mails: Sequence[RowMapping]) -> None:
    owed: dict[int, list[str]] = defaultdict(list)
    for mail in mails:
        owed[mail["lead_id"]].append(mail["kind"])
    # a lead that owes nothing at all shows in the number of them
    leads = tally.counts.get("leads", len(owed))
    wrong = [lead for lead, kinds_owed in owed.items() if sorted(kinds_owed) != ["alert", "confirmation"]]
    tally.claim(f"each lead owes a confirmation and an alert; {len(wrong)} do not", not wrong)
    tally.claim(f"{leads} leads owe {len(mails)} mails", len(mails) == leads * MAILS_FOR_EACH_LEAD)


def _copies(taken: Iterable[EmailMessage]) -> dict[str, list[EmailMessage]]:
    copies: dict[str, list[EmailMessage]] = defaultdict(list)
    for message in taken:
        copies[str(message["Message-ID"])].append(message)
    return copies


def _check_copies(tally: Tally, mails: Sequence[RowMapping], copies: dict[str, list[EmailMessage]]) -> None:
    differing = [one for one, messages in copies.items() if len({str(m["Date"]) for m in messages}) != 1]
    tally.claim(f"all copies of a mail have one Date; {len(differing)} have several", not differing)
    to = {mail["message_id"]: mail["recipient"] for mail in mails}
    strayed = [one for one, messages in copies.items() if {str(m["To"]) for m in messages} != {to.get(one)}]
    tally.claim(f"a Message-ID belongs to one recipient's mail; {len(strayed)} do not", not strayed)
