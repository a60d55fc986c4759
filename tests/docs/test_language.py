"""Length of commit subjects, and banned phrases in texts, docstrings, comments and test names."""

import ast
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from intake.cli import app as intake_app
from leadctl.cli import app as leadctl_app

ROOT = Path(__file__).parents[2]
BASE_COMMIT = "48127d9"  # the limit holds for every commit after this one
MAX_SUBJECT_CHARACTERS = 72
CODE = ("intake", "leadctl", "tests", "stress", "benchmarks", "alembic")

# a phrase (a regular expression, case ignored) and what to write instead
BANNED: Mapping[str, str] = {
    r"(?<!\bthere )\b(is|are) no (?!longer\b|more\b)": "is not a …",
    r"\blets? in\b": "rate limits, access, accepted",
    r"\bow(e|es|ed|ing)\b": "queued, pending",
    r"\bheed(s|ed|ing)?\b": "respect, use, handle",
    r"\b(is|are|was|were|be) kept\b": "saved, stored",
    r"\bso many\b": "maximum number of …",
    r"\bthese alone\b": "only these …",
    r"\blikewise\b": "repeat the fact",
    r"\bnothing but\b": "only",
    r"\bas (it|they) (was|were)\b": "unchanged",
    r"\bcan be sent; nothing was\b": "are valid (dry run)",
    r"\bnothing for a\b": "refusing to write …",
    r"\bsee(s)? to it\b": "make sure, update",
    r"\banswers again\b": "reconnected",
    r"\bgo(es|ne|ing)? on\b": "continue, resume, retry",
    r"\b(break|breaks|broke|broken) off\b": "interrupted",
    r"\bbeware\b": "caution",
    r"\bfor how long yet\b": "time left",
    r"\bthere more than once\b": "given more than once",
    r"\bcan't be counted\b": "rate limiting is temporarily unavailable",
    r"\bneeds an administrator's token\b": "administrator authentication required",
    r"\bvalue error\b": "must be …",
    r"\bbody is not JSON\b": "the body is not valid JSON",
    r"\bis a program; send\b": "this file is a program. Send a document",
    r"\bhow to show\b": "output format",
    r"\bdoors?\b": "public API, internal API",
    r"\bdead\b": "failed (mail)",
    r"(?<!\bin a )\bmoments?\b": "timestamp, time",
    r"\btroubles?\b": "error, status",
    r"\bstrangers?\b": "anonymous client, sender",
    r"\bliked? better\b": "preferred",
    r"\b(is|are|was|were) meant\b(?! to\b)": "name the thing itself",
    r"\b(stands?|stood)\b(?! for\b)": "is, exists, runs",
    r"\btells? of\b": "describes, reports",
    r"\bwhat (of|stood|stands)\b": "name the thing itself",
    r"\bsay(s)? nothing\b": "print errors only",
    r"\bgr(ow|ew)s? old\b": "expires",
}
# a relative clause in place of a noun, where a text begins
CLAUSE_AS_NOUN = r"(who|whose|whom|whoever|whatever|what|how) (?!to\b|many\b|much\b|long\b|often\b)"

# (source, phrase) -> why it is legitimate there; the source is a path, or "leadctl list" for a help text
ALLOWED: Mapping[tuple[str, str], str] = {
    ("CHANGELOG.md", r"\bow(e|es|ed|ing)\b"): "names the old state of a mail, which filters still accept",
    ("CHANGELOG.md", r"\bdead\b"): "names the old state of a mail, which filters still accept",
    ("alembic/versions/0014_mail_states.py", r"\bow(e|es|ed|ing)\b"): "names the old mail states",
    ("alembic/versions/0014_mail_states.py", r"\bdead\b"): "names the old mail states",
}
CONFIGURATION = (
    *("docs/nginx.conf", "docs/Caddyfile", "docker-compose.yml", "Dockerfile", "Makefile", "pyproject.toml"),
    *("ops/alerts.yml", "ops/prometheus.yml", "tests/ops/alerts_test.yml", "ops/compose/nginx-conf.sh"),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "ops/systemd").rglob("*.*") if path.is_file()),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "ops/kubernetes").glob("*.yaml")),
)


class Text(NamedTuple):
    """A text and its source."""

    source: str
    line: int
    words: str


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_commit_subjects_are_at_most_72_characters() -> None:
    if git("cat-file", "-e", f"{BASE_COMMIT}^{{commit}}").returncode:
        is_shallow = git("rev-parse", "--is-shallow-repository").stdout.strip() == "true"
        is_repository = git("rev-parse", "--git-dir").returncode == 0
        assert is_shallow or not is_repository, f"a full clone must contain {BASE_COMMIT}"
        pytest.skip(f"{BASE_COMMIT} is not in this copy, whose history is cut off or absent")
    subjects = git("log", "--abbrev=7", "--format=%h %s", f"{BASE_COMMIT}..HEAD").stdout.splitlines()
    too_long = {line for line in subjects if len(line.partition(" ")[2]) > MAX_SUBJECT_CHARACTERS}
    assert not too_long, "\n".join(too_long)


def help_texts() -> Iterator[Text]:
    """Yield every help text of the intake and leadctl commands."""
    yield from _help_of("intake", typer.main.get_command(intake_app))
    yield from _help_of("leadctl", typer.main.get_command(leadctl_app))


def _help_of(name: str, command: Any) -> Iterator[Text]:
    for text in (command.help, command.epilog):
        yield Text(name, 0, text or "")
    for parameter in command.params:
        yield Text(name, 0, getattr(parameter, "help", None) or "")
    if hasattr(command, "list_commands"):
        for child in command.list_commands(None):
            yield from _help_of(f"{name} {child}", command.get_command(None, child))


def messages() -> Iterator[Text]:
    """Yield the string literals of both programs that are sentences or fragments: errors, output, descriptions.

    SQL is not prose. A single word is a name: of a field, a state, a header.
    """
    for path in _sources("intake", "leadctl"):
        tree = _parsed(path)
        inside_other = {id(part) for node in ast.walk(tree) for part in _parts(node)} | _docstrings(tree).keys()
        for node in ast.walk(tree):
            if id(node) not in inside_other and (words := _literal(node)) and " " in words and not _is_sql(words):
                yield Text(str(path.relative_to(ROOT)), node.lineno, words)  # type: ignore[attr-defined]


def templates() -> Iterator[Text]:
    """Yield the templates of mails and web pages."""
    for path in sorted((ROOT / "intake").rglob("*.jinja")):
        yield Text(str(path.relative_to(ROOT)), 0, re.sub(r"\{#.*?#\}|<style>.*?</style>", "", path.read_text("utf-8")))


def documents() -> Iterator[Text]:
    """Yield the paragraphs of the documents, and the comments of configuration files."""
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = path.read_text("utf-8")
        for paragraph in re.finditer(r"(?:.+\n)+", text):
            yield Text(str(path.relative_to(ROOT)), text.count("\n", 0, paragraph.start()) + 1, paragraph[0])
    for name in CONFIGURATION:
        for line, words in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1):
            yield Text(name, line, words.partition("#")[2])


def docstrings() -> Iterator[Text]:
    """Yield the docstrings of all Python code."""
    for path in _sources(*CODE):
        for words, line in _docstrings(_parsed(path)).values():
            yield Text(str(path.relative_to(ROOT)), line, words)


def comments() -> Iterator[Text]:
    """Yield the comments of all Python code; consecutive lines are one comment."""
    for path in _sources(*CODE):
        source, last_line = str(path.relative_to(ROOT)), 0
        comment: Text | None = None
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type != tokenize.COMMENT:
                    continue
                words = token.string.lstrip("# ")
                if comment and token.start[0] == last_line + 1:
                    comment = comment._replace(words=f"{comment.words} {words}")
                else:
                    if comment:
                        yield comment
                    comment = Text(source, token.start[0], words)
                last_line = token.start[0]
        if comment:
            yield comment


def names_of_tests() -> Iterator[Text]:
    """Yield the names of all tests, with underscores as spaces."""
    for path in _sources("tests"):
        for node in ast.walk(_parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield Text(str(path.relative_to(ROOT)), node.lineno, node.name.removeprefix("test_").replace("_", " "))


def _sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _parts(node: ast.AST) -> list[ast.expr]:
    """Return the literals that are parts of a longer one."""
    return [*node.values] if isinstance(node, ast.JoinedStr) else []


def _literal(node: ast.AST) -> str | None:
    """Return a string literal, with … for an f-string's replacement fields."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_sql(words: str) -> bool:
    return bool(re.search(r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|WHERE|PRAGMA|COPY|VALUES|NOT NULL|IN \()", words))


def _docstrings(tree: ast.AST) -> dict[int, tuple[str, int]]:
    """Return each docstring's text and line by the identity of its node."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and (words := _literal(first.value)):
                found[id(first.value)] = words, first.lineno
    return found


@cache
def normalized(texts: Callable[[], Iterator[Text]]) -> list[Text]:
    """Return the texts with single spaces, without this file's, which contain the phrases."""
    own = str(Path(__file__).relative_to(ROOT))
    return [text._replace(words=" ".join(text.words.split())) for text in texts() if text.source != own]


def found_in(texts: Iterable[Text], phrase: str) -> list[str]:
    """Return the occurrences of a phrase with a few words around them, except where it is allowed."""
    lines = []
    for source, line, words in texts:
        for match in re.finditer(phrase, words, re.IGNORECASE):
            if (source, phrase) not in ALLOWED:
                around = words[max(0, match.start() - 40) : match.end() + 40]
                lines.append(f"{source}:{line}: …{around}…")
    return lines


SOURCES = (help_texts, messages, templates, docstrings, comments, names_of_tests, documents)


@pytest.mark.parametrize("texts", SOURCES)
def test_no_banned_phrase_is_used(texts: Callable[[], Iterator[Text]]) -> None:
    everything = normalized(texts)
    assert everything, "no texts were found"
    lines = [f"{line}  → {plain}" for phrase, plain in BANNED.items() for line in found_in(everything, phrase)]
    assert not lines, f"{len(lines)} banned phrases:\n" + "\n".join(lines)


@pytest.mark.parametrize("texts", [help_texts, docstrings, names_of_tests])
def test_no_text_begins_with_a_clause_in_place_of_a_noun(texts: Callable[[], Iterator[Text]]) -> None:
    lines = found_in(normalized(texts), rf"^{CLAUSE_AS_NOUN}")
    assert not lines, f"{len(lines)} texts:\n" + "\n".join(lines)


def test_each_exception_is_still_needed() -> None:
    found = [text for texts in SOURCES for text in normalized(texts)]
    for source, phrase in ALLOWED:
        texts = [text.words for text in found if text.source == source]
        assert any(re.search(phrase, words, re.IGNORECASE) for words in texts), (source, phrase)
