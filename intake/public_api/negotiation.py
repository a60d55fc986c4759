"""Content negotiation: HTML or JSON, and the language (RFC 9110, section 12.5)."""

from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers

from intake.http import problems

HTML = "text/html"
LANGUAGE_PARAMETER = "lang"  # of a query
MAX_RANGES = 32  # elements of a header field that are read; browsers send at most ten
_DATA = ("application/json", problems.MEDIA_TYPE)


def accepts_html(headers: Headers) -> bool:
    """Return whether Accept prefers text/html over JSON, as in browsers; `*/*` or no header does not."""
    if all(one == "*/*" for one in headers.getlist("accept")):  # of most scripts
        return False
    qualities = _qualities(headers, "accept")
    page = _preference(HTML, qualities)
    return page > (0.0, 0) and page > max(_preference(data, qualities) for data in _DATA)


def accepted_language(headers: Headers, offered: Sequence[str]) -> str | None:
    """Return the offered language that Accept-Language prefers, by its tag or its first subtag (`de-AT`: `de`)."""
    wanted = sorted(_qualities(headers, "accept-language").items(), key=lambda item: -item[1])
    for tag, quality in wanted:
        for language in offered if quality else ():
            if tag == language.lower() or tag.partition("-")[0] == language.lower():
                return language
    return None


def _qualities(headers: Headers, name: str) -> Mapping[str, float]:
    """Return the highest quality of each element in a header field."""
    qualities: dict[str, float] = {}
    for text in ",".join(headers.getlist(name)).split(",", MAX_RANGES)[:MAX_RANGES]:
        element, quality = _parse_element(text)
        qualities[element] = max(quality, qualities.get(element, 0.0))
    return qualities


def _parse_element(text: str) -> tuple[str, float]:
    """Return an element, such as a media range, and its quality."""
    element, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((value for name, _, value in (p.partition("=") for p in parameters) if name == "q"), "1")
    try:
        return element, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return element, 0.0


def _preference(media_type: str, qualities: Mapping[str, float]) -> tuple[float, int]:
    """Return the quality of a media type, and how specific its range is: some browsers send `text/html, */*`.

    The most specific range that matches counts.
    """
    for wildcards, spelling in enumerate((media_type, f"{media_type.partition('/')[0]}/*", "*/*")):
        if spelling in qualities:
            return qualities[spelling], -wildcards
    return 0.0, -3
