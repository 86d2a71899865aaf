// Knex on node-postgres: its pool, its transactions, and its migrations, which lock by a row of a table of their own. Connects
// as the PG… variables say.
"use strict";
const assert = require("node:assert/strict");
const knex = require("knex");

const connection = {
    host: process.env.PGHOST,
    port: Number(process.env.PGPORT),
    user: process.env.PGUSER,
    password: process.env.PGPASSWORD,
    database: process.env.PGDATABASE,
};
const quiet = { warn() {}, error() {}, deprecate() {}, debug() {} };
const open = (more = {}) => knex({ client: "pg", connection, pool: { min: 1, max: 2 }, log: quiet, ...more });

// Each has a name, an up and a down.
const steps = [
    {
        name: "1_tables",
        up: async (db) => {
            await db.schema.createTable("author", (table) => {
                table.increments("id");
                table.string("name").notNullable();
            });
            await db.schema.createTable("book", (table) => {
                table.bigIncrements("id");
                table.integer("author_id").references("author.id").onDelete("CASCADE");
                table.jsonb("body");
            });
        },
        down: async (db) => {
            await db.schema.dropTable("book");
            await db.schema.dropTable("author");
        },
    },
    {
        name: "2_column",
        up: (db) => db.schema.alterTable("author", (table) => table.timestamp("born")),
        down: (db) => db.schema.alterTable("author", (table) => table.dropColumn("born")),
    },
    {
        name: "3_index_without_a_transaction",
        up: (db) => db.raw("CREATE INDEX CONCURRENTLY author_name ON author (name)"),
        down: (db) => db.raw("DROP INDEX CONCURRENTLY author_name"),
        config: { transaction: false },
    },
];
const fails = { name: "4_fails", up: (db) => db.schema.createTable("author", (table) => table.increments()), down: () => {} };

const source = (steps) => ({
    getMigrations: async () => steps,
    getMigrationName: (step) => step.name,
    getMigration: async (step) => step,
});

// Two schemas by searchPath: Knex sends SET search_path for each of its connections, and both have the same tables.
async function migrations(one, other) {
    for (const db of [one, other]) {
        const [, done] = await db.migrate.latest({ migrationSource: source(steps) });
        assert.deepEqual(done, steps.map((step) => step.name));
        const [, again] = await db.migrate.latest({ migrationSource: source(steps) });
        assert.deepEqual(again, []);
    }
    const failing = { migrationSource: source([...steps, fails]) };
    await assert.rejects(one.migrate.latest(failing), { code: "42P07" });
    assert.deepEqual((await one.migrate.list(failing))[1].map((step) => step.name), [fails.name]);
    // The lock that another migrator holds.
    await one("knex_migrations_lock").update({ is_locked: 1 });
    await assert.rejects(one.migrate.latest(failing), { name: "MigrationLocked" });
    await one.migrate.forceFreeMigrationsLock();
    // Both at once, down and up again.
    await Promise.all([one, other].map((db) => db.migrate.rollback({ migrationSource: source(steps) }, true)));
    assert.equal(await one.schema.hasTable("author"), false);
    await Promise.all([one, other].map((db) => db.migrate.latest({ migrationSource: source(steps) })));
    assert.equal(await other.schema.hasColumn("author", "born"), true);
}

async function queries(one, other) {
    for (const [db, name] of [[one, "of the one"], [other, "of the other"]]) {
        const [{ id }] = await db("author").insert({ name, born: new Date(0) }).returning("id");
        await db("book").insert([1, 2, 3].map((number) => ({ author_id: id, body: { number } })));
    }
    for (let round = 0; round < 5; round++) {
        for (const [db, name] of [[one, "of the one"], [other, "of the other"]]) {
            assert.deepEqual(await db("author").where({ name }).pluck("name"), [name]);
            const rows = await db("book").join("author", "author.id", "book.author_id").select("body", "name").orderBy("book.id");
            assert.deepEqual(rows.map((row) => row.body.number), [1, 2, 3]);
            const rolledBack = db.transaction(async (transaction) => {
                await transaction("book").delete();
                await assert.rejects(transaction.transaction((nested) => nested.raw("SELECT 1 / 0")), { code: "22012" });
                assert.equal((await transaction("book").count("*"))[0].count, "0");
                throw new Error("roll back");
            });
            await assert.rejects(rolledBack, /roll back/);
        }
    }
    await one.transaction(async (transaction) => {
        const rows = await transaction("author").forUpdate().skipLocked().select("id");
        assert.equal(rows.length, 1);
    }, { isolationLevel: "serializable" });
    let streamed = 0;
    for await (const row of one("book").select("id").stream({ batchSize: 2 })) streamed += row.id ? 1 : 0;
    assert.equal(streamed, 3);
    const counts = await Promise.all([...Array(40).keys()].map(() => one("book").count("*")));
    assert.ok(counts.every((rows) => rows[0].count === "3"));
}

// As the manual has it: a setting for each new connection in afterCreate.
async function settings() {
    const afterCreate = (client, done) => client.query("SET timezone = 'Asia/Tokyo'", (error) => done(error, client));
    const tokyo = open({ pool: { min: 1, max: 2, afterCreate } });
    const plain = open();
    for (let round = 0; round < 5; round++) {
        assert.equal((await tokyo.raw("SHOW timezone")).rows[0].TimeZone, "Asia/Tokyo");
        assert.notEqual((await plain.raw("SHOW timezone")).rows[0].TimeZone, "Asia/Tokyo");
    }
    await tokyo.destroy();
    await plain.destroy();
}

async function main() {
    const home = open();
    await home.raw("CREATE SCHEMA knex_one; CREATE SCHEMA knex_other");
    const [one, other] = [open({ searchPath: ["knex_one"] }), open({ searchPath: ["knex_other", "public"] })];
    await migrations(one, other);
    await queries(one, other);
    await one.destroy();
    await other.destroy();
    await settings();
    await home.raw("DROP SCHEMA knex_one, knex_other CASCADE");
    await home.destroy();
    console.log("ok");
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
