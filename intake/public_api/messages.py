"""Texts of the HTML responses: the confirmation, and an explanation of each problem and of each error in a field."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intake.form.answers import FORM_ONLY
from intake.public_api.languages import Language, mark

LABELS: Mapping[str, str] = {
    "email": mark("Email address"),
    "f_name": mark("First name"),
    "l_name": mark("Last name"),
    "CV": mark("CV"),
}
UNKNOWN = mark("Another field")  # never its name, which anyone can choose and which looks like the firm's own words


@dataclass(frozen=True)
class Message:
    """The text of a page: a heading, what happened and what to do, the errors in fields, and a link to the form."""

    heading: str
    text: str
    faults: Sequence[tuple[str, str]] = ()
    is_problem: bool = True
    form_url: str = ""


_BACK = mark("Go back with your browser's Back button: what you entered should still be there.")
_RELOAD = mark("Reloading this page also sends the form again.")
_TWICE = mark("It does no harm if the same form reaches us twice: we save it once.")
_UNSAVED = mark("Nothing was saved.")
_AGAIN = mark("Then please send it again.")
_MAX_SIZE = mark("A CV may have up to %(size)s.")
_OTHER = (
    mark("Something went wrong on our side"),
    (mark("We can't tell whether your form was saved. Please go back and send it again %(wait)s."), _TWICE),
)
# a heading, and sentences
_BY_STATUS: Mapping[int, tuple[str, Sequence[str]]] = {
    400: (mark("Your form did not arrive in one piece"), (_UNSAVED, _BACK, _AGAIN)),
    408: (
        mark("Sending took too long"),
        (_UNSAVED, _BACK, mark("Then please send it again, with a smaller file if you have one."), _RELOAD),
    ),
    409: (
        mark("Your form is still on its way"),
        (
            mark(
                "The same form was sent shortly before and is still being processed. Please go back and send it again"
                " %(wait)s."
            ),
            _RELOAD,
            _TWICE,
        ),
    ),
    413: (
        mark("What you sent is too large"),
        (_UNSAVED, _MAX_SIZE, _BACK, mark("Then please choose a smaller file.")),
    ),
    415: (
        mark("What you sent can't be read"),
        (
            _UNSAVED,
            mark(
                "This is most likely a mistake in the form, not yours: please tell us about it by telephone or email."
            ),
        ),
    ),
    422: (mark("Please check what you entered"), (mark("Nothing was saved yet."), _BACK)),
    429: (
        mark("Too many forms at once"),
        (
            mark(
                "Nothing was saved, because too many forms came from your connection. Please go back and send yours"
                " again %(wait)s."
            ),
            _RELOAD,
        ),
    ),
    503: (
        mark("We can't take your form right now"),
        (mark("Please go back and send it again %(wait)s."), _RELOAD, _TWICE),
    ),
}
# texts of errors in fields by their codes; those of a file, if they differ, by the code and FILE
FILE = "file"
_PROGRAM = mark("This file is a program, or is named like one. Choose a document, such as a PDF.")
_FAULTS: Mapping[str | tuple[str, str], str] = {
    "required": mark("Fill this in."),
    ("required", FILE): mark("Choose a file."),
    ("required", "checkbox"): mark("Tick this box."),
    ("required", "select"): mark("Choose an answer."),
    "empty": mark("This file is empty. Choose a file with content."),
    "unknown": mark("Unknown file. Leave it out."),
    "repeated": mark("This was sent more than once. Send it once."),
    "wrong_type": mark("This must be text, not a file."),
    ("wrong_type", FILE): mark("This must be a file."),
    ("too_long", FILE): mark("The name of this file is too long. Rename the file."),
    "not_one_of": mark("Choose one of the answers."),
    "not_utf8": mark(
        "This could not be read, because it was not sent as UTF-8. Write it with the letters A to Z, without accents."
    ),
    ("not_utf8", FILE): mark(
        "The name of this file could not be read, because it was not sent as UTF-8. Rename the file, with the letters"
        " A to Z only."
    ),
    "control_characters": mark("This has invisible characters. Please type it again."),
    ("control_characters", FILE): mark("The name of this file has invisible characters. Rename the file."),
    "not_an_email": mark("Write an email address, such as ada@example.com."),
    "not_a_phone": mark("Write a telephone number with %(min)d to %(max)d digits."),
    "not_a_date": mark("Write a date, such as 2026-11-29."),
    "not_accepted": mark("Choose a file whose name ends in %(extensions)s."),
    "program": _PROGRAM,
    FORM_ONLY: mark("This page is no longer valid. Please open the form again, and fill it in there."),
    "unsafe_archive": mark("This file is an archive that we can't accept. Choose a document, such as a PDF."),
}
_INVALID = mark("This is not valid. Please correct it.")
_TOO_LARGE = mark("This file is too large.")
_SUGGESTION = mark("Write only the address: %(suggestion)s")
_SCRIPT_TEXTS = {
    "drop": mark("Or drop a file here."),
    "one": mark("Only one file can be sent."),
    "sending": mark("Sending…"),
    "cancel": mark("Cancel"),
    "cancelled": mark("Cancelled. What you entered is still here."),
    "error": mark("Error:"),
    "changed": mark("This file was changed or moved after you chose it. Please choose it again."),
    "offline": mark("We could not reach the server. Are you online?"),
    "busy": mark("The server could not process your form."),
    "many": mark("Too many forms came from your network."),
    "broken": mark("The form does not work. Please call us or send us an email."),
    "again": mark("The form will be sent again automatically. We save it only once."),
    "countdown": mark("Sending again in {time}"),
    "later": mark("Please send the form again later. We save it only once."),
}


def thanks(language: Language) -> Message:
    """Return the confirmation of a form on another page."""
    text = language.gettext(
        "We have received your details and your CV. There is nothing more for you to do, and you can close this page."
    )
    return Message(language.gettext("Thank you"), text, is_problem=False)


def explain(
    language: Language,
    problem: Mapping[str, Any],
    *,
    retry_after: str | None,
    max_bytes: int,
    faults: Sequence[tuple[str, str]] = (),
    form_url: str = "",
) -> Message:
    """Return the explanation of a problem document (RFC 9457).

    `retry_after` is the value of that header, if present; `max_bytes` is the maximum size of a CV; `faults` has the
    label and the text of each error in a field. `form_url` is the hosted form, for a page from which none is accepted.
    """
    if any(fault["code"] == FORM_ONLY for fault in problem.get("errors", ())):
        heading = language.gettext(_UNSAVED).rstrip(".")
        return Message(heading, language.gettext(_FAULTS[FORM_ONLY]), form_url=form_url)
    heading, sentences = _BY_STATUS.get(problem["status"], _OTHER)
    params = {"wait": _wait(language, retry_after), "size": format_size(language, max_bytes)}
    return Message(
        language.gettext(heading),
        " ".join(language.gettext(sentence, **params) for sentence in sentences),
        faults,
    )


def describe_fault(language: Language, fault: Mapping[str, Any], kind: str = "") -> str:
    """Return the text of an error in a field, by its code. `kind` is the type of the field, if the firm defined it."""
    code, params = fault["code"], fault["params"]
    kind = FILE if fault["field"] == "CV" else kind
    if code == "too_long" and kind != FILE:
        return language.ngettext("Use at most %(count)d character.", "Use at most %(count)d characters.", params["max"])
    if params.get("suggestion"):
        return language.gettext(_SUGGESTION, **params)
    if code == "not_accepted":
        extensions = ", ".join(f".{extension}" for extension in params["extensions"])
        params = {"extensions": language.isolate(extensions)}
    return language.gettext(_FAULTS.get((code, kind), _FAULTS.get(code, _INVALID)), **params)


def script_texts(language: Language, *, max_bytes: int, extensions: Sequence[str]) -> Mapping[str, str]:
    """Return the texts of the form's script."""
    size = format_size(language, max_bytes)

    def of_file(code: str, **params: object) -> str:
        return describe_fault(language, {"field": "CV", "code": code, "params": params})

    return {
        **{name: language.gettext(text) for name, text in _SCRIPT_TEXTS.items()},
        "large": " ".join(language.gettext(sentence, size=size) for sentence in (_TOO_LARGE, _MAX_SIZE)),
        "type": of_file("not_accepted", extensions=extensions),
        "empty": of_file("empty"),
    }


_UNITS: Sequence[tuple[int, Callable[[Language, int], str]]] = (
    (86400, lambda language, count: language.ngettext("in %(count)d day", "in %(count)d days", count)),
    (3600, lambda language, count: language.ngettext("in %(count)d hour", "in %(count)d hours", count)),
    (60, lambda language, count: language.ngettext("in %(count)d minute", "in %(count)d minutes", count)),
    (1, lambda language, count: language.ngettext("in %(count)d second", "in %(count)d seconds", count)),
)


def _wait(language: Language, retry_after: str | None) -> str:
    """Return when to try again, rounded up from seconds; any other value gives no time."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return language.gettext("in a little while")
    seconds = max(1, int(retry_after[:9]))
    unit, name = next((unit, name) for unit, name in _UNITS if seconds >= unit)
    return name(language, -(-seconds // unit))


def format_size(language: Language, count: int) -> str:
    """Return a number of bytes, rounded down, in the units of file managers."""
    if count >= 2**20:
        return language.gettext("%(count)d MB", count=count // 2**20)
    if count >= 2**10:
        return language.gettext("%(count)d KB", count=count // 2**10)
    return language.ngettext("%(count)d byte", "%(count)d bytes", count)
