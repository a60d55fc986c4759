"""Deferred statements, which are sent together with the next one."""

import pytest
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from intake.database import execute_with_next
from intake.database.schema import alerted_address
from intake.errors import DatabaseUnavailable
from tests.conftest import Intake

ADD = insert(alerted_address)


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(alerted_address)).scalar_one()


def test_the_next_statement_sees_deferred_writes(intake: Intake) -> None:
    def work(connection: Connection) -> int:
        execute_with_next(connection, ADD, {"address": "ada@firm.example; '%s' \\"})
        execute_with_next(connection, ADD, [{"address": name} for name in ("bob", "cy")])
        return count(connection)

    assert intake.write(work) == 3
    assert intake.read(count) == 3


def test_deferred_writes_run_at_the_end_of_the_transaction(intake: Intake) -> None:
    intake.write(lambda connection: execute_with_next(connection, ADD, {"address": "ada"}))
    assert intake.read(count) == 1


@pytest.mark.parametrize("is_followed", [False, True])
def test_a_failed_deferred_write_rolls_the_transaction_back(intake: Intake, *, is_followed: bool) -> None:
    def work(connection: Connection) -> None:
        for _ in range(2):
            execute_with_next(connection, ADD, {"address": "ada"})
        if is_followed:
            count(connection)

    with pytest.raises(IntegrityError):
        intake.write(work)
    assert intake.read(count) == 0


def test_deferred_writes_are_discarded_after_an_exception(intake: Intake) -> None:
    def work(connection: Connection) -> None:
        execute_with_next(connection, ADD, {"address": "ada"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        intake.write(work)
    assert intake.write(count) == 0


def test_an_error_shows_no_values_of_other_statements(intake: Intake) -> None:
    def work(connection: Connection) -> None:
        execute_with_next(connection, delete(alerted_address).where(alerted_address.c.address == "secret"), {})
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    with pytest.raises((DBAPIError, DatabaseUnavailable)) as raised:
        intake.write(work)
    message = f"{raised.value} {raised.value.__cause__}"
    assert "no_such_table" in message
    assert "secret" not in message
