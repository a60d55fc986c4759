"""Pages of the form, rendered once for each language; a rejected form is rendered with its values and errors."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams

from intake.errors import TemplateInvalid
from intake.form import serving
from intake.form.definition import TIMESTAMP_FIELD, FormDefinition
from intake.form.palettes import PALETTES
from intake.http.security_headers import page_policy
from intake.http.trusted_hosts import host_name
from intake.public_api import languages, messages
from intake.public_api.form_controls import Controls
from intake.public_api.languages import Language
from intake.public_api.negotiation import LANGUAGE_PARAMETER, accepted_language
from intake.settings import Settings
from intake.settings.parsers import LOOPBACK
from intake.settings.trusted_templates import RENDERING_ERRORS, describe_error, templates

FORM_PATH, THANKS_PATH, SCRIPT_PATH, LOGO_PATH = "/", "/thanks", "/form.js", "/logo"
SCRIPT = (files(__package__) / "form.js").read_bytes()
SCRIPT_URL = f"{SCRIPT_PATH}?v={hashlib.sha256(SCRIPT).hexdigest()[:12]}"
_ENDS = (".", "?", "!", ":", "؟")
_SUMMARY = languages.mark("%(label)s: %(text)s")
_TIMESTAMP = f"timestamp-{secrets.token_hex(8)}"  # stands for the signed timestamp in a rendered page


@dataclass(frozen=True)
class Page:
    """A page, and its Content-Security-Policy."""

    html: str
    policy: str
    language: str

    def with_timestamp(self, timestamp: str) -> bytes:
        """Return the page with a signed timestamp."""
        return self.html.replace(_TIMESTAMP, timestamp, 1).encode()


@dataclass(frozen=True)
class Fault:
    """An error in a control, or with an empty name, in another part of the form."""

    name: str
    label: str
    text: str
    summary: str  # the label and the text in one line


class FormPages:
    """The pages that senders see, in the languages of the form. Raises TemplateInvalid."""

    def __init__(self, settings: Settings, definition: FormDefinition, *, honeypot: str) -> None:
        self._settings, self._definition, self._honeypot = settings, definition, honeypot
        self._templates = templates("intake.public_api", directory=definition.templates)
        self.logo = definition.read_logo()
        self._languages = {code: languages.language(code) for code in definition.languages}
        firm = definition.name or settings.mail_from.display_name
        self._context = {
            "form": definition,
            "languages": list(self._languages.values()),
            "firm": firm,
            "firm_url": settings.firm_url,
            "firm_contact": settings.firm_contact,
            "palette": PALETTES[definition.palette],
            "logo_url": LOGO_PATH if self.logo else "",
            "sender": settings.mail_from.address,
        }
        self._forms = self._rendered(self._form)
        self._thanks = self._rendered(lambda language: self._page("thanks", language))
        for language in self._languages.values():  # so that an error in a template is found now
            self.rejected(language, {}, [{"field": "CV", "code": "required", "params": {}}])
            self.result(language, messages.thanks(language))

    @property
    def unused_templates(self) -> Sequence[str]:
        """The names of the firm's templates that neither replace one of the service's nor are named in another."""
        if (directory := self._definition.templates) is None:
            return ()
        own = {
            path.name: path.read_text(encoding="utf-8", errors="replace") for path in sorted(directory.glob("*.jinja"))
        }
        ours = files(__package__)
        return [name for name in own if not (ours / name).is_file() and not any(name in text for text in own.values())]

    def is_served(self, host: str) -> bool:
        """Return whether a host may serve the form: without the firm's legal texts, only the local machine."""
        if self._definition.has_legal_texts:
            return True
        return serving.is_local(self._settings) and host_name(host).strip("[]") in LOOPBACK

    def language(self, query: QueryParams, headers: Headers) -> Language:
        """Return the language for a request: `lang`, or the best one of Accept-Language, or the default."""
        offered = self._definition.languages
        wanted = query.get(LANGUAGE_PARAMETER)
        code = wanted if wanted in offered else accepted_language(headers, offered)
        return self._languages[self._definition.language(code)]

    def form(self, language: Language) -> Page:
        """Return the empty form, in which the timestamp is missing."""
        return self._forms[language.code]

    def thanks(self, language: Language) -> Page:
        """Return the confirmation page of the form."""
        return self._thanks[language.code]

    def thanks_url(self, language: Language) -> str:
        """Return the URL of the confirmation page: the firm's own, or the service's."""
        return self._settings.form_thanks_url or f"{THANKS_PATH}?lang={language.code}"

    def rejected(self, language: Language, values: Mapping[str, str], faults: Sequence[Mapping[str, Any]]) -> Page:
        """Return the form with a sender's values and the errors in them, as in a problem document."""
        return self._form(language, values, faults)

    def form_url(self, language: Language) -> str:
        """Return the URL of the form in a language."""
        return f"{FORM_PATH}?{LANGUAGE_PARAMETER}={language.code}"

    def problem(self, language: Language, problem: Mapping[str, Any], *, retry_after: str | None) -> Page:
        """Return the page of a problem document, with the labels and the order of the form's fields."""
        faults = _faults(language, self._controls(language), problem.get("errors", ()))
        explained = messages.explain(
            language,
            problem,
            retry_after=retry_after,
            max_bytes=self._settings.max_cv_bytes,
            faults=[(fault.label, fault.text) for fault in faults],
            form_url=self.form_url(language),
        )
        return self.result(language, explained)

    def result(self, language: Language, message: messages.Message) -> Page:
        """Return the confirmation of a form on another page, or the page of a problem."""
        return self._page("form_result", language, message=message)

    def _form(
        self, language: Language, values: Mapping[str, str] | None = None, faults: Sequence[Mapping[str, Any]] = ()
    ) -> Page:
        definition, code = self._definition, language.code
        controls = self._controls(language)
        found = _faults(language, controls, faults)
        if values is not None:
            controls = controls.filled(values, {fault.name: fault.text for fault in found})
        texts = [definition.text(name, code) for name in ("no_relationship", "no_confidential", "privacy")]
        return self._page(
            "form",
            language,
            title=language.gettext("Send us your details"),
            introduction=definition.text("introduction", code),
            legal=[text for text in texts if text.text],
            privacy_url=definition.privacy_url,
            faults=found,
            controls=controls,
            accept=",".join(f".{extension}" for extension in self._settings.cv_extensions),
            max_cv_bytes=self._settings.max_cv_bytes,
            thanks_url=self.thanks_url(language),
            honeypot=self._honeypot,
            timestamp=_TIMESTAMP if values is None else values.get(TIMESTAMP_FIELD, ""),
            script_url=SCRIPT_URL,
            script_texts=messages.script_texts(
                language, max_bytes=self._settings.max_cv_bytes, extensions=self._settings.cv_extensions
            ),
        )

    def _controls(self, language: Language) -> Controls:
        return Controls.of(self._definition, language, cv_hint=self._cv_hint(language))

    def _cv_hint(self, language: Language) -> str:
        size = messages.format_size(language, self._settings.max_cv_bytes)
        if not (extensions := self._settings.cv_extensions):
            return language.gettext("At most %(size)s.", size=size)
        return language.gettext(
            "At most %(size)s. Accepted: %(types)s.", size=size, types=language.isolate(", ".join(extensions))
        )

    def _rendered(self, page: Callable[[Language], Page]) -> Mapping[str, Page]:
        return {code: page(language) for code, language in self._languages.items()}

    def _page(self, name: str, language: Language, **values: object) -> Page:
        """Render a page. Raises TemplateInvalid."""
        context = {
            **self._context,
            "language": language,
            "_": language.gettext,
            "ngettext": language.ngettext,
            **values,
        }
        try:
            html = self._templates.get_template(f"{name}.html.jinja").render(context)
        except RENDERING_ERRORS as error:
            raise TemplateInvalid(describe_error(f"{name}.html.jinja", error)) from error
        return Page(html, self._policy(html, is_form=name == "form"), language.code)

    def _policy(self, html: str, *, is_form: bool) -> str:
        allowed = {"img-src": "'self'"}
        if is_form:
            thanks = urlsplit(self._settings.form_thanks_url or "")
            target = f" {thanks.scheme}://{thanks.netloc}" if thanks.netloc else ""
            allowed |= {"script-src": "'self'", "connect-src": "'self'", "form-action": f"'self'{target}"}
        return page_policy(html, allowed=allowed, frame_ancestors=self._settings.form_frame_ancestors)


def _faults(language: Language, controls: Controls, faults: Sequence[Mapping[str, Any]]) -> list[Fault]:
    """Return the errors of a problem document, in the order of the page."""
    known = controls.by_name()

    def described(name: str, label: str, kind: str, fault: Mapping[str, Any]) -> Fault:
        text = messages.describe_fault(language, fault, kind)
        # a label that is a sentence or a question has its own punctuation
        summary = f"{label} {text}" if label.endswith(_ENDS) else language.gettext(_SUMMARY, label=label, text=text)
        return Fault(name, label, text, summary)

    found = [
        described(name, control.label, control.kind, fault)
        for name, control in known.items()
        for fault in faults
        if fault["field"] == name
    ]
    others = [fault for fault in faults if fault["field"] not in known]
    return found + [described("", language.gettext(messages.UNKNOWN), "", fault) for fault in others]
