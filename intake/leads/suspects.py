"""Suspect leads: submissions with a sign of spam, until an attorney clears them."""

from sqlalchemy import Connection, func, select, update

from intake.audit import Action, Actor, record
from intake.database import Database, word_index
from intake.database.schema import SUSPECT, lead
from intake.errors import LeadNotFound
from intake.leads.listing import LeadFilters, list_conditions, search_timeout
from intake.leads.new_lead import mailbox_of
from intake.mail import outbox
from intake.search.tokenizer import query_tokens
from intake.settings import Settings


def clear(database: Database, settings: Settings, lead_id: int, *, actor: Actor) -> bool:
    """Clear a lead and queue its mails in one transaction; return False if it is not suspect.

    Raises LeadNotFound or DatabaseUnavailable.
    """
    return database.write(lambda connection: clear_in(connection, settings, lead_id, actor=actor))


def clear_in(connection: Connection, settings: Settings, lead_id: int, *, actor: Actor) -> bool:
    """Do as `clear` does, in a transaction that is open."""
    outbox.lock_mails(connection, [lead_id])
    locked = select(lead.c.suspect, lead.c.email).where(lead.c.id == lead_id).with_for_update()
    if (row := connection.execute(locked).first()) is None:
        raise LeadNotFound(f"there is no lead {lead_id}")
    if row.suspect is None:
        return False
    connection.execute(update(lead).where(lead.c.id == lead_id).values(suspect=None))
    outbox.queue_suppressed(connection, lead_id, mailbox_of(settings, row.email))
    record(connection, Action.SUSPECT_CLEARED, actor, lead_id=lead_id, detail=row.suspect)
    return True


def count_suspects(database: Database, query: LeadFilters) -> int:
    """Return the number of suspect leads that match all filters but the one on suspects.

    Raises SearchTimeout or DatabaseUnavailable.
    """
    others = query.model_copy(update={"suspect": None})
    statement = select(func.count()).select_from(lead).where(SUSPECT, *list_conditions(others, after=None))

    def count(connection: Connection) -> int:
        words = word_index.find(connection, query_tokens(query.q)) if query.q else None
        narrowed = statement.where(words.condition) if words else statement
        return int(connection.execute(narrowed).scalar_one())

    with search_timeout(query):
        return database.read(count)
