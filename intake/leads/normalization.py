"""Email addresses, keys that ignore case and Unicode form, and filter patterns with `*` as a wildcard."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from intake.errors import InvalidValue

# the characters that these providers ignore in a mailbox's name, and the first of each one's interchangeable domains
PROVIDERS = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), (".", "gmail.com")),
    **dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), (".-_", "proton.me")),
}


# local parts that every rule leaves as they are, so that only the domain needs the library, which takes 70 µs
_PLAIN_LOCAL = re.compile("[a-z0-9]+(?:[._-][a-z0-9]+)*")
MAX_PLAIN_CHARACTERS = 64
MAX_DOMAINS = 1024  # in memory


class EmailAddress(NamedTuple):
    """A normalized address, and the same in ASCII if that is possible."""

    normalized: str
    ascii_email: str | None


def parse_email(text: str) -> EmailAddress:
    """Return the parsed address. Raises InvalidValue, which suggests the address in a text such as `Ada <ada@…>`."""
    local, _, domain = text.partition("@")
    try:
        if len(text) <= MAX_PLAIN_CHARACTERS and _PLAIN_LOCAL.fullmatch(local):
            address = _with_plain_local(domain)
            return EmailAddress(local + address.normalized, address.ascii_email and local + address.ascii_email)
        found = _validate(text)
    except EmailNotValidError as error:
        detail = "must be an email address, such as ada@example.com"
        raise InvalidValue(detail, "not_an_email", suggestion=None) from error
    if "<" in text:
        detail = f"must be only the email address; write only {found.normalized}"
        raise InvalidValue(detail, "not_an_email", suggestion=found.normalized)
    return EmailAddress(found.normalized, found.ascii_email)


@lru_cache(MAX_DOMAINS)
def _with_plain_local(domain: str) -> EmailAddress:
    """Return the address of a plain local part at a domain, without that part."""
    found = _validate(f"a@{domain}")
    return EmailAddress(found.normalized[1:], found.ascii_email and found.ascii_email[1:])


def _validate(text: str) -> ValidatedEmail:
    # without DNS: submissions wait for no network, and a domain may only be down temporarily
    return validate_email(text, check_deliverability=False, allow_display_name=True)


def normalize_key(text: str) -> str:
    """Return the search key of `text`: NFKC, casefolded (in effect, Unicode's toNFKC_Casefold)."""
    # NFKC before folding, since it can yield cased characters, and after, since folding can denormalize
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def mailbox_key(address: str) -> str:
    """Return the key of the mailbox that a normalized address (with a Unicode domain) most likely belongs to.

    Ignores case and a `+tag`; for Gmail and Proton, also dots and the like and the alternative domains. Two people can
    share a key: use it only to suppress confirmations, never to find or compare leads.
    """
    local, _, domain = address.rpartition("@")
    folded, domain = normalize_key(local), domain.lower()
    mailbox = folded.partition("+")[0] or folded
    ignored, domain = PROVIDERS.get(domain, ("", domain))
    return f"{mailbox.translate(str.maketrans('', '', ignored))}@{domain}"


@dataclass(frozen=True)
class Pattern:
    r"""A filter's pattern: normalized literals with a wildcard between each two.

    A single literal matches the whole value. `*` is a wildcard, `\*` a star; any other `\` is literal. The text is
    parsed before normalization, since NFKC turns a full-width star into a star.
    """

    literals: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Parse a filter's text."""
        literals = re.split(r"(?<!\\)\*", text)
        return cls(tuple(normalize_key(literal.replace(r"\*", "*")) for literal in literals))

    @property
    def prefix(self) -> str:
        """Common prefix of all matches."""
        return self.literals[0]

    @property
    def is_whole(self) -> bool:
        """Whether there is no wildcard."""
        return len(self.literals) == 1

    @property
    def is_prefix(self) -> bool:
        """Whether the only wildcard is at the end."""
        return len(self.literals) > 1 and not any(self.literals[1:])
