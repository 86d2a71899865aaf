// postgres.js: it describes and names every statement, sends many of them without waiting, and asks pg_type for arrays at every
// login. Connects as the PG… variables say.
"use strict";
const assert = require("node:assert/strict");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const postgres = require("postgres");

const quiet = { onnotice: () => {} };
const upTo = (count) => [...Array(count).keys()];

async function statements(sql) {
    assert.equal((await sql`SELECT 1 AS one`)[0].one, 1);
    assert.equal((await sql`SELECT ${40}::int + ${2}::int AS sum`)[0].sum, 42);
    const bytes = Buffer.from([0, 255]);
    assert.deepEqual((await sql`SELECT ${bytes}::bytea AS bytes`)[0].bytes, bytes);
    assert.deepEqual((await sql`SELECT ${["käse", "b"]}::text[] AS many`)[0].many, ["käse", "b"]);
    const big = "x".repeat(3_000_000);
    assert.equal((await sql`SELECT ${big}::text AS big`)[0].big, big);
    assert.equal((await sql.unsafe("SELECT 1; SELECT 2 AS two"))[1][0].two, 2);
    assert.equal((await sql`SELECT 1 AS one; SELECT 2 AS two`.simple())[1][0].two, 2);
    assert.equal((await sql.unsafe("SELECT $1::int AS n", [3], { prepare: true }))[0].n, 3);
    const described = await sql`SELECT ${1}::int AS n, 'text' AS text`.describe();
    assert.deepEqual(described.columns.map((column) => column.name), ["n", "text"]);
}

// One connection each, so that all of a client's statements are sent behind one another: prepared once, used in and out of
// transactions and behind errors.
async function prepared(sql, other) {
    for (let n = 1; n < 20; n++) {
        const half = (number) => sql`SELECT 10 / ${number}::int AS n`;
        const results = await Promise.allSettled([half(n), half(0), half(n), other`SELECT 20 / ${n}::int AS n`]);
        assert.deepEqual(results.map((result) => result.status), ["fulfilled", "rejected", "fulfilled", "fulfilled"]);
        assert.equal(results[0].value[0].n, Math.trunc(10 / n));
        assert.equal(results[1].reason.code, "22012");
        assert.equal(results[3].value[0].n, Math.trunc(20 / n));
        await sql.begin(async (sql) => {
            const [one, two] = await Promise.all([sql`SELECT 10 / ${n}::int AS n`, sql`SELECT ${n}::int AS n`]);
            assert.deepEqual([one[0].n, two[0].n], [Math.trunc(10 / n), n]);
        });
    }
    const sums = await Promise.all(upTo(100).map((n) => sql`SELECT ${n}::int AS n`));
    assert.deepEqual(sums.map((rows) => rows[0].n), upTo(100));
}

async function preparedByTwo(sql) {
    for (const name of ["here", "there"]) {
        await sql.unsafe(`CREATE SCHEMA postgres_js_${name}; CREATE TABLE postgres_js_${name}.place AS SELECT '${name}' AS name`);
    }
    const here = postgres({ ...quiet, max: 1, connection: { search_path: "postgres_js_here", TimeZone: "Asia/Tokyo" } });
    const there = postgres({ ...quiet, max: 1, connection: { search_path: "postgres_js_there", TimeZone: "America/New_York" } });
    const place = (sql) => sql`SELECT name FROM place WHERE name <> ${""}`.then((rows) => rows[0].name);
    for (let round = 0; round < 5; round++) {
        for (const [sql, name, hour] of [[here, "here", " 09:"], [there, "there", " 20:"]]) {
            assert.equal(await place(sql), name);
            const [{ text }] = await sql`SELECT (${"2026"} || '-07-02 00:00+00')::timestamptz::text AS text`;
            assert.ok(text.includes(hour), text);
        }
    }
    await here`SET search_path = postgres_js_there`;
    assert.equal(await place(here), "there");
    await here`RESET search_path`;
    assert.equal(await place(here), "here");
    await sql`DROP SCHEMA postgres_js_here, postgres_js_there CASCADE`;
    await here.end();
    await there.end();
}

async function transactions(sql) {
    await sql`CREATE TABLE postgres_js (id int PRIMARY KEY, text text)`;
    await sql.begin(async (sql) => {
        await sql`INSERT INTO postgres_js ${sql([{ id: 1, text: "käse" }, { id: 2, text: "kept" }])}`;
        const twice = sql.savepoint((sql) => sql`INSERT INTO postgres_js VALUES (${1}, 'twice')`);
        await assert.rejects(twice, { code: "23505", constraint_name: "postgres_js_pkey" });
    });
    const rolledBack = sql.begin(async (sql) => {
        await sql`DELETE FROM postgres_js`;
        throw new Error("roll back");
    });
    await assert.rejects(rolledBack, /roll back/);
    await sql.begin("isolation level serializable read only", async (sql) => {
        assert.equal((await sql`SHOW transaction_isolation`)[0].transaction_isolation, "serializable");
    });
    assert.equal((await sql`SELECT count(*)::int AS n FROM postgres_js`)[0].n, 2);
}

// A changed result type: outside of a transaction the driver prepares again by itself.
async function preparedOutliveDdl(sql) {
    for (let columns = 2; columns < 5; columns++) {
        const rows = await sql`SELECT * FROM postgres_js WHERE id = ${1}`;
        assert.equal(Object.keys(rows[0]).length, columns);
        await sql.unsafe(`ALTER TABLE postgres_js ADD COLUMN more${columns} int`);
    }
    await sql`ALTER TABLE postgres_js DROP COLUMN more2, DROP COLUMN more3, DROP COLUMN more4`;
}

async function copyAndCursors(sql) {
    const lines = upTo(20000).map((n) => `${n + 1000}\trow ${n}\n`);
    await pipeline(Readable.from(lines), await sql`COPY postgres_js FROM STDIN`.writable());
    // Few rows: this version forgets to read on when its stream has been full, on PostgreSQL itself too.
    const chunks = [];
    const readable = await sql`COPY (SELECT * FROM postgres_js WHERE id >= 20500 ORDER BY id) TO STDOUT`.readable();
    for await (const chunk of readable) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), lines.slice(19500).join(""));
    assert.equal((await sql`SELECT count(*)::int AS n FROM postgres_js`)[0].n, 20002);
    const seen = [];
    for await (const rows of sql`SELECT generate_series(1, ${100}::int) AS n`.cursor(30)) seen.push(rows.length);
    assert.deepEqual(seen, [30, 30, 30, 10]);
    for await (const rows of sql`SELECT generate_series(1, ${100}::int) AS n`.cursor(30)) {
        assert.equal(rows.length, 30);
        break;
    }
    assert.equal((await sql`SELECT ${1}::int AS n`)[0].n, 1);
}

async function cancel(sql) {
    const sleeping = sql`SELECT pg_sleep(60)`;
    setTimeout(() => sleeping.cancel(), 300);
    await assert.rejects(sleeping, { code: "57014" });
    assert.equal((await sql`SELECT 'lives on' AS word`)[0].word, "lives on");
    await assert.rejects(sql`SELECT nothing FROM nowhere`, { code: "42P01", position: "21" });
}

// The driver listens on a connection of its own.
async function listen(sql, other) {
    const heard = [[], []];
    let wake = () => {};
    const hear = (at) => (payload) => {
        heard[at].push(payload);
        wake();
    };
    const until = async (count) => {
        while (heard[0].length < count || heard[1].length < count) await new Promise((resolve) => (wake = resolve));
    };
    const one = await sql.listen("postgres_js", hear(0));
    await other.listen("postgres_js", hear(1));
    for (let n = 0; n < 5; n++) await sql.notify("postgres_js", `${n}`);
    await until(5);
    await one.unlisten();
    await other.begin((sql) => sql`SELECT pg_notify('postgres_js', ${"last"})`);
    heard[0].push("last");
    await until(6);
    assert.deepEqual(heard[0], ["0", "1", "2", "3", "4", "last"]);
    assert.deepEqual(heard[1], heard[0]);
}

async function startupSettings() {
    const connection = { application_name: "first", statement_timeout: 12000, work_mem: "7MB", "app.tenant": "4711" };
    const first = postgres({ ...quiet, max: 1, connection });
    const second = postgres({ ...quiet, max: 1, connection: { application_name: "second" } });
    const shown = async (sql, name) => (await sql`SELECT current_setting(${name}, true) AS value`)[0].value;
    for (let round = 0; round < 3; round++) {
        for (const [name, mine, theirs] of [["application_name", "first", "second"], ["work_mem", "7MB", "4MB"],
            ["statement_timeout", "12s", "0"]]) {
            assert.equal(await shown(first, name), mine);
            assert.equal(await shown(second, name), theirs);
        }
        assert.equal(await shown(first, "app.tenant"), "4711");
        assert.ok(!(await shown(second, "app.tenant")), "a leak");
    }
    await first.end();
    await second.end();
}

async function pool() {
    const sql = postgres({ ...quiet, max: 5 });
    const results = await Promise.all(upTo(100).map((n) => sql.begin((sql) => sql`SELECT ${n}::int AS n`)));
    assert.deepEqual(results.map((rows) => rows[0].n), upTo(100));
    const reserved = await sql.reserve();
    await reserved`SET work_mem = '9MB'`;
    assert.equal((await reserved`SHOW work_mem`)[0].work_mem, "9MB");
    await reserved`RESET work_mem`;
    reserved.release();
    await sql.end();
}

async function main() {
    const [sql, other] = [postgres({ ...quiet, max: 1 }), postgres({ ...quiet, max: 1 })];
    await statements(sql);
    await prepared(sql, other);
    await preparedByTwo(sql);
    await transactions(sql);
    await preparedOutliveDdl(sql);
    await copyAndCursors(sql);
    await cancel(sql);
    await listen(sql, other);
    await sql`DROP TABLE postgres_js`;
    await sql.end();
    await other.end();
    await startupSettings();
    await pool();
    console.log("ok");
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
