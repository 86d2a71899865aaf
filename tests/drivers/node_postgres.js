// node-postgres (pg). Connects as the PG… variables say.
"use strict";
const assert = require("node:assert/strict");
const { Client, Pool } = require("pg");

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

// The driver has no COPY of its own: it refuses to send data, and the connection lives on.
async function copy(client) {
    await assert.rejects(client.query("COPY node_postgres FROM STDIN"), { code: "57014" });
    assert.equal((await client.query("SELECT count(*)::int AS n FROM node_postgres")).rows[0].n, 2);
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
    const first = await connect({ application_name: "first" });
    const second = await connect({ application_name: "second" });
    for (let round = 0; round < 3; round++) {
        assert.equal((await first.query("SHOW application_name")).rows[0].application_name, "first");
        assert.equal((await second.query("SHOW application_name")).rows[0].application_name, "second");
    }
    await first.end();
    await second.end();
}

async function pool() {
    const pool = new Pool({ max: 5 });
    const results = await Promise.all([...Array(50).keys()].map((n) => pool.query("SELECT $1::int AS n", [n])));
    assert.deepEqual(results.map((result) => result.rows[0].n), [...Array(50).keys()]);
    await pool.end();
}

async function main() {
    const client = await connect();
    await statements(client);
    await transactions(client);
    await copy(client);
    await cancel(client);
    await client.query("DROP TABLE node_postgres");
    await client.end();
    await startupSettings();
    await pool();
    console.log("ok");
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
