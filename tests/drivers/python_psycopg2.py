"""psycopg2: the simple protocol, with everything libpq does around it. Connects as the PG… variables say."""

import io
import os
import select
import threading

import psycopg2
import psycopg2.extras
import psycopg2.pool
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


def options():
    """Any setting at startup, and SET SESSION CHARACTERISTICS, which set_session() sends: kept for each client."""
    mine = connect(options="-c search_path=psycopg2_mine,public -c statement_timeout=1000 -c app.tenant=4711")
    plain = connect()
    mine.autocommit = plain.autocommit = True
    value(plain, "CREATE SCHEMA psycopg2_mine; CREATE TABLE psycopg2_mine.place AS SELECT 'mine' AS name; SELECT 1")
    value(plain, "CREATE TABLE place AS SELECT 'public' AS name; SELECT 1")
    plain.set_session(isolation_level="REPEATABLE READ", readonly=True)
    for _ in range(3):
        assert (value(mine, "SELECT name FROM place"), value(plain, "SELECT name FROM place")) == ("mine", "public")
        assert (value(mine, "SHOW app.tenant"), value(mine, "SHOW transaction_read_only")) == ("4711", "off")
        assert value(plain, "SHOW transaction_read_only") == "on"
        assert value(plain, "SHOW transaction_isolation") == "repeatable read"
        assert value(plain, "SELECT current_setting('app.tenant', true)") in (None, ""), "a leak"
    fails(errors.QueryCanceled, lambda: value(mine, "SELECT pg_sleep(20)"))
    value(plain, "SELECT pg_sleep(1.2)")
    fails(errors.ReadOnlySqlTransaction, lambda: value(plain, "DROP TABLE place; SELECT 1"))
    plain.set_session(isolation_level="DEFAULT", readonly="DEFAULT")
    value(plain, "DROP TABLE place; DROP SCHEMA psycopg2_mine CASCADE; SELECT 1")
    mine.close()
    plain.close()


def reported_settings():
    """The driver reads times and text by what PostgreSQL reports: its own settings and nobody else's."""
    one, other = connect(), connect()
    one.autocommit = other.autocommit = True
    one.set_client_encoding("LATIN1")
    value(one, "SET TimeZone = 'Asia/Tokyo'; SELECT 1")
    for _ in range(3):
        assert value(one, "SELECT chr(233)") == "é"
        assert value(other, "SELECT chr(8364)") == "€"
        assert value(one, "SELECT '2026-07-01 12:00+00'::timestamptz").utcoffset().seconds == 9 * 3600
        assert one.get_parameter_status("TimeZone") == "Asia/Tokyo"
        assert other.get_parameter_status("TimeZone") != "Asia/Tokyo"
    one.reset()  # ABORT, RESET ALL, SET SESSION AUTHORIZATION DEFAULT
    assert one.get_parameter_status("TimeZone") == other.get_parameter_status("TimeZone")
    one.close()
    other.close()


def listen():
    one, speaker = connect(), connect()
    one.autocommit = speaker.autocommit = True
    value(one, "LISTEN psycopg2; SELECT 1")
    for number in range(3):
        value(speaker, "SELECT pg_notify('psycopg2', %s)", (str(number),))
    while len(one.notifies) < 3:
        assert select.select([one], [], [], 20)[0], one.notifies
        one.poll()
    assert [notify.payload for notify in one.notifies] == ["0", "1", "2"]
    assert speaker.notifies == []
    one.close()
    speaker.close()


def pool():
    """The driver's own pool, with reset(), which sends RESET ALL, before a connection goes back."""
    pool = psycopg2.pool.ThreadedConnectionPool(2, 2, "")
    for _ in range(4):
        one, other = pool.getconn(), pool.getconn()
        for db, sql, shown in (
            (one, "SHOW work_mem", "4MB"),
            (one, "SET work_mem = '8MB'; SHOW work_mem", "8MB"),
            (other, "SHOW work_mem", "4MB"),
            (one, "SHOW work_mem", "8MB"),
        ):
            assert value(db, sql) == shown
            db.commit()
        one.reset()
        pool.putconn(one)
        pool.putconn(other)
    pool.closeall()


def fails(expected, action):
    try:
        action()
    except expected:
        return
    raise AssertionError(f"no {expected.__name__}")


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
options()
reported_settings()
listen()
pool()
print("ok")
