"""asyncpg as it comes: every statement is prepared by name in one round trip, used in the next ones and kept in a cache; its
pool resets what comes back. Connects as the PG… variables say."""

import asyncio
import datetime

import asyncpg


async def connect(**more):
    return await asyncpg.connect(**more)


async def fails(expected, awaitable):
    try:
        await awaitable
    except expected as error:
        return error
    raise AssertionError(f"no {expected.__name__}")


async def statements(db):
    await db.execute("SELECT 1; SELECT 2")
    assert await db.fetchval("SELECT $1::int + $2::int", 40, 2) == 42
    assert await db.fetchval("SELECT $1::bytea", b"\0\xff") == b"\0\xff"
    assert await db.fetchval("SELECT $1::text[]", ["käse", None]) == ["käse", None]
    big = "x" * 3_000_000
    assert await db.fetchval("SELECT $1::text", big) == big
    async with db.transaction():
        rows = [row[0] async for row in db.cursor("SELECT generate_series(1, 1000)", prefetch=70)]
        assert rows == list(range(1, 1001))


async def prepared(db, other):
    """Once prepared, used in and out of transactions, by two connections in turn, behind errors, and closed again."""
    mine = await db.prepare("SELECT 10 / $1::int")
    theirs = await other.prepare("SELECT 20 / $1::int")
    for number in range(1, 20):
        assert await mine.fetchval(number) == 10 // number
        assert await theirs.fetchval(number) == 20 // number
        async with db.transaction():
            assert await mine.fetchval(number) == 10 // number
        await fails(asyncpg.DivisionByZeroError, mine.fetchval(0))
        assert await db.fetchval("SELECT $1::int + 1", number) == number + 1
        assert await other.fetchval("SELECT $1::int + 1", number) == number + 1
    assert [kind.type.name for kind in [mine.get_attributes()[0]]] == ["int4"]
    assert [parameter.name for parameter in theirs.get_parameters()] == ["int4"]
    many = [(number,) for number in range(1, 500)]
    assert len(await mine.fetchmany(many)) == 499
    # More texts than a small cache holds: the driver closes the oldest.
    small = await connect(statement_cache_size=3)
    for _ in range(3):
        for number in range(10):
            assert await small.fetchval(f"SELECT {number} + $1::int", 1) == number + 1
    await small.close()


async def prepared_by_two():
    """The same text under other settings is another statement."""
    home = await connect()
    for name in ("here", "there"):
        await home.execute(f"CREATE SCHEMA asyncpg_{name}; CREATE TABLE asyncpg_{name}.place AS SELECT '{name}' AS name")
    here = await connect(server_settings={"search_path": "asyncpg_here", "TimeZone": "Asia/Tokyo"})
    there = await connect(server_settings={"search_path": "asyncpg_there", "TimeZone": "America/New_York"})
    when = "SELECT ($1::text || '-07-02 00:00+00')::timestamptz::text"
    for _ in range(5):
        for db, name, hour in ((here, "here", " 09:"), (there, "there", " 20:")):
            assert await db.fetchval("SELECT name FROM place WHERE name <> $1", "") == name
            text = await db.fetchval(when, "2026")
            assert hour in text, text
    await here.execute("SET search_path = asyncpg_there")
    assert await here.fetchval("SELECT name FROM place WHERE name <> $1", "") == "there"
    await here.reset()
    assert await here.fetchval("SELECT name FROM place WHERE name <> $1", "") == "here"
    assert await there.fetchval("SELECT name FROM place WHERE name <> $1", "") == "there"
    await home.execute("DROP SCHEMA asyncpg_here, asyncpg_there CASCADE")
    for db in (home, here, there):
        await db.close()


async def types_of_ones_own(db, other):
    """For a type it does not know the driver asks the catalog, and switches jit off and on again around that."""
    await db.execute("CREATE TYPE asyncpg_mood AS ENUM ('sad', 'glad')")
    await db.execute("CREATE TYPE asyncpg_pair AS (number int, mood asyncpg_mood, many asyncpg_mood[])")
    for client in (db, other):
        before = await other.fetchval("SHOW jit")
        pair = await client.fetchval("SELECT $1::asyncpg_pair", (7, "glad", ["sad", "glad"]))
        assert tuple(pair) == (7, "glad", ["sad", "glad"]), pair
        for each in (db, other):
            assert await each.fetchval("SHOW jit") == before
    await db.execute("DROP TYPE asyncpg_pair; DROP TYPE asyncpg_mood")


async def prepared_outlive_ddl(db):
    """A cached plan whose result type has changed: outside of a transaction the driver prepares again by itself."""
    await db.execute("CREATE TABLE asyncpg_ddl AS SELECT 1 AS id")
    for columns in range(1, 4):
        row = await db.fetchrow("SELECT * FROM asyncpg_ddl WHERE id = $1", 1)
        assert len(row) == columns, row
        await db.execute(f"ALTER TABLE asyncpg_ddl ADD COLUMN more{columns} int")
    await db.execute("DROP TABLE asyncpg_ddl")


async def transactions(db):
    await db.execute("CREATE TABLE asyncpg (id int PRIMARY KEY, text text)")
    async with db.transaction():
        await db.executemany("INSERT INTO asyncpg VALUES ($1, $2)", [(n, f"row {n}") for n in range(1000)])
        try:
            async with db.transaction():
                await db.execute("INSERT INTO asyncpg VALUES ($1, $2)", 1, "twice")
            raise AssertionError("a duplicate key was taken")
        except asyncpg.UniqueViolationError as error:
            assert error.constraint_name == "asyncpg_pkey", error.constraint_name
    try:
        async with db.transaction():
            await db.execute("DELETE FROM asyncpg")
            raise KeyError("roll back")
    except KeyError:
        pass
    # A pipeline of its own, whose 500th statement fails: none of it stays.
    twice = [(n, "again") for n in (*range(5000, 5500), 1, *range(5500, 6000))]
    await fails(asyncpg.UniqueViolationError, db.executemany("INSERT INTO asyncpg VALUES ($1, $2)", twice))
    assert await db.fetchval("SELECT count(*) FROM asyncpg") == 1000
    async with db.transaction(isolation="serializable", readonly=True, deferrable=True):
        assert await db.fetchval("SHOW transaction_isolation") == "serializable"
    assert await db.fetchval("SHOW transaction_isolation") == "read committed"


async def copy(db):
    records = [(n, f"row {n}") for n in range(1000, 21000)]
    await db.copy_records_to_table("asyncpg", records=records)
    received = bytearray()

    async def keep(data):
        received.extend(data)

    await db.copy_from_query("SELECT * FROM asyncpg WHERE id >= $1 ORDER BY id", 1000, output=keep)
    assert received.decode() == "".join(f"{n}\t{text}\n" for n, text in records)
    twice = db.copy_records_to_table("asyncpg", records=[(1, "twice")])
    await fails(asyncpg.UniqueViolationError, twice)


async def cancel(db):
    await fails(asyncio.TimeoutError, db.execute("SELECT pg_sleep(60)", timeout=0.3))
    await fails(asyncio.TimeoutError, db.fetchval("SELECT pg_sleep($1)", 60, timeout=0.3))
    assert await db.fetchval("SELECT 'lives on'") == "lives on"
    error = await fails(asyncpg.UndefinedTableError, db.execute("SELECT nothing FROM nowhere"))
    assert error.position == "21", error.position


async def startup_settings():
    """Clients share servers, and each finds its own settings."""
    settings = {"application_name": "tokyo", "TimeZone": "Asia/Tokyo", "DateStyle": "German", "work_mem": "7MB"}
    tokyo = await connect(server_settings=settings)
    plain = await connect(server_settings={"standard_conforming_strings": "off", "app.tenant": "4711"})
    for _ in range(3):
        sql = "SELECT current_setting('application_name') || '2026-07-01 00:00+00'::timestamptz::text"
        assert await tokyo.fetchval(sql) == "tokyo01.07.2026 09:00:00 JST"
        assert await tokyo.fetchval(r"SELECT length('\n')") == 2
        assert await tokyo.fetchval("SHOW work_mem") == "7MB"
        assert not await tokyo.fetchval("SELECT current_setting('app.tenant', true)")
        assert await plain.fetchval("SELECT '2026-07-01'::date::text") == "2026-07-01"
        assert await plain.fetchval(r"SELECT length('\n')") == 1
        assert await plain.fetchval("SHOW work_mem") == "4MB"
        assert await plain.fetchval("SHOW app.tenant") == "4711"
    assert tokyo.get_settings().TimeZone == "Asia/Tokyo"
    await plain.execute("SET TimeZone = 'America/New_York'")
    await tokyo.fetchval("SELECT 1")
    assert plain.get_settings().TimeZone == "America/New_York"
    assert tokyo.get_settings().TimeZone == "Asia/Tokyo"
    await tokyo.close()
    await plain.close()


async def listen():
    """Listeners hear what is sent, in order and once; and nothing more once they have stopped."""
    one, other, speaker = await connect(), await connect(), await connect()
    heard = {one: [], other: []}

    def hear(db, _pid, channel, payload):
        assert channel == "asyncpg"
        heard[db].append(payload)

    async def until(db, expected):
        async with asyncio.timeout(20):
            while heard[db] != expected:
                assert heard[db] == expected[: len(heard[db])], heard[db]
                await asyncio.sleep(0.01)

    await one.add_listener("asyncpg", hear)
    await other.add_listener("asyncpg", hear)
    for number in range(5):
        await speaker.execute("SELECT pg_notify('asyncpg', $1)", str(number))
    await until(one, ["0", "1", "2", "3", "4"])
    await until(other, ["0", "1", "2", "3", "4"])
    await other.remove_listener("asyncpg", hear)
    async with one.transaction():
        await one.execute("NOTIFY asyncpg, 'my own'")
        assert "my own" not in heard[one]
    await until(one, ["0", "1", "2", "3", "4", "my own"])
    assert len(heard[other]) == 5
    await one.remove_listener("asyncpg", hear)
    await speaker.execute("NOTIFY asyncpg, 'to nobody'")
    await one.fetchval("SELECT 1")
    assert len(heard[one]) == 6
    for db in (one, other, speaker):
        await db.close()


async def pool():
    """asyncpg's own pool, which resets a connection when it comes back."""
    async with asyncpg.create_pool(min_size=2, max_size=5) as pool:

        async def one(number):
            async with pool.acquire() as db:
                return await db.fetchval("SELECT $1::int", number)

        assert await asyncio.gather(*(one(number) for number in range(50))) == list(range(50))


async def pool_resets():
    """What one user of a connection sets or locks is gone for the next, who has the startup's settings again."""
    async with asyncpg.create_pool(min_size=1, max_size=1, server_settings={"work_mem": "7MB"}) as pool:
        for _ in range(3):
            async with pool.acquire() as db:
                assert await db.fetchval("SHOW work_mem") == "7MB"
                assert await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
                await db.execute("SET work_mem = '8MB'")
                assert await db.fetchval("SHOW work_mem") == "8MB"
                assert await db.fetchval("SELECT pg_try_advisory_lock(4711)") is True
                assert await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 1
                assert await db.fetchval("SELECT $1::date", datetime.date(2026, 7, 1)) == datetime.date(2026, 7, 1)


async def main():
    db, other = await connect(), await connect()
    await statements(db)
    await transactions(db)
    await copy(db)
    await cancel(db)
    await prepared(db, other)
    await types_of_ones_own(db, other)
    await prepared_outlive_ddl(db)
    await db.execute("DROP TABLE asyncpg")
    await db.close()
    await other.close()
    await prepared_by_two()
    await startup_settings()
    await listen()
    await pool()
    await pool_resets()


asyncio.run(main())
print("ok")
