"""Streaming of CV bytes to and from the database, without a whole file in memory."""

import io
import sqlite3
import struct
from typing import IO, Any, cast

from sqlalchemy import Connection

PIECE_BYTES = 2**18
QUICK_BYTES = 2**24  # larger CVs may take longer than other statements
# Keeps a submission under a minute: clients that poll for new leads look back two (docs/api.md, Listing).
COPY_TIMEOUT_S = 40

# PostgreSQL's binary COPY format: signature, flags, length of the extension. Then each row: the number of columns,
# and each column as a length and its bytes. Last, -1 instead of a number of columns.
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_COPY_TRAILER = struct.pack("!h", -1)


def write_content(connection: Connection, *, lead_id: int, file: IO[bytes], size: int) -> None:
    """Store the `size` bytes of `file`, from its start, as the lead's CV."""
    file.seek(0)
    if connection.dialect.name == "postgresql":
        _copy_in(connection, lead_id, file, size)
    elif size <= PIECE_BYTES:
        connection.exec_driver_sql("INSERT INTO cv_content (lead_id, content) VALUES (?, ?)", (lead_id, file.read()))
    else:
        connection.exec_driver_sql("INSERT INTO cv_content (lead_id, content) VALUES (?, zeroblob(?))", (lead_id, size))
        with _open_blob(connection, lead_id, readonly=False) as blob:
            while piece := file.read(PIECE_BYTES):
                blob.write(piece)


def read_content(connection: Connection, lead_id: int, *, offset: int) -> bytes:
    """Return up to PIECE_BYTES of the lead's CV from `offset` on; empty past its end or if it was deleted."""
    if connection.dialect.name == "postgresql":
        return _copy_out(connection, lead_id, offset)
    if connection.exec_driver_sql("SELECT 1 FROM cv_content WHERE lead_id = ?", (lead_id,)).first() is None:
        return b""
    # substr() would read the whole CV for each piece
    with _open_blob(connection, lead_id, readonly=True) as blob:
        blob.seek(offset)
        return bytes(blob.read(PIECE_BYTES))


def _copy_in(connection: Connection, lead_id: int, file: IO[bytes], size: int) -> None:
    head = _COPY_HEADER + struct.pack("!hiqi", 2, 8, lead_id, size)
    rows = _Chain(io.BytesIO(head), file, io.BytesIO(_COPY_TRAILER))
    cursor: Any = connection.connection.cursor()
    with cursor:
        if size > QUICK_BYTES:
            cursor.execute(f"SET LOCAL statement_timeout = '{COPY_TIMEOUT_S}s'")
        cursor.copy_expert(
            "COPY cv_content (lead_id, content) FROM STDIN (FORMAT binary)",
            rows,
            size=PIECE_BYTES,
        )


def _copy_out(connection: Connection, lead_id: int, offset: int) -> bytes:
    """Return a piece with COPY: as a value it would be hexadecimal text, which takes five times as long."""
    piece = f"SELECT substr(content, {offset + 1:d}, {PIECE_BYTES:d}) FROM cv_content WHERE lead_id = {lead_id:d}"  # noqa: S608 - only numbers
    copied = io.BytesIO()
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.copy_expert(f"COPY ({piece}) TO STDOUT (FORMAT binary)", copied)
    return copied.getvalue()[len(_COPY_HEADER) + struct.calcsize("!hi") : -len(_COPY_TRAILER)]


class _Chain:
    """Several files, read as one."""

    def __init__(self, *files: IO[bytes]) -> None:
        self._files = list(files)

    def read(self, size: int) -> bytes:
        while self._files:
            if data := self._files[0].read(size):
                return data
            del self._files[0]
        return b""


def _open_blob(connection: Connection, lead_id: int, *, readonly: bool) -> sqlite3.Blob:
    # a writable blob needs SQLite's only write lock, and fails at once if another transaction has it
    driver_connection: sqlite3.Connection = cast("Any", connection.connection.driver_connection)
    return driver_connection.blobopen("cv_content", "content", lead_id, readonly=readonly)
