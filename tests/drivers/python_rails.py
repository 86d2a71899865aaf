"""What Rails (Active Record) sends by libpq: SETs behind the login, statements prepared as a1, a2, …, and a migration, which
holds a session's advisory lock around DDL. Connects as the PG… variables say; psycopg lends its bare libpq."""

import os

from psycopg import pq

OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
# Zlib.crc32 of the database's name times Active Record's salt: a bigint.
LOCK = b"4711471147114711"


class Refused(Exception):
    pass


class Adapter:
    """One connection, as ActiveRecord::ConnectionAdapters::PostgreSQLAdapter has it."""

    def __init__(self, schema):
        self.libpq = pq.PGconn.connect(b"")
        assert self.libpq.status == pq.ConnStatus.OK, self.libpq.error_message
        self.statements = {}
        self.run("SET client_min_messages TO 'warning'")
        self.run("SET standard_conforming_strings = on")
        self.run("SET intervalstyle = iso_8601")
        self.run(f"SET search_path TO {schema}")
        self.run("SET SESSION timezone TO 'UTC'")

    def run(self, sql):
        return self.rows(self.libpq.exec_(sql.encode()))

    def prepared(self, sql, *parameters):
        """Named by the text and the schemas it was prepared in, and kept."""
        key = (self.run("SHOW search_path")[0][0], sql)
        if key not in self.statements:
            name = f"a{len(self.statements) + 1}".encode()
            self.rows(self.libpq.prepare(name, sql.encode()))
            self.statements[key] = name
        values = [str(parameter).encode() for parameter in parameters]
        return self.rows(self.libpq.exec_prepared(self.statements[key], values))

    def rows(self, result):
        if result.status not in OK:
            raise Refused(result.error_field(pq.DiagnosticField.SQLSTATE).decode())
        width = range(result.nfields)
        cells = ([result.get_value(row, column) for column in width] for row in range(result.ntuples))
        return [tuple(None if cell is None else cell.decode() for cell in row) for row in cells]

    def close(self):
        self.libpq.finish()


def migrate(db, version, ddl):
    """ActiveRecord::Migrator#with_advisory_lock around ddl_transaction."""
    lock = "SELECT pg_try_advisory_lock(%s)" % LOCK.decode()
    if db.run(lock) != [("t",)]:
        raise Refused("ConcurrentMigrationError")
    try:
        db.run("CREATE TABLE IF NOT EXISTS schema_migrations (version varchar NOT NULL PRIMARY KEY)")
        if (version,) in db.run("SELECT version FROM schema_migrations ORDER BY version"):
            return False
        db.run("BEGIN")
        try:
            db.run(ddl)
            db.prepared("INSERT INTO schema_migrations (version) VALUES ($1) RETURNING version", version)
            db.run("COMMIT")
        except Refused:
            db.run("ROLLBACK")
            raise
        return True
    finally:
        assert db.run("SELECT pg_advisory_unlock(%s)" % LOCK.decode()) == [("t",)], "the lock was lost"


def refused(code, action):
    try:
        action()
    except Refused as error:
        assert str(error) == code, error
        return
    raise AssertionError(f"no {code}")


def migrations():
    first, second = Adapter("rails"), Adapter("rails")
    table = "CREATE TABLE posts (id bigserial primary key, title varchar, created_at timestamptz DEFAULT now())"
    assert migrate(first, "1", table) is True
    assert migrate(second, "1", table) is False
    refused("42P07", lambda: migrate(second, "2", table))
    assert migrate(first, "2", "CREATE INDEX index_posts ON posts (title)") is True
    # While one migrates, the other is refused at once; and has the lock as soon as the first has let it go.
    assert first.run(f"SELECT pg_try_advisory_lock({LOCK.decode()})") == [("t",)]
    refused("ConcurrentMigrationError", lambda: migrate(second, "3", "SELECT 1"))
    assert first.run(f"SELECT pg_advisory_unlock({LOCK.decode()})") == [("t",)]
    assert migrate(second, "3", "SELECT 1") is True
    # disable_ddl_transaction!: what cannot run in a transaction, under the lock.
    assert first.run(f"SELECT pg_try_advisory_lock({LOCK.decode()})") == [("t",)]
    first.run("CREATE INDEX CONCURRENTLY index_created ON posts (created_at)")
    assert first.run(f"SELECT pg_advisory_unlock({LOCK.decode()})") == [("t",)]
    # A migrator that dies takes its lock along.
    assert first.run(f"SELECT pg_try_advisory_lock({LOCK.decode()})") == [("t",)]
    first.close()
    for _ in range(200):
        if second.run(f"SELECT pg_try_advisory_lock({LOCK.decode()})") == [("t",)]:
            break
        second.run("SELECT pg_sleep(0.05)")
    else:
        raise AssertionError("the lock of a client that has left is held")
    assert second.run(f"SELECT pg_advisory_unlock({LOCK.decode()})") == [("t",)]
    second.close()


def application():
    """Two tenants by search_path, whose statements have the same names and texts."""
    one, other = Adapter("rails"), Adapter("rails_other")
    other.run("CREATE TABLE posts (id bigserial primary key, title varchar, created_at timestamptz DEFAULT now())")
    other.run("INSERT INTO posts (id, title) VALUES (1, 'of the other')")
    insert = "INSERT INTO posts (title) VALUES ($1) RETURNING id"
    assert one.prepared(insert, "of the one")[0][0].isdigit()
    for number in range(10):
        for db, title in ((one, "of the one"), (other, "of the other")):
            db.run("BEGIN")
            assert db.prepared("SELECT title FROM posts ORDER BY id LIMIT $1", 1) == [(title,)]
            db.run("COMMIT")
            assert db.prepared("SELECT interval '1 day 2 hours', $1::int", number) == [("P1DT2H", str(number))]
        other.run("BEGIN")
        refused("22P02", lambda: other.prepared("SELECT title FROM posts ORDER BY id LIMIT $1", "many"))
        other.run("ROLLBACK")
    # A schema is switched in the middle of a connection's life, as apartment does it.
    one.run("SET search_path TO rails_other")
    assert one.prepared("SELECT title FROM posts ORDER BY id LIMIT $1", 1) == [("of the other",)]
    one.run("SET search_path TO rails")
    assert one.prepared("SELECT title FROM posts ORDER BY id LIMIT $1", 1) == [("of the one",)]
    # Rails' own answer to a changed result type: DEALLOCATE what it has named, and prepare again.
    assert len(one.prepared("SELECT * FROM posts WHERE title = $1", "of the one")[0]) == 3
    one.run("ALTER TABLE posts ADD COLUMN body text")
    again = lambda: one.prepared("SELECT * FROM posts WHERE title = $1", "of the one")
    if os.environ["POOL_MODE"] == "transaction":
        # It has the columns described with each execution: PgOtter prepares it anew.
        assert len(again()[0]) == 4
    else:
        refused("0A000", again)
    key = ("rails", "SELECT * FROM posts WHERE title = $1")
    one.run(f"DEALLOCATE {one.statements.pop(key).decode()}")
    one.statements[key] = b"a77"
    one.rows(one.libpq.prepare(b"a77", key[1].encode()))
    assert len(one.prepared(key[1], "of the one")[0]) == 4
    # reset!: what Rails does before it lends a connection again.
    one.run("DISCARD ALL")
    one.statements.clear()
    assert one.run("SHOW search_path") == [('"$user", public',)]
    assert one.prepared("SELECT $1::int + 1", 41) == [("42",)]
    one.close()
    other.close()


home = Adapter("public")
home.run("CREATE SCHEMA rails")
home.run("CREATE SCHEMA rails_other")
migrations()
application()
home.run("DROP SCHEMA rails CASCADE")
home.run("DROP SCHEMA rails_other CASCADE")
home.close()
print("ok")
