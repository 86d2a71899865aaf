// pgx 4 as it comes: it prepares every statement by name, describes it and keeps it in a cache; with its pool. Also with the
// cache that only describes, and without. Connects as the PG… variables say.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgconn/stmtcache"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var ctx = context.Background()

func main() {
	db, other := connect(""), connect("")
	statements(db)
	prepared(db, other)
	batches(db)
	transactions(db)
	copies(db)
	preparedOutliveDDL(db, other)
	cancels(db)
	execute(db, "DROP TABLE pgx")
	closed(db)
	closed(other)
	preparedByTwo()
	otherModes()
	startupSettings()
	listen()
	pool()
	fmt.Println("ok")
}

// connect takes more words of a libpq connection string, which may be settings.
func connect(more string, change ...func(*pgx.ConnConfig)) *pgx.Conn {
	config, err := pgx.ParseConfig(more)
	must(err)
	for _, change := range change {
		change(config)
	}
	db, err := pgx.ConnectConfig(ctx, config)
	must(err)
	return db
}

func closed(db *pgx.Conn) { must(db.Close(ctx)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(got, expected interface{}) {
	if got != expected {
		panic(fmt.Sprintf("got %v, expected %v", got, expected))
	}
}

func fails(code string, err error) *pgconn.PgError {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != code {
		panic(fmt.Sprintf("got %v, expected %s", err, code))
	}
	return refused
}

type querier interface {
	QueryRow(ctx context.Context, sql string, arguments ...interface{}) pgx.Row
	Exec(ctx context.Context, sql string, arguments ...interface{}) (pgconn.CommandTag, error)
}

func execute(db querier, sql string, arguments ...interface{}) {
	_, err := db.Exec(ctx, sql, arguments...)
	must(err)
}

func text(db querier, sql string, arguments ...interface{}) (value string) {
	must(db.QueryRow(ctx, sql, arguments...).Scan(&value))
	return
}

func number(db querier, sql string, arguments ...interface{}) (value int) {
	must(db.QueryRow(ctx, sql, arguments...).Scan(&value))
	return
}

func statements(db *pgx.Conn) {
	execute(db, "SELECT 1; SELECT 2")
	same(number(db, "SELECT $1::int + $2::int", 40, 2), 42)
	var bytes []byte
	var many []string
	must(db.QueryRow(ctx, "SELECT $1::bytea, $2::text[]", []byte{0, 255}, []string{"käse", "b"}).Scan(&bytes, &many))
	same(string(bytes), "\x00\xff")
	same(strings.Join(many, " "), "käse b")
	big := strings.Repeat("x", 3_000_000)
	same(text(db, "SELECT $1::text", big), big)
}

// Prepared once, by hand and by the cache; used in and out of transactions, by two in turn, and behind errors.
func prepared(db, other *pgx.Conn) {
	for at, each := range []*pgx.Conn{db, other} {
		_, err := each.Prepare(ctx, "half", fmt.Sprintf("SELECT %d / $1::int", 10+10*at))
		must(err)
	}
	var ignored int
	for n := 1; n < 20; n++ {
		same(number(db, "half", n), 10/n)
		same(number(other, "half", n), 20/n)
		same(number(db, "SELECT $1::int + 1", n), n+1)
		same(number(other, "SELECT $1::int + 1", n), n+1)
		fails("22012", db.QueryRow(ctx, "half", 0).Scan(&ignored))
		must(db.BeginFunc(ctx, func(tx pgx.Tx) error {
			same(number(tx, "half", n), 10/n)
			return nil
		}))
	}
	must(db.Deallocate(ctx, "half"))
	same(number(other, "half", 1), 20)
	_, err := db.Prepare(ctx, "half", "SELECT 30 / $1::int")
	must(err)
	same(number(db, "half", 1), 30)
	_, err = db.Prepare(ctx, "broken", "SELECT nothing FROM nowhere WHERE 1 = $1")
	fails("42P01", err)
}

// Everything in one go: Parse and Describe for what is new, then all of Bind and Execute before one Sync.
func batches(db *pgx.Conn) {
	batch := &pgx.Batch{}
	for n := 0; n < 200; n++ {
		batch.Queue(fmt.Sprintf("SELECT $1::int + %d", n%5), n)
	}
	results := db.SendBatch(ctx, batch)
	for n := 0; n < 200; n++ {
		var sum int
		must(results.QueryRow().Scan(&sum))
		same(sum, n+n%5)
	}
	must(results.Close())
	for round := 0; round < 3; round++ {
		batch = &pgx.Batch{}
		batch.Queue("SELECT 100 / $1::int", 1)
		batch.Queue("SELECT 200 / $1::int", 0)
		batch.Queue("SELECT 300 / $1::int", 1)
		results = db.SendBatch(ctx, batch)
		var first int
		must(results.QueryRow().Scan(&first))
		same(first, 100)
		fails("22012", results.QueryRow().Scan(&first))
		if results.QueryRow().Scan(&first) == nil {
			panic("what stands behind an error is skipped")
		}
		_ = results.Close()
		same(number(db, "SELECT 300 / $1::int", 3), 100)
	}
}

func transactions(db *pgx.Conn) {
	execute(db, "CREATE TABLE pgx (id int PRIMARY KEY, text text)")
	must(db.BeginFunc(ctx, func(tx pgx.Tx) error {
		execute(tx, "INSERT INTO pgx VALUES ($1, $2)", 1, "kept")
		twice := tx.BeginFunc(ctx, func(savepoint pgx.Tx) error {
			_, err := savepoint.Exec(ctx, "INSERT INTO pgx VALUES ($1, $2)", 1, "twice")
			return err
		})
		same(fails("23505", twice).ConstraintName, "pgx_pkey")
		return nil
	}))
	rollBack := errors.New("roll back")
	same(db.BeginFunc(ctx, func(tx pgx.Tx) error {
		execute(tx, "DELETE FROM pgx WHERE id > $1", 0)
		return rollBack
	}), rollBack)
	options := pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable}
	must(db.BeginTxFunc(ctx, options, func(tx pgx.Tx) error {
		same(text(tx, "SHOW transaction_isolation"), "serializable")
		return nil
	}))
	same(text(db, "SHOW transaction_isolation"), "read committed")
	same(number(db, "SELECT count(*) FROM pgx"), 1)
}

func copies(db *pgx.Conn) {
	rows := make([][]interface{}, 20_000)
	for at := range rows {
		rows[at] = []interface{}{1000 + at, fmt.Sprintf("row %d", at)}
	}
	count, err := db.CopyFrom(ctx, pgx.Identifier{"pgx"}, []string{"id", "text"}, pgx.CopyFromRows(rows))
	must(err)
	same(count, int64(20_000))
	_, err = db.CopyFrom(ctx, pgx.Identifier{"pgx"}, []string{"id", "text"}, pgx.CopyFromRows(rows[:1]))
	fails("23505", err)
	var out strings.Builder
	_, err = db.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM pgx WHERE id >= 1000 ORDER BY id) TO STDOUT")
	must(err)
	same(strings.Count(out.String(), "\n"), 20_000)
}

// The driver's cache drops a statement whose result type has changed: the error is passed on once.
func preparedOutliveDDL(db, other *pgx.Conn) {
	execute(db, "CREATE TABLE pgx_ddl AS SELECT 1 AS id")
	columns := func() (int, error) {
		rows, err := db.Query(ctx, "SELECT * FROM pgx_ddl WHERE id = $1", 1)
		must(err)
		defer rows.Close()
		for rows.Next() {
		}
		return len(rows.FieldDescriptions()), rows.Err()
	}
	count, err := columns()
	must(err)
	same(count, 1)
	execute(other, "ALTER TABLE pgx_ddl ADD COLUMN more int")
	_, err = columns()
	fails("0A000", err)
	count, err = columns()
	must(err)
	same(count, 2)
	execute(db, "DROP TABLE pgx_ddl")
}

// A context that ends closes pgx' connection; a cancel request does not.
func cancels(db *pgx.Conn) {
	time.AfterFunc(300*time.Millisecond, func() { must(db.PgConn().CancelRequest(ctx)) })
	_, err := db.Exec(ctx, "SELECT pg_sleep(60)")
	fails("57014", err)
	same(text(db, "SELECT 'lives on'"), "lives on")
	_, err = db.Exec(ctx, "SELECT nothing FROM nowhere")
	same(fails("42P01", err).Position, int32(21))
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	leaves := connect("")
	if _, err := leaves.Exec(short, "SELECT pg_sleep(60)"); err == nil {
		panic("was not cancelled")
	}
	same(number(db, "SELECT $1::int", 1), 1)
}

// The same text under other settings is another statement.
func preparedByTwo() {
	home := connect("")
	for _, name := range []string{"here", "there"} {
		execute(home, "CREATE SCHEMA pgx_"+name)
		execute(home, "CREATE TABLE pgx_"+name+".place AS SELECT '"+name+"' AS name")
	}
	here := connect("search_path=pgx_here timezone=Asia/Tokyo")
	there := connect("search_path=pgx_there timezone=America/New_York")
	place := "SELECT name FROM place WHERE name <> $1"
	for round := 0; round < 5; round++ {
		for at, db := range []*pgx.Conn{here, there} {
			same(text(db, place, ""), []string{"here", "there"}[at])
			when := text(db, "SELECT ($1::text || '-07-02 00:00+00')::timestamptz::text", "2026")
			same(strings.Contains(when, []string{" 09:", " 20:"}[at]), true)
		}
	}
	execute(here, "SET search_path = pgx_there")
	same(text(here, place, ""), "there")
	execute(here, "RESET search_path")
	same(text(here, place, ""), "here")
	same(text(there, place, ""), "there")
	execute(home, "DROP SCHEMA pgx_here, pgx_there CASCADE")
	for _, db := range []*pgx.Conn{home, here, there} {
		closed(db)
	}
}

// The cache that only describes (each Parse is of the unnamed statement), no cache, and the simple protocol, by turns.
func otherModes() {
	describing := connect("", func(config *pgx.ConnConfig) {
		config.BuildStatementCache = func(conn *pgconn.PgConn) stmtcache.Cache {
			return stmtcache.New(conn, stmtcache.ModeDescribe, 10)
		}
	})
	uncached := connect("", func(config *pgx.ConnConfig) { config.BuildStatementCache = nil })
	simple := connect("", func(config *pgx.ConnConfig) { config.PreferSimpleProtocol = true })
	tiny := connect("statement_cache_capacity=2")
	for n := 0; n < 10; n++ {
		for _, db := range []*pgx.Conn{describing, uncached, simple, tiny} {
			same(number(db, fmt.Sprintf("SELECT $1::int + %d", n%4), n), n+n%4)
		}
	}
	for _, db := range []*pgx.Conn{describing, uncached, simple, tiny} {
		closed(db)
	}
}

// Each client has its own settings, whatever server it meets.
func startupSettings() {
	first := connect("application_name=first statement_timeout=12000 work_mem=7MB app.tenant=4711")
	second := connect("application_name=second")
	for round := 0; round < 3; round++ {
		for name, values := range map[string][2]string{
			"application_name": {"first", "second"}, "statement_timeout": {"12s", "0"}, "work_mem": {"7MB", "4MB"},
		} {
			same(text(first, "SELECT current_setting($1)", name), values[0])
			same(text(second, "SELECT current_setting($1)", name), values[1])
		}
		same(text(first, "SHOW app.tenant"), "4711")
		same(text(second, "SELECT coalesce(current_setting('app.tenant', true), '')"), "")
	}
	execute(first, "SET TimeZone = 'Asia/Tokyo'")
	execute(second, "SELECT 1")
	same(first.PgConn().ParameterStatus("TimeZone"), "Asia/Tokyo")
	same(second.PgConn().ParameterStatus("TimeZone") != "Asia/Tokyo", true)
	closed(first)
	closed(second)
}

func listen() {
	one, other, speaker := connect(""), connect(""), connect("")
	execute(one, "LISTEN pgx")
	execute(other, "LISTEN pgx")
	for n := 0; n < 5; n++ {
		execute(speaker, "SELECT pg_notify('pgx', $1)", fmt.Sprint(n))
	}
	patience, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, db := range []*pgx.Conn{one, other} {
		for n := 0; n < 5; n++ {
			heard, err := db.WaitForNotification(patience)
			must(err)
			same(heard.Payload, fmt.Sprint(n))
		}
	}
	execute(one, "NOTIFY pgx, 'my own'")
	heard, err := one.WaitForNotification(patience)
	must(err)
	same(heard.Payload, "my own")
	// In session mode what a client notifies itself carries the number of its server's process.
	if os.Getenv("POOL_MODE") != "session" {
		same(heard.PID, one.PgConn().PID())
	}
	for _, db := range []*pgx.Conn{one, other, speaker} {
		closed(db)
	}
}

func pool() {
	config, err := pgxpool.ParseConfig("pool_max_conns=4 search_path=pg_catalog")
	must(err)
	pool, err := pgxpool.ConnectConfig(ctx, config)
	must(err)
	done := make(chan int)
	for n := 0; n < 100; n++ {
		go func(n int) {
			var sum int
			must(pool.BeginFunc(ctx, func(tx pgx.Tx) error {
				return tx.QueryRow(ctx, "SELECT $1::int + 1", n).Scan(&sum)
			}))
			done <- sum - n
		}(n)
	}
	for n := 0; n < 100; n++ {
		same(<-done, 1)
	}
	pool.Close()
}
