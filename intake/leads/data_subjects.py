"""Find all leads with one email address; the match is exact, without wildcards."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select

from intake.database import Database
from intake.database.schema import cv, lead
from intake.errors import FieldError, InvalidValue, PersonNotFound, ValidationError
from intake.leads.normalization import normalize_key, parse_email


class SubjectLead(NamedTuple):
    """A lead's id and state, and the size of its CV in bytes."""

    id: int
    state: str
    cv_size: int


@dataclass(frozen=True)
class DataSubject:
    """A person, identified by an email address normalized like the addresses of leads.

    Case is ignored, nothing else: the casefolded keys that lists search by would equate straße and strasse.
    """

    address: str

    @classmethod
    def parse(cls, text: str) -> "DataSubject":
        """Return the person with this address. Raises ValidationError."""
        try:
            return cls(parse_email(text.strip()).normalized)
        except InvalidValue as error:
            raise ValidationError(FieldError.of("email", error)) from error

    def matches(self, address: str) -> bool:
        """Return whether a lead's address is this person's."""
        return address.lower() == self.address.lower()


def find_leads(database: Database, person: DataSubject) -> list[SubjectLead]:
    """Return the person's leads, by id. Raises PersonNotFound or DatabaseUnavailable."""
    if not (found := find_leads_or_none(database, person)):
        raise not_found(person)
    return found


def not_found(person: DataSubject) -> PersonNotFound:
    """Return the error for a person without leads."""
    return PersonNotFound(f"no lead has the address {person.address}")


def find_leads_or_none(database: Database, person: DataSubject) -> list[SubjectLead]:
    """Return the person's leads, by id; possibly none. Raises DatabaseUnavailable."""
    query = (
        select(lead.c.id, lead.c.state, func.coalesce(cv.c.size, 0), lead.c.email)
        .outerjoin(cv, cv.c.lead_id == lead.c.id)
        .where(lead.c.email_key == normalize_key(person.address))
        .order_by(lead.c.id)
    )
    rows = database.read(lambda connection: connection.execute(query).all())
    return [SubjectLead(*columns) for *columns, address in rows if person.matches(address)]
