"""asyncpg without its statement cache. Connects as the PG… variables say.

It names a statement in one round trip and uses it in the next: in transaction mode that needs a transaction around it
until PgOtter carries prepared statements from server to server.
"""

import asyncio
import os

import asyncpg

SESSION = os.environ["POOL_MODE"] == "session"


def connect(**more):
    return asyncpg.connect(statement_cache_size=0, **more)


async def statements(db):
    await db.execute("SELECT 1; SELECT 2")
    async with db.transaction():
        assert await db.fetchval("SELECT $1::int + $2::int", 40, 2) == 42
        assert await db.fetchval("SELECT $1::bytea", b"\0\xff") == b"\0\xff"
        assert await db.fetchval("SELECT $1::text[]", ["käse", None]) == ["käse", None]
        big = "x" * 3_000_000
        assert await db.fetchval("SELECT $1::text", big) == big
        rows = [row[0] async for row in db.cursor("SELECT generate_series(1, 1000)", prefetch=70)]
        assert rows == list(range(1, 1001))
    if SESSION:
        assert await db.fetchval("SELECT $1::int + 1", 41) == 42
        prepared = await db.prepare("SELECT $1::int * 2")
        assert [await prepared.fetchval(number) for number in range(5)] == [0, 2, 4, 6, 8]


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
    async with db.transaction():
        assert await db.fetchval("SELECT count(*) FROM asyncpg") == 1000


async def copy(db):
    records = [(n, f"row {n}") for n in range(1000, 21000)]
    async with db.transaction():
        await db.copy_records_to_table("asyncpg", records=records)
        received = bytearray()

        async def keep(data):
            received.extend(data)

        await db.copy_from_query("SELECT * FROM asyncpg WHERE id >= 1000 ORDER BY id", output=keep)
        assert received.decode() == "".join(f"{n}\t{text}\n" for n, text in records)


async def cancel(db):
    try:
        await db.execute("SELECT pg_sleep(60)", timeout=0.3)
        raise AssertionError("was not cancelled")
    except asyncio.TimeoutError:
        pass
    async with db.transaction():
        assert await db.fetchval("SELECT 'lives on'") == "lives on"
    try:
        await db.execute("SELECT nothing FROM nowhere")
        raise AssertionError("no error")
    except asyncpg.UndefinedTableError as error:
        assert error.position == "21", error.position


async def startup_settings():
    """Clients share servers, and each finds its own settings."""
    settings = {"application_name": "tokyo", "TimeZone": "Asia/Tokyo", "DateStyle": "German"}
    tokyo = await connect(server_settings=settings)
    plain = await connect(server_settings={"standard_conforming_strings": "off"})
    for _ in range(3):
        async with tokyo.transaction():
            sql = "SELECT current_setting('application_name') || '2026-07-01 00:00+00'::timestamptz::text"
            assert await tokyo.fetchval(sql) == "tokyo01.07.2026 09:00:00 JST"
            assert await tokyo.fetchval(r"SELECT length('\n')") == 2
        async with plain.transaction():
            assert await plain.fetchval("SELECT '2026-07-01'::date::text") == "2026-07-01"
            assert await plain.fetchval(r"SELECT length('\n')") == 1
    await tokyo.close()
    await plain.close()


async def pool():
    """asyncpg's own pool, which resets a connection when it comes back."""
    async with asyncpg.create_pool(statement_cache_size=0, min_size=2, max_size=5) as pool:

        async def one(number):
            async with pool.acquire() as db, db.transaction():
                return await db.fetchval("SELECT $1::int", number)

        assert await asyncio.gather(*(one(number) for number in range(50))) == list(range(50))


async def main():
    db = await connect()
    await statements(db)
    await transactions(db)
    await copy(db)
    await cancel(db)
    await db.execute("DROP TABLE asyncpg")
    await db.close()
    await startup_settings()
    await pool()


asyncio.run(main())
print("ok")
