"""Values of the fields that the firm defines, and consents, as stored with a lead."""

from sqlalchemy import Connection, select

from intake.database.schema import lead_consent, lead_field
from intake.leads.models import ConsentModel


def read_consents(connection: Connection, lead_id: int) -> list[ConsentModel]:
    """Return the consents of a lead, in the order of their keys."""
    consents = select(lead_consent).where(lead_consent.c.lead_id == lead_id).order_by(lead_consent.c.key)
    return [ConsentModel(**row) for row in connection.execute(consents).mappings()]


def read_values(connection: Connection, lead_id: int) -> dict[str, str]:
    """Return the values of a lead's fields, by key."""
    values = select(lead_field.c.key, lead_field.c.value).where(lead_field.c.lead_id == lead_id)
    return {str(key): value for key, value in connection.execute(values.order_by(lead_field.c.key))}
