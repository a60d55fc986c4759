"""The words by which leads are found: those of the names, the address, the firm's own fields and the CV."""

import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from intake.database import Database
from intake.database.ids import is_among
from intake.database.schema import cv_text, lead, lead_words
from intake.database.word_index import replace_words
from intake.leads import fields
from intake.search.tokenizer import VERSION, lead_tokens

STEP_LEADS = 2_000  # whose version is checked in one step
MAX_LEADS = 100  # in one transaction
MAX_STEP_S = 0.05  # of a transaction, so that submissions on SQLite wait no longer


def words_row(texts: Iterable[str]) -> dict[str, Any]:
    """Return the row of `lead_words`, without the id, for these texts; the limits drop words of the last ones first."""
    words, truncated = lead_tokens(texts)
    return {"words": words, "search_truncated": truncated, "version": VERSION}


def lock_leads(connection: Connection, ids: Sequence[int]) -> Sequence[tuple[int, str, str, str]]:
    """Lock leads before their texts or words are changed, and return their ids, names and addresses.

    A concurrent erasure, and another transaction that indexes a lead, wait for this one.
    """
    names = select(lead.c.id, lead.c.f_name, lead.c.l_name, lead.c.email).where(is_among(lead.c.id, ids))
    rows = connection.execute(names.order_by(lead.c.id).with_for_update(key_share=True)).all()
    return [(lead_id, f_name, l_name, email) for lead_id, f_name, l_name, email in rows]


def index_leads(connection: Connection, ids: Sequence[int], *, most_s: float | None = None) -> int:
    """Index the words of leads that exist, by id; return how many, which are fewer after `most_s` seconds."""
    deadline = None if most_s is None else time.monotonic() + most_s
    for done, (lead_id, *names) in enumerate(rows := lock_leads(connection, ids), 1):
        text = connection.scalar(select(cv_text.c.text).where(cv_text.c.lead_id == lead_id))
        texts = (*names, *fields.read_values(connection, lead_id).values(), text or "")
        replace_words(connection, {"lead_id": lead_id, **words_row(texts)})
        if deadline is not None and time.monotonic() > deadline:
            return done
    return len(rows)


def index_outdated(database: Database) -> Generator[int, None, int]:
    """Index leads that have no words, or those of another version of the tokenizer; yield and return their number.

    Rests as long as it works. Raises DatabaseUnavailable.
    """
    last = count = 0
    while page := database.read(lambda connection: _versions(connection, after=last)):  # noqa: B023 - called immediately
        outdated = [lead_id for lead_id, version in page if version != VERSION]
        while outdated:
            began, batch = time.monotonic(), outdated[:MAX_LEADS]
            done = database.write(lambda c: index_leads(c, batch, most_s=MAX_STEP_S))  # noqa: B023
            # erased leads are not counted, so a batch can be repeated in part
            outdated, count = outdated[done or len(batch) :], count + done
            yield done
            time.sleep(time.monotonic() - began)
        last = page[-1][0]
        yield 0
    return count


def _versions(connection: Connection, *, after: int) -> list[tuple[int, int]]:
    version = func.coalesce(lead_words.c.version, 0)
    query = select(lead.c.id, version).outerjoin(lead_words, lead_words.c.lead_id == lead.c.id)
    page = query.where(lead.c.id > after).order_by(lead.c.id).limit(STEP_LEADS)
    return [(lead_id, number) for lead_id, number in connection.execute(page)]
