"""How values are compared: without regard to case and Unicode form, and with `*` as a wildcard."""

import re
import unicodedata
from dataclasses import dataclass

# the characters that these providers ignore in a mailbox's name, and the first of each one's interchangeable domains
PROVIDERS = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), (".", "gmail.com")),
    **dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), (".-_", "proton.me")),
}


def normalize_key(text: str) -> str:
    """Return the key under which `text` is found: NFKC, casefolded (Unicode's toNFKC_Casefold in effect)."""
    # the form before folding, since some of what it yields has a case; and after, since folding can undo it
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def mailbox_key(address: str) -> str:
    """Return the key of the mailbox that a normalized address most likely belongs to, whose domain is in Unicode.

    Ignores case and a `+tag`; for Gmail and Proton, also dots and the like and the name of the domain. Two people can
    share a key, so it may hold back a confirmation and nothing else: never use it to find or to compare leads.
    """
    local, _, domain = address.rpartition("@")
    folded, domain = normalize_key(local), domain.lower()
    mailbox = folded.partition("+")[0] or folded
    ignored, domain = PROVIDERS.get(domain, ("", domain))
    return f"{mailbox.translate(str.maketrans('', '', ignored))}@{domain}"


@dataclass(frozen=True)
class Pattern:
    r"""What a filter asks for: folded literals with a wildcard between each two.

    One literal alone is a whole value. Read from the text before folding, since NFKC makes a full-width star a
    star: `*` is a wildcard, `\*` a star, and `\` before anything else is itself.
    """

    literals: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Read a filter's text."""
        literals = re.split(r"(?<!\\)\*", text)
        return cls(tuple(normalize_key(literal.replace(r"\*", "*")) for literal in literals))

    @property
    def prefix(self) -> str:
        """What every match begins with."""
        return self.literals[0]

    @property
    def is_whole(self) -> bool:
        """Whether only one value matches."""
        return len(self.literals) == 1

    @property
    def is_prefix(self) -> bool:
        """Whether everything that begins with the prefix matches."""
        return len(self.literals) > 1 and not any(self.literals[1:])
