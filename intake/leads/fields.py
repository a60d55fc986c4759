"""Values of the fields that the firm defines, and consents, as stored with a lead."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from intake.database.schema import lead_consent, lead_field
from intake.leads.models import ConsentModel


class LeadAnswers(NamedTuple):
    """The answers that are stored with a lead, in the order of their keys."""

    fields: dict[str, str]
    consents: list[ConsentModel]


def read_answers(connection: Connection, lead_id: int) -> LeadAnswers:
    """Return the answers of a lead."""
    consents = select(lead_consent).where(lead_consent.c.lead_id == lead_id).order_by(lead_consent.c.key)
    found = [ConsentModel(**row) for row in connection.execute(consents).mappings()]
    return LeadAnswers(read_values(connection, lead_id), found)


def read_values(connection: Connection, lead_id: int) -> dict[str, str]:
    """Return the values of a lead's fields, by key."""
    values = select(lead_field.c.key, lead_field.c.value).where(lead_field.c.lead_id == lead_id)
    return {str(key): value for key, value in connection.execute(values.order_by(lead_field.c.key))}
