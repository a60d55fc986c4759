"""A lead and its rows in one statement."""

import sqlite3
from functools import partial
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Connection, case, func, select

from intake.database.clock import Now
from intake.database.lead_rows import IsWritten, LeadTable, Rows, insert_lead, insert_rows
from intake.database.schema import confirmed_mailbox, cv, lead, outbox_mail
from tests.conftest import Intake

TEXT = "Ada '%s' %(x)s :lead_id \\"
LEAD = dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state"), TEXT[:30])
LEAD |= dict.fromkeys(("email_key", "f_name_key", "l_name_key"), TEXT)
CV = LeadTable(cv, {"detected_type": "text/plain"})
MAILBOX = LeadTable(confirmed_mailbox, replacing=confirmed_mailbox.c.confirmed_at <= Now(plus_s=-60))
STATE = case((IsWritten(confirmed_mailbox), "queued"), else_="suppressed")
CONFIRMATION = LeadTable(outbox_mail, {"kind": "confirmation", "state": STATE})
ALERTS = LeadTable(outbox_mail, {"kind": "alert"})


def mail(number: int) -> dict[str, Any]:
    return {"recipient": "a@firm.example", "message_id": f"<{number}>"}


def mails(connection: Connection) -> list[tuple[int, str, str, str]]:
    columns = outbox_mail.c.lead_id, outbox_mail.c.kind, outbox_mail.c.state, outbox_mail.c.message_id
    return [tuple(row) for row in connection.execute(select(*columns).order_by(outbox_mail.c.id))]


def test_a_lead_and_its_rows_are_saved_in_their_order(intake: Intake) -> None:
    rows: list[Rows] = [
        (CV, [{"size": 1, "sha256": "00"}]),
        (MAILBOX, [{"mailbox_key": "ada"}]),
        (CONFIRMATION, [mail(1) | {"capped_domain": "firm.example"}]),
        (ALERTS, [mail(2), mail(3)]),
    ]
    number = intake.write(lambda connection: insert_lead(connection, LEAD, rows))
    assert intake.read(mails) == [
        (number, "confirmation", "queued", "<1>"),
        (number, "alert", "queued", "<2>"),
        (number, "alert", "queued", "<3>"),
    ]
    saved = intake.read(lambda connection: connection.execute(select(lead, cv).join(cv)).mappings().one())
    assert (saved["email_key"], saved["id"], saved["size"], saved["flags"]) == (TEXT, number, 1, "")
    assert saved["created_at"] == saved["state_since"]


def test_a_row_that_must_not_be_replaced_is_not_written(intake: Intake) -> None:
    for number in (1, 2):
        rows: list[Rows] = [(MAILBOX, [{"mailbox_key": "ada"}]), (CONFIRMATION, [mail(number)])]
        intake.write(partial(insert_lead, row=LEAD, rows=rows))
    assert [state for _, _, state, _ in intake.read(mails)] == ["queued", "suppressed"]


def test_rows_can_follow_their_lead(intake: Intake) -> None:
    def work(connection: Connection) -> int:
        number = insert_lead(connection, LEAD, [])
        insert_rows(connection, number, [(ALERTS, []), (ALERTS, [mail(1)])])
        return number

    number = intake.write(work)
    assert intake.read(mails) == [(number, "alert", "queued", "<1>")]


def test_without_one_row_nothing_is_saved(intake: Intake) -> None:
    with pytest.raises((psycopg2.IntegrityError, sqlite3.IntegrityError)):
        intake.write(lambda connection: insert_lead(connection, LEAD, [(ALERTS, [mail(1), mail(1)])]))
    assert intake.read(lambda connection: connection.execute(select(func.count()).select_from(lead)).scalar()) == 0
