"""psycopg2: the simple protocol, with everything libpq does around it. Connects as the PG… variables say."""

import io
import os
import threading

import psycopg2
import psycopg2.extras
from psycopg2 import errors


def connect(**more):
    return psycopg2.connect("", **more)


def value(db, sql, parameters=None):
    with db.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


def transactions(db):
    with db, db.cursor() as cursor:
        cursor.execute("CREATE TABLE psycopg2 (id int PRIMARY KEY, text text)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO psycopg2 VALUES %s", [(n, f"row {n}") for n in range(500)])
    try:
        with db, db.cursor() as cursor:
            cursor.execute("DELETE FROM psycopg2")
            cursor.execute("INSERT INTO psycopg2 VALUES (1, 'a'), (1, 'b')")
        raise AssertionError("a duplicate key was taken")
    except errors.UniqueViolation as error:
        assert error.diag.table_name == "psycopg2", error.diag.table_name
    assert value(db, "SELECT count(*) FROM psycopg2 WHERE text LIKE %s", ("row %",)) == 500
    with db.cursor(name="portal") as cursor:
        cursor.itersize = 50
        cursor.execute("SELECT id FROM psycopg2 ORDER BY id")
        assert [row[0] for row in cursor] == list(range(500))
    db.commit()


def copy(db):
    lines = "".join(f"{n}\trow {n}\n" for n in range(1000, 31000))
    with db, db.cursor() as cursor:
        cursor.copy_expert("COPY psycopg2 FROM STDIN", io.StringIO(lines))
    out = io.StringIO()
    with db, db.cursor() as cursor:
        cursor.copy_expert("COPY (SELECT * FROM psycopg2 WHERE id >= 1000 ORDER BY id) TO STDOUT", out)
    assert out.getvalue() == lines
    try:
        with db, db.cursor() as cursor:
            cursor.copy_expert("COPY psycopg2 FROM STDIN", io.StringIO("not a number\ttext\n"))
        raise AssertionError("a word was taken for a number")
    except errors.InvalidTextRepresentation:
        pass
    assert value(db, "SELECT count(*) FROM psycopg2") == 30500
    db.commit()


def cancel(db):
    timer = threading.Timer(0.3, db.cancel)
    timer.start()
    try:
        value(db, "SELECT pg_sleep(60)")
        raise AssertionError("was not cancelled")
    except errors.QueryCanceled:
        db.rollback()
    timer.join()
    assert value(db, "SELECT 'lives on'") == "lives on"
    db.commit()


def notices(db):
    del db.notices[:]
    value(db, "DO $$ BEGIN RAISE NOTICE 'heard'; END $$; SELECT 1")
    db.commit()
    assert db.notices == ["NOTICE:  heard\n"], db.notices


def startup_settings():
    """Clients share servers, and each finds its own settings."""
    os.environ.update(PGTZ="Asia/Tokyo", PGAPPNAME="tokyo", PGCLIENTENCODING="LATIN1")
    tokyo = connect()
    for name in ("PGTZ", "PGAPPNAME", "PGCLIENTENCODING"):
        del os.environ[name]
    plain = connect()
    tokyo.autocommit = plain.autocommit = True
    for _ in range(3):
        assert value(tokyo, "SHOW TimeZone") == "Asia/Tokyo"
        assert value(tokyo, "SHOW application_name") == "tokyo"
        assert value(tokyo, "SELECT %s", ("é",)) == "é"
        assert value(plain, "SHOW TimeZone") != "Asia/Tokyo"
        assert value(plain, "SHOW application_name") == ""
        assert value(plain, "SELECT %s", ("€",)) == "€"
    tokyo.close()
    plain.close()


db = connect()
assert value(db, "SELECT %s + %s", (40, 2)) == 42
db.commit()
transactions(db)
copy(db)
cancel(db)
notices(db)
value(db, "DROP TABLE psycopg2; SELECT 1")
db.commit()
db.close()
startup_settings()
print("ok")
