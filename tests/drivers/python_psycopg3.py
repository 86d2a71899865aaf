"""psycopg 3 as it comes: it prepares what it has sent `prepare_threshold` times (5, here also 0 and 1), deallocates what it
no longer wants, and can send pipelines. Connects as the PG… variables say."""

import os
import threading

import psycopg
import psycopg_pool
from psycopg import errors
from psycopg.types.enum import EnumInfo


def connect(**more):
    return psycopg.connect(**{"autocommit": True, **more})


def value(db, sql, parameters=None, **more):
    return db.execute(sql, parameters, **more).fetchone()[0]


def fails(expected, action):
    try:
        action()
    except expected as error:
        return error.diag
    raise AssertionError(f"no {expected.__name__}")


def statements(db):
    """Parameters go by the extended protocol, none by the simple one."""
    assert db.execute("SELECT 1").fetchone() == (1,)
    assert db.execute("SELECT %s::int + %s::int", (40, 2)).fetchone() == (42,)
    assert db.execute("SELECT %s::text, %b::bytea", ("käse", b"\0\xff")).fetchone() == ("käse", b"\0\xff")
    assert db.execute("SELECT generate_series(1, 10000)").fetchall()[-1] == (10000,)
    big = "x" * 3_000_000
    assert value(db, "SELECT %s::text", (big,)) == big
    assert db.execute("SELECT %s::int, 'binary'", (7,), binary=True).fetchone() == (7, "binary")


def prepared(threshold):
    """A statement that is prepared once serves many transactions, and errors leave it in place."""
    with connect(prepare_threshold=threshold) as db:
        for number in range(20):
            assert value(db, "SELECT 10 / %s::int", (number or 1,)) == 10 // (number or 1)
            with db.transaction():
                assert value(db, "SELECT 10 / %s::int", (2,)) == 5
            fails(errors.DivisionByZero, lambda: value(db, "SELECT 10 / %s::int", (0,)))
        assert len(db._prepared._names) >= 1


def prepared_are_evicted():
    """Beyond prepared_max the driver closes its oldest; what it names again it prepares again."""
    with connect(prepare_threshold=0) as db:
        db.prepared_max = 3
        for _ in range(3):
            for number in range(8):
                assert value(db, f"SELECT {number} + %s::int", (1,)) == number + 1


def prepared_by_two():
    """The same text under other settings is another statement: neither client may get the plan of the other."""
    with connect() as db:
        for name in ("here", "there"):
            db.execute(f"CREATE SCHEMA psycopg3_{name}")
            db.execute(f"CREATE TABLE psycopg3_{name}.place (name text)")
            db.execute(f"INSERT INTO psycopg3_{name}.place VALUES ('{name}')")
    here = connect(prepare_threshold=0, options="-c search_path=psycopg3_here -c TimeZone=Asia/Tokyo")
    there = connect(prepare_threshold=0, options="-c search_path=psycopg3_there -c TimeZone=America/New_York")
    for _ in range(5):
        for db, name, hour in ((here, "here", "09"), (there, "there", "20")):
            assert value(db, "SELECT name FROM place WHERE name <> %s", ("",)) == name
            text = value(db, "SELECT (%s || '-07-02 00:00+00')::timestamptz::text", ("2026",))
            assert f" {hour}:00:00" in text, text
            assert value(db, "SHOW search_path") == f"psycopg3_{name}"
    # A setting that changes later changes the statement's meaning, too.
    here.execute("SET search_path = psycopg3_there")
    assert value(here, "SELECT name FROM place WHERE name <> %s", ("",)) == "there"
    here.execute("RESET search_path")
    assert value(here, "SELECT name FROM place WHERE name <> %s", ("",)) == "here"
    assert value(there, "SELECT name FROM place WHERE name <> %s", ("",)) == "there"
    for db in (here, there):
        db.close()
    with connect() as db:
        db.execute("DROP SCHEMA psycopg3_here, psycopg3_there CASCADE")


def prepared_outlive_ddl(db):
    """The driver forgets its statements at DROP, ALTER and ROLLBACK (DEALLOCATE ALL), and prepares them anew."""
    db.execute("CREATE TABLE psycopg3_ddl (id int)")
    with connect(prepare_threshold=0) as other:
        for number in range(3):
            for client in (db, other):
                client.execute("INSERT INTO psycopg3_ddl VALUES (%s)", (number,), prepare=True)
                assert value(client, "SELECT max(id) FROM psycopg3_ddl WHERE id > %s", (-1,), prepare=True) == number
            db.execute(f"ALTER TABLE psycopg3_ddl ADD COLUMN extra{number} int")
        other.execute("SELECT * FROM psycopg3_ddl WHERE id > %s", (0,))
        db.execute("ALTER TABLE psycopg3_ddl ADD COLUMN last int")
        # The driver has the columns described with each execution: nobody is misled, and PgOtter prepares it anew.
        again = lambda: other.execute("SELECT * FROM psycopg3_ddl WHERE id > %s", (0,))
        healed = os.environ["POOL_MODE"] == "transaction"
        if healed:
            assert len(again().fetchone()) == 5
        else:
            error = fails(errors.FeatureNotSupported, again)
            assert error.message_primary == "cached plan must not change result type", error.message_primary
        # Who prepares it now gets it as it is now, whatever others hold.
        with connect(prepare_threshold=0) as late:
            assert len(late.execute("SELECT * FROM psycopg3_ddl WHERE id > %s", (0,)).fetchone()) == 5
        if not healed:
            fails(errors.FeatureNotSupported, again)
        other.execute("DEALLOCATE ALL")
        other._prepared.clear()
        assert len(other.execute("SELECT * FROM psycopg3_ddl WHERE id > %s", (0,)).fetchone()) == 5
    db.execute("DROP TABLE psycopg3_ddl")


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
        cursor.execute("SELECT generate_series(1, %s)", (1000,))
        assert sum(row[0] for row in cursor) == 500500
    # Without autocommit, with the driver's own attributes of a transaction.
    with connect(autocommit=False) as careful:
        careful.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        careful.read_only = True
        assert value(careful, "SHOW transaction_isolation") == "serializable"
        fails(errors.ReadOnlySqlTransaction, lambda: careful.execute("DELETE FROM psycopg3"))
        careful.rollback()
    assert value(db, "SHOW transaction_isolation") == "read committed"


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
    assert value(db, "SELECT count(*) FROM psycopg3 WHERE id = 7") == 0


def pipelines(db):
    with db.pipeline() as pipeline:
        sums = [db.execute("SELECT %s::int + 1", (number,)) for number in range(200)]
        pipeline.sync()
        assert [cursor.fetchone()[0] for cursor in sums] == list(range(1, 201))
        more = db.execute("SELECT 'behind a sync'")
        assert more.fetchone() == ("behind a sync",)
    with db.pipeline(), db.transaction():
        db.execute("INSERT INTO psycopg3 VALUES (%s, %s)", (3, "in a pipeline"))
    assert value(db, "SELECT text FROM psycopg3 WHERE id = 3") == "in a pipeline"


def failing_pipelines(threshold):
    """Behind an error all is skipped up to the next Sync; what was prepared before it is still there. (The driver takes a
    skipped Parse for one that succeeded, on PostgreSQL too, so the skipped statement is not prepared.)"""
    with connect(prepare_threshold=threshold) as db:
        for number in range(3):
            try:
                with db.pipeline():
                    before = db.execute("SELECT 100 + %s::int", (number,))
                    db.execute("SELECT 1 / %s::int", (0,))
                    db.execute("SELECT %s || 'skipped'", ("is ",), prepare=False)
                raise AssertionError("no error came out of the pipeline")
            except errors.DivisionByZero:
                assert before.fetchone() == (100 + number,)
            assert value(db, "SELECT 100 + %s::int", (number,)) == 100 + number
            assert value(db, "SELECT 1 / %s::int", (1,)) == 1


def errors_and_cancel(db):
    error = fails(errors.UndefinedTable, lambda: db.execute("SELECT nothing FROM nowhere"))
    assert error.statement_position == "21", error.statement_position
    for cancel in (db.cancel_safe, db.cancel):
        timer = threading.Timer(0.3, cancel)
        timer.start()
        fails(errors.QueryCanceled, lambda: db.execute("SELECT pg_sleep(60)"))
        timer.join()
        assert db.execute("SELECT 'lives on'").fetchone() == ("lives on",)


def startup_settings():
    """Clients share servers, and each finds its own settings."""
    paris = connect(application_name="paris", client_encoding="LATIN1", options="-c work_mem=7MB -c lock_timeout=1234")
    plain = connect(application_name="plain")
    for _ in range(3):
        assert value(paris, "SHOW application_name") == "paris"
        assert value(paris, "SHOW client_encoding") == "LATIN1"
        assert value(paris, "SELECT %s::text", ("é",)) == "é"
        assert (value(paris, "SHOW work_mem"), value(paris, "SHOW lock_timeout")) == ("7MB", "1234ms")
        assert value(plain, "SHOW application_name") == "plain"
        assert value(plain, "SHOW client_encoding") == "UTF8"
        assert value(plain, "SELECT %s::text", ("€",)) == "€"
        assert (value(plain, "SHOW work_mem"), value(plain, "SHOW lock_timeout")) == ("4MB", "0")
    paris.execute("SET work_mem = '9MB'")
    assert (value(paris, "SHOW work_mem"), value(plain, "SHOW work_mem")) == ("9MB", "4MB")
    paris.execute("RESET ALL")
    assert (value(paris, "SHOW work_mem"), value(plain, "SHOW work_mem")) == ("7MB", "4MB")
    os.environ.update(PGTZ="Asia/Tokyo", PGDATESTYLE="German")
    tokyo = connect()
    del os.environ["PGTZ"], os.environ["PGDATESTYLE"]
    assert tokyo.info.parameter_status("TimeZone") == "Asia/Tokyo", tokyo.info.parameter_status("TimeZone")
    assert tokyo.execute("SELECT '2026-07-01 00:00+00'::timestamptz::text").fetchone() == ("01.07.2026 09:00:00 JST",)
    assert plain.execute("SELECT '2026-07-01'::date::text").fetchone() == ("2026-07-01",)
    for db in (paris, plain, tokyo):
        db.close()


def reported_settings():
    """What PostgreSQL reports decides how the driver reads: it must hear of its own settings and of nobody else's."""
    one, other = connect(), connect()
    usual = one.info.parameter_status("TimeZone")
    for zone in ("Asia/Tokyo", "America/New_York"):
        one.execute(f"SET TimeZone = '{zone}'")
        other.execute("SELECT 1")
        assert one.info.parameter_status("TimeZone") == zone, one.info.parameter_status("TimeZone")
        assert other.info.parameter_status("TimeZone") == usual, other.info.parameter_status("TimeZone")
        when = value(one, "SELECT '2026-07-01 12:00+00'::timestamptz")
        assert str(when.tzinfo) == zone, when
        assert str(value(other, "SELECT now()").tzinfo) == usual
    with one.transaction(force_rollback=True):
        one.execute("SET TimeZone = 'Europe/Vienna'")
        assert one.info.parameter_status("TimeZone") == "Europe/Vienna"
    assert one.info.parameter_status("TimeZone") == "America/New_York"
    for db in (one, other):
        db.close()


def listen():
    """Each listener hears each notification once and in order; one that has gone back to sleep hears nothing."""
    with connect() as one, connect() as other, connect() as speaker:
        one.execute("LISTEN psycopg3")
        other.execute("LISTEN psycopg3")
        for number in range(5):
            speaker.execute("SELECT pg_notify('psycopg3', %s)", (str(number),))
        for db in (one, other):
            heard = [notify.payload for notify in db.notifies(timeout=20, stop_after=5)]
            assert heard == ["0", "1", "2", "3", "4"], heard
        other.execute("UNLISTEN *")
        one.execute("NOTIFY psycopg3, 'my own'")
        assert [notify.payload for notify in one.notifies(timeout=20, stop_after=1)] == ["my own"]
        assert list(other.notifies(timeout=0)) == []
        with speaker.transaction(force_rollback=True):
            speaker.execute("NOTIFY psycopg3, 'never sent'")
        speaker.execute("NOTIFY psycopg3, 'last'")
        assert [notify.payload for notify in one.notifies(timeout=20, stop_after=1)] == ["last"]


def types_of_ones_own(db):
    db.execute("CREATE TYPE psycopg3_mood AS ENUM ('sad', 'glad')")
    info = EnumInfo.fetch(db, "psycopg3_mood")
    with connect(prepare_threshold=0) as other:
        psycopg.types.enum.register_enum(info, other)
        for mood in info.enum:
            assert value(other, "SELECT %s", (mood,)) == mood
    db.execute("DROP TYPE psycopg3_mood")


def pool():
    """psycopg's own pool, which rolls back and runs what it is told when a connection comes back."""

    def reset(db):
        db.execute("DISCARD ALL")
        db._prepared.clear()

    settings = {"autocommit": True, "prepare_threshold": 0}
    with psycopg_pool.ConnectionPool("", min_size=2, max_size=2, kwargs=settings, reset=reset, check=None) as pool:
        for number in range(10):
            with pool.connection() as db, pool.connection() as other:
                assert value(db, "SHOW work_mem") == value(other, "SHOW work_mem") == "4MB"
                db.execute("SET work_mem = '8MB'")
                assert value(db, "SELECT %s::int", (number,)) == value(other, "SELECT %s::int", (number,)) == number


with connect() as db:
    statements(db)
    transactions(db)
    copy(db)
    pipelines(db)
    errors_and_cancel(db)
    prepared_outlive_ddl(db)
    types_of_ones_own(db)
    db.execute("DROP TABLE psycopg3")
for threshold in (0, 1, 5):
    prepared(threshold)
    failing_pipelines(threshold)
prepared_are_evicted()
prepared_by_two()
startup_settings()
reported_settings()
listen()
pool()
print("ok")
