"""The rules for migrations of docs/decisions/0071, as a check of the statements that a step runs on PostgreSQL."""

import re
from collections.abc import Collection, Mapping, Sequence

_NAME = r"(\w+)"
_NEW_COLUMN = rf"ALTER TABLE {_NAME} ADD COLUMN (?!.*\b(?:REFERENCES|CHECK|UNIQUE|PRIMARY KEY|GENERATED)\b)"
_CONSTANT = r"(?:'[^']*'|-?\d+|true|false)"
# what a version that does not know the step can ignore
_EXPAND = (
    r"CREATE TABLE ",
    rf"CREATE INDEX CONCURRENTLY IF NOT EXISTS {_NAME} ON {_NAME} ",
    rf"{_NEW_COLUMN}(?!.*\b(?:NOT NULL|DEFAULT)\b)",
    rf"{_NEW_COLUMN}.* DEFAULT {_CONSTANT}(?: NOT NULL)?$",
    r"CREATE FUNCTION ",
    r"UPDATE installation SET timeline = ",  # a new column of one row
    r"ALTER TABLE audit ALTER COLUMN request_id TYPE VARCHAR\(64\)$",  # longer, so the table is not rewritten
)
# what breaks only versions below the minimum, and does not block requests while it reads or writes whole tables
_CONTRACT = (
    *_EXPAND,
    r"DROP TABLE ",
    rf"ALTER TABLE {_NAME} DROP (?:COLUMN|CONSTRAINT) ",
    r"DROP INDEX CONCURRENTLY ",
    r"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ",
    rf"ALTER TABLE {_NAME} ADD CONSTRAINT .* NOT VALID$",
    rf"ALTER TABLE {_NAME} VALIDATE CONSTRAINT ",
    rf"ALTER TABLE {_NAME} ALTER COLUMN {_NAME} (?:SET|DROP) (?:NOT NULL|DEFAULT)\b",
    r"UPDATE schema_window SET minimum_revision=",
)
_ALONE = r"(?:CREATE|DROP)(?: UNIQUE)? INDEX CONCURRENTLY |ALTER TABLE \w+ VALIDATE CONSTRAINT "
_OF_EVERY_STEP = r"SELECT |SET LOCAL |UPDATE alembic_version |UPDATE schema_window SET minimum_revision="
_TABLE = r'CREATE TABLE "?(\w+)'
_ABOUT = r"(?:INSERT INTO|UPDATE|ALTER TABLE|CREATE (?:UNIQUE )?INDEX \w+ ON) {} "


def label_errors(phase: object, minimum: object, release: object, releases: Mapping[str, object]) -> list[str]:
    """Return what is wrong with the labels of a step; `releases` are those of its ancestors that have labels."""
    if not (isinstance(release, str) and re.fullmatch(r"\d+\.\d+\.\d+", release)):
        return ["release must be a version, such as 0.2.0"]
    found = []
    if any(_number(release) < _number(earlier) for earlier in releases.values()):
        found.append("an earlier step has a later release")
    if phase not in ("expand", "contract"):
        found.append("phase must be expand or contract")
    elif (phase == "contract") != (minimum is not None):
        found.append("a contract step, and no other, has a minimum_revision")
    elif minimum is not None and minimum not in releases:
        found.append("minimum_revision must be an earlier step with labels")
    elif minimum is not None and _number(releases[str(minimum)]) >= _number(release):
        found.append("minimum_revision must be a step of an earlier release")
    return found


def statement_errors(phase: str, statements: Sequence[str]) -> list[str]:
    """Return the statements of a step that its phase does not allow."""
    plain = [" ".join(statement.split()) for statement in statements]
    new = {found[1] for one in plain if (found := re.match(_TABLE, one))}
    ours = [one for one in plain if not re.match(_OF_EVERY_STEP, one)]
    allowed = _CONTRACT if phase == "contract" else _EXPAND
    refused = [one for one in ours if not _is_about(new, one) and not any(re.match(rule, one) for rule in allowed)]
    return refused + [one for one in ours if re.match(_ALONE, one) and len(ours) > 1]


def _is_about(tables: Collection[str], statement: str) -> bool:
    return any(re.match(_ABOUT.format(re.escape(table)), statement) for table in tables)


def _number(release: object) -> tuple[int, ...]:
    return tuple(map(int, str(release).split(".")))
