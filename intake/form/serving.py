"""Where the form may be served, and checks of its definition."""

from collections.abc import Iterator

from intake.form.definition import FormDefinition
from intake.form.values import FieldType
from intake.settings import Settings
from intake.settings.parsers import LOOPBACK

_FREE_TEXT = (FieldType.TEXT, FieldType.LONG_TEXT)


def is_local(settings: Settings) -> bool:
    """Return whether only this machine reaches the service: behind a proxy it listens on loopback, too."""
    return settings.host in LOOPBACK and not settings.trusted_proxies and not settings.allowed_hosts


def describe(settings: Settings, definition: FormDefinition) -> str:
    """Return where the form is served, for an operator."""
    if not definition.has_legal_texts and not is_local(settings):
        return "the form at / is not served: INTAKE_FORM lacks the legal texts or privacy_url; see docs/form.md"
    if not definition.has_legal_texts:
        return "the form at / is served to this machine only, until INTAKE_FORM has the legal texts and privacy_url"
    return "the form is at /"


def run_checks(settings: Settings, definition: FormDefinition) -> Iterator[str]:
    """Yield a line for each risk of the form in INTAKE_FORM, and its remedy."""
    if settings.form is None:
        return
    if not definition.has_legal_texts:
        place = "this machine" if is_local(settings) else "nobody"
        yield (
            f"INTAKE_FORM lacks no_relationship, no_confidential, privacy (in texts.{definition.default_language}) or"
            f" privacy_url, so the form is served to {place} only: add them; see docs/form.md"
        )
    for field in definition.fields:
        if field.type in _FREE_TEXT:
            yield (
                f"INTAKE_FORM has the free-text field '{field.key}', in which people may describe health or criminal"
                " matters (GDPR Art. 9 and 10): ask with a select, or say in its help what not to write"
            )
