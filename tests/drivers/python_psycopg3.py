"""psycopg 3: with statements that are never prepared by name, and in pipeline mode. Connects as the PG… variables say."""

import os
import threading

import psycopg
from psycopg import errors

SESSION = os.environ["POOL_MODE"] == "session"


def connect(**more):
    return psycopg.connect(prepare_threshold=None, **more)


def statements(db):
    """Parameters go by the extended protocol, none by the simple one."""
    assert db.execute("SELECT 1").fetchone() == (1,)
    assert db.execute("SELECT %s::int + %s::int", (40, 2)).fetchone() == (42,)
    assert db.execute("SELECT %s::text, %b::bytea", ("käse", b"\0\xff")).fetchone() == ("käse", b"\0\xff")
    assert db.execute("SELECT generate_series(1, 10000)").fetchall()[-1] == (10000,)
    big = "x" * 3_000_000
    assert db.execute("SELECT %s::text", (big,)).fetchone() == (big,)


def transactions(db):
    with db.transaction():
        db.execute("CREATE TABLE psycopg3 (id int PRIMARY KEY, text text)")
        db.execute("INSERT INTO psycopg3 VALUES (%s, %s)", (1, "kept"))
        try:
            with db.transaction():
                db.execute("INSERT INTO psycopg3 VALUES (%s, %s)", (1, "twice"))
            raise AssertionError("a duplicate key was taken")
        except errors.UniqueViolation as error:
            assert error.diag.constraint_name == "psycopg3_pkey", error.diag.constraint_name
    try:
        with db.transaction():
            db.execute("INSERT INTO psycopg3 VALUES (2, 'lost')")
            raise KeyError("roll back")
    except KeyError:
        pass
    assert db.execute("SELECT id, text FROM psycopg3").fetchall() == [(1, "kept")]
    with db.transaction(), db.cursor(name="portal") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT generate_series(1, 1000)")
        assert sum(row[0] for row in cursor) == 500500


def copy(db):
    with db.transaction(), db.cursor() as cursor:
        with cursor.copy("COPY psycopg3 (id, text) FROM STDIN") as into:
            for number in range(100, 20100):
                into.write_row((number, f"row {number}"))
        with cursor.copy("COPY (SELECT id FROM psycopg3 WHERE id >= 100 ORDER BY id) TO STDOUT") as out:
            assert [int(row[0]) for row in out.rows()] == list(range(100, 20100))
    try:
        with db.cursor() as cursor, cursor.copy("COPY psycopg3 (id, text) FROM STDIN") as into:
            into.write_row((7, "lost"))
            raise KeyError("the client gives up")
    except KeyError:
        pass
    assert db.execute("SELECT count(*) FROM psycopg3 WHERE id = 7").fetchone() == (0,)


def pipelines(db):
    with db.pipeline() as pipeline:
        sums = [db.execute("SELECT %s::int + 1", (number,)) for number in range(200)]
        pipeline.sync()
        assert [cursor.fetchone()[0] for cursor in sums] == list(range(1, 201))
        more = db.execute("SELECT 'behind a sync'")
        assert more.fetchone() == ("behind a sync",)
    try:
        with db.pipeline():
            db.execute("SELECT 1 / %s::int", (0,))
            db.execute("SELECT 'is skipped'")
        raise AssertionError("no error came out of the pipeline")
    except errors.DivisionByZero:
        pass
    with db.pipeline(), db.transaction():
        db.execute("INSERT INTO psycopg3 VALUES (%s, %s)", (3, "in a pipeline"))
    assert db.execute("SELECT text FROM psycopg3 WHERE id = 3").fetchone() == ("in a pipeline",)


def errors_and_cancel(db):
    try:
        db.execute("SELECT nothing FROM nowhere")
        raise AssertionError("no error")
    except errors.UndefinedTable as error:
        assert error.diag.statement_position == "21", error.diag.statement_position
    for cancel in (db.cancel_safe, db.cancel):
        timer = threading.Timer(0.3, cancel)
        timer.start()
        try:
            db.execute("SELECT pg_sleep(60)")
            raise AssertionError("was not cancelled")
        except errors.QueryCanceled:
            pass
        timer.join()
        assert db.execute("SELECT 'lives on'").fetchone() == ("lives on",)


def startup_settings():
    """Clients share servers, and each finds its own settings."""
    paris = connect(application_name="paris", client_encoding="LATIN1", autocommit=True)
    plain = connect(application_name="plain", autocommit=True)
    for _ in range(3):
        assert paris.execute("SHOW application_name").fetchone() == ("paris",)
        assert paris.execute("SHOW client_encoding").fetchone() == ("LATIN1",)
        assert paris.execute("SELECT %s::text", ("é",)).fetchone() == ("é",)
        assert plain.execute("SHOW application_name").fetchone() == ("plain",)
        assert plain.execute("SHOW client_encoding").fetchone() == ("UTF8",)
        assert plain.execute("SELECT %s::text", ("€",)).fetchone() == ("€",)
    os.environ.update(PGTZ="Asia/Tokyo", PGDATESTYLE="German")
    tokyo = connect(autocommit=True)
    del os.environ["PGTZ"], os.environ["PGDATESTYLE"]
    assert tokyo.execute("SELECT '2026-07-01 00:00+00'::timestamptz::text").fetchone() == ("01.07.2026 09:00:00 JST",)
    assert plain.execute("SELECT '2026-07-01'::date::text").fetchone() == ("2026-07-01",)
    for db in (paris, plain, tokyo):
        db.close()


with connect(autocommit=True) as db:
    statements(db)
    transactions(db)
    copy(db)
    pipelines(db)
    errors_and_cancel(db)
    db.execute("DROP TABLE psycopg3")
if SESSION:
    with psycopg.connect(prepare_threshold=0, autocommit=True) as db:
        for number in range(10):
            assert db.execute("SELECT %s::int", (number,)).fetchone() == (number,)
startup_settings()
print("ok")
