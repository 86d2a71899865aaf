// node-postgres (pg) with its cursors and its COPY. Connects as the PG… variables say.
"use strict";
const assert = require("node:assert/strict");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { Client, Pool } = require("pg");
const { from, to } = require("pg-copy-streams");
const Cursor = require("pg-cursor");

async function connect(more = {}) {
    const client = new Client(more);
    await client.connect();
    return client;
}

// Without values by the simple protocol; with values by the extended one, in one round trip and unnamed.
async function statements(client) {
    assert.equal((await client.query("SELECT 1 AS one")).rows[0].one, 1);
    const several = await client.query("SELECT 1; SELECT 2 AS two");
    assert.equal(several[1].rows[0].two, 2);
    assert.equal((await client.query("SELECT $1::int + $2::int AS sum", [40, 2])).rows[0].sum, 42);
    const bytes = Buffer.from([0, 255]);
    assert.deepEqual((await client.query("SELECT $1::bytea AS bytes", [bytes])).rows[0].bytes, bytes);
    const big = "x".repeat(3_000_000);
    assert.equal((await client.query("SELECT $1::text AS big", [big])).rows[0].big, big);
    // The driver's own queue: sent one after the other, without waiting in between.
    const sums = await Promise.all([...Array(100).keys()].map((n) => client.query("SELECT $1::int AS n", [n])));
    assert.deepEqual(sums.map((result) => result.rows[0].n), [...Array(100).keys()]);
}

// A statement with a name is prepared once for a client, and then bound by its name, whatever happened in between.
async function named(client, other) {
    const half = { name: "half", text: "SELECT 10 / $1::int AS n" };
    const twice = { name: "half", text: "SELECT 20 / $1::int AS n" };
    for (let n = 1; n < 20; n++) {
        assert.equal((await client.query({ ...half, values: [n] })).rows[0].n, Math.trunc(10 / n));
        assert.equal((await other.query({ ...twice, values: [n] })).rows[0].n, Math.trunc(20 / n));
        await assert.rejects(client.query({ ...half, values: [0] }), { code: "22012" });
        await client.query("BEGIN");
        assert.equal((await client.query({ ...half, values: [n] })).rows[0].n, Math.trunc(10 / n));
        await client.query("COMMIT");
    }
    const sums = [...Array(100).keys()].map((n) => client.query({ ...half, values: [n + 1] }));
    assert.equal((await Promise.all(sums))[4].rows[0].n, 2);
    await assert.rejects(client.query({ name: "broken", text: "SELECT nothing FROM nowhere WHERE 1 = $1", values: [1] }), {
        code: "42P01",
    });
    assert.equal((await client.query({ name: "broken", text: "SELECT 1 AS n WHERE 1 = $1", values: [1] })).rows[0].n, 1);
}

// The same name and text under other settings, which each client keeps.
async function namedByTwo() {
    const home = await connect();
    for (const name of ["here", "there"]) {
        await home.query(`CREATE SCHEMA node_${name}; CREATE TABLE node_${name}.place AS SELECT '${name}' AS name`);
    }
    const here = await connect({ options: "-c search_path=node_here -c TimeZone=Asia/Tokyo" });
    const there = await connect({ options: "-c search_path=node_there -c TimeZone=America/New_York" });
    const place = { name: "place", text: "SELECT name FROM place WHERE name <> $1", values: [""] };
    const when = { name: "when", text: "SELECT ($1 || '-07-02 00:00+00')::timestamptz::text AS text", values: ["2026"] };
    for (let round = 0; round < 5; round++) {
        for (const [client, name, hour] of [[here, "here", " 09:"], [there, "there", " 20:"]]) {
            assert.equal((await client.query(place)).rows[0].name, name);
            assert.ok((await client.query(when)).rows[0].text.includes(hour));
        }
    }
    await here.query("SET search_path = node_there");
    assert.equal((await here.query(place)).rows[0].name, "there");
    await here.query("RESET search_path");
    assert.equal((await here.query(place)).rows[0].name, "here");
    await home.query("DROP SCHEMA node_here, node_there CASCADE");
    for (const client of [home, here, there]) await client.end();
}

async function transactions(client) {
    await client.query("CREATE TABLE node_postgres (id int PRIMARY KEY, text text)");
    await client.query("BEGIN");
    await client.query("INSERT INTO node_postgres VALUES ($1, $2)", [1, "käse"]);
    await client.query({ name: "named", text: "INSERT INTO node_postgres VALUES ($1, $2)", values: [2, "named"] });
    await client.query("DEALLOCATE ALL");
    await client.query("COMMIT");
    await client.query("BEGIN");
    await client.query("DELETE FROM node_postgres");
    await assert.rejects(client.query("INSERT INTO node_postgres VALUES ($1, 'a'), ($1, 'b')", [1]), {
        code: "23505",
        constraint: "node_postgres_pkey",
    });
    await assert.rejects(client.query("SELECT 1"), { code: "25P02" });
    await client.query("ROLLBACK");
    assert.equal((await client.query("SELECT count(*)::int AS n FROM node_postgres")).rows[0].n, 2);
}

// The bare driver has no COPY of its own: it refuses to send data, and the connection lives on.
async function copy(client) {
    await assert.rejects(client.query("COPY node_postgres FROM STDIN"), { code: "57014" });
    assert.equal((await client.query("SELECT count(*)::int AS n FROM node_postgres")).rows[0].n, 2);
    const lines = [...Array(20000).keys()].map((n) => `${n + 1000}\trow ${n}\n`);
    await pipeline(Readable.from(lines), client.query(from("COPY node_postgres FROM STDIN")));
    const sql = "COPY (SELECT * FROM node_postgres WHERE id >= 1000 ORDER BY id) TO STDOUT";
    const chunks = [];
    for await (const chunk of client.query(to(sql))) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), lines.join(""));
    const twice = pipeline(Readable.from(["1\ttwice\n"]), client.query(from("COPY node_postgres FROM STDIN")));
    await assert.rejects(twice, { code: "23505" });
}

// A portal that is read in pieces, with Flush in between, and one that is closed before its end.
async function cursors(client) {
    const cursor = client.query(new Cursor("SELECT generate_series(1, $1::int) AS n", [100]));
    assert.deepEqual((await cursor.read(30)).map((row) => row.n), [...Array(30).keys()].map((n) => n + 1));
    assert.equal((await cursor.read(1000)).length, 70);
    await cursor.close();
    const early = client.query(new Cursor("SELECT generate_series(1, $1::int) AS n", [100]));
    assert.equal((await early.read(1)).length, 1);
    await early.close();
    assert.equal((await client.query("SELECT $1::int AS n", [1])).rows[0].n, 1);
}

// Each listener hears each notification once and in order.
async function listen() {
    const [one, other, speaker] = [await connect(), await connect(), await connect()];
    const heard = new Map([[one, []], [other, []]]);
    const until = (client, count) => {
        if (heard.get(client).length >= count) return;
        return new Promise((resolve, reject) => {
            const late = setTimeout(() => reject(new Error(`heard only ${heard.get(client)}`)), 20000);
            client.on("heard", () => {
                if (heard.get(client).length < count) return;
                clearTimeout(late);
                resolve();
            });
        });
    };
    for (const client of [one, other]) {
        client.on("notification", (message) => {
            heard.get(client).push(message.payload);
            client.emit("heard");
        });
        await client.query("LISTEN node");
    }
    for (let n = 0; n < 5; n++) await speaker.query("SELECT pg_notify('node', $1)", [`${n}`]);
    await until(one, 5);
    await until(other, 5);
    await other.query("UNLISTEN node");
    await one.query("NOTIFY node, 'my own'");
    await until(one, 6);
    assert.deepEqual(heard.get(one), ["0", "1", "2", "3", "4", "my own"]);
    assert.deepEqual(heard.get(other), ["0", "1", "2", "3", "4"]);
    for (const client of [one, other, speaker]) await client.end();
}

async function cancel(client) {
    const sleeping = assert.rejects(client.query("SELECT pg_sleep(60)"), { code: "57014" });
    setTimeout(() => {
        const canceller = new Client();
        canceller.processID = client.processID;
        canceller.secretKey = client.secretKey;
        canceller.connection.on("connect", () => canceller.connection.cancel(client.processID, client.secretKey));
        canceller.connection.on("error", () => {});
        canceller.connection.connect(client.port, client.host);
    }, 300);
    await sleeping;
    assert.equal((await client.query("SELECT 'lives on' AS word")).rows[0].word, "lives on");
    await assert.rejects(client.query("SELECT nothing FROM nowhere"), { code: "42P01", position: "21" });
}

// Clients share servers, and each finds its own settings. The driver always asks for client_encoding UTF8.
async function startupSettings() {
    const first = await connect({
        application_name: "first",
        statement_timeout: 12000,
        lock_timeout: 3000,
        idle_in_transaction_session_timeout: 60000,
        options: "-c work_mem=7MB -c app.tenant=4711",
    });
    const second = await connect({ application_name: "second" });
    const shown = async (client, name) => (await client.query(`SELECT current_setting('${name}', true) AS v`)).rows[0].v;
    const names = ["application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "work_mem"];
    const all = (client) => Promise.all(names.map((name) => shown(client, name)));
    for (let round = 0; round < 3; round++) {
        assert.deepEqual(await all(first), ["first", "12s", "3s", "1min", "7MB"]);
        assert.deepEqual(await all(second), ["second", "0", "0", "0", "4MB"]);
        assert.equal(await shown(first, "app.tenant"), "4711");
        assert.ok(!(await shown(second, "app.tenant")), "a leak");
        await second.query("SET DateStyle = German");
        assert.equal((await first.query("SELECT '2026-07-01'::date::text AS day")).rows[0].day, "2026-07-01");
        assert.equal((await second.query("SELECT '2026-07-01'::date::text AS day")).rows[0].day, "01.07.2026");
    }
    await first.end();
    await second.end();
}

async function pool() {
    const pool = new Pool({ max: 5 });
    const results = await Promise.all([...Array(50).keys()].map((n) => pool.query("SELECT $1::int AS n", [n])));
    assert.deepEqual(results.map((result) => result.rows[0].n), [...Array(50).keys()]);
    // As the manual has it: a setting for each connection of the pool, on its connect event.
    pool.on("connect", (client) => client.query("SET search_path = pg_catalog"));
    await Promise.all([...Array(20).keys()].map(async (n) => {
        const client = await pool.connect();
        await client.query("BEGIN");
        assert.equal((await client.query({ name: "n", text: "SELECT $1::int AS n", values: [n] })).rows[0].n, n);
        await client.query("COMMIT");
        client.release();
    }));
    await pool.end();
}

async function main() {
    const [client, other] = [await connect(), await connect()];
    await statements(client);
    await named(client, other);
    await transactions(client);
    await copy(client);
    await cursors(client);
    await cancel(client);
    await client.query("DROP TABLE node_postgres");
    await client.end();
    await other.end();
    await namedByTwo();
    await listen();
    await startupSettings();
    await pool();
    console.log("ok");
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
