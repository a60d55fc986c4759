"""Session sharing through PgBouncer; runs only in `make test-pgbouncer`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from intake.backups import dumps
from intake.database.schema import lead
from intake.errors import BackupFailed
from tests.conftest import Intake
from tests.pgbouncer import SERVER_CONNECTIONS


def sessions(connection: Connection) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return int(connection.execute(text(f"{query} AND backend_type = 'client backend'")).scalar_one())


def test_concurrent_requests_share_few_sessions(intake: Intake) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: intake.submit(email=f"a{n}@example.com").status_code, range(48)))
    assert set(answers) == {204}
    assert intake.count(lead) == 48
    assert intake.read(sessions) <= SERVER_CONNECTIONS


def test_backup_and_restore_refuse_a_pooler(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="connection pooler"), dumps.dump(intake.settings, tmp_path / "dump"):
        pass
    with pytest.raises(BackupFailed, match="connection pooler"):
        dumps.load(intake.settings, tmp_path / "dump", gap=1)
    assert not (tmp_path / "dump").exists()
