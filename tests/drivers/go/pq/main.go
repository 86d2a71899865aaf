// lib/pq under database/sql: every statement with parameters is described unnamed and then bound, prepared ones are named; settings
// go into the startup message. Connects as the PG… variables say.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"
)

func main() {
	one, other := open(""), open("")
	statements(one)
	prepared(one, other)
	transactions(one)
	copies(one)
	cancels(one)
	execute(one, "DROP TABLE pq")
	must(one.Close())
	must(other.Close())
	preparedByTwo()
	startupSettings()
	listen()
	pool()
	fmt.Println("ok")
}

// open makes a pool of a single connection.
func open(more string) *sql.DB {
	db, err := sql.Open("postgres", "sslmode=disable "+more)
	must(err)
	db.SetMaxOpenConns(1)
	return db
}

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

func fails(code string, err error) *pq.Error {
	var refused *pq.Error
	if !errors.As(err, &refused) || string(refused.Code) != code {
		panic(fmt.Sprintf("got %v, expected %s", err, code))
	}
	return refused
}

type querier interface {
	QueryRow(sql string, arguments ...interface{}) *sql.Row
	Exec(sql string, arguments ...interface{}) (sql.Result, error)
}

func execute(db querier, sql string, arguments ...interface{}) {
	_, err := db.Exec(sql, arguments...)
	must(err)
}

func text(db querier, sql string, arguments ...interface{}) (value string) {
	must(db.QueryRow(sql, arguments...).Scan(&value))
	return
}

func number(row *sql.Row) (value int) {
	must(row.Scan(&value))
	return
}

func statements(db *sql.DB) {
	execute(db, "SELECT 1; SELECT 2")
	same(number(db.QueryRow("SELECT $1::int + $2::int", 40, 2)), 42)
	same(text(db, "SELECT $1::bytea", []byte{0, 255}), "\x00\xff")
	same(text(db, "SELECT array_to_string($1::text[], ' ')", pq.Array([]string{"käse", "b"})), "käse b")
	big := strings.Repeat("x", 3_000_000)
	same(text(db, "SELECT $1::text", big), big)
	rows, err := db.Query("SELECT generate_series(1, 100); SELECT 'second'")
	must(err)
	for rows.Next() {
	}
	same(rows.NextResultSet(), true)
	must(rows.Close())
}

// Prepared once; used in and out of transactions, by two in turn, and behind errors; closed by name.
func prepared(one, other *sql.DB) {
	mine, err := one.Prepare("SELECT 10 / $1::int")
	must(err)
	theirs, err := other.Prepare("SELECT 20 / $1::int")
	must(err)
	var ignored int
	for n := 1; n < 20; n++ {
		same(number(mine.QueryRow(n)), 10/n)
		same(number(theirs.QueryRow(n)), 20/n)
		same(number(one.QueryRow("SELECT $1::int + 1", n)), n+1)
		fails("22012", mine.QueryRow(0).Scan(&ignored))
		tx, err := one.Begin()
		must(err)
		same(number(tx.Stmt(mine).QueryRow(n)), 10/n)
		fails("22012", tx.Stmt(mine).QueryRow(0).Scan(&ignored))
		fails("25P02", tx.QueryRow("SELECT 1").Scan(&ignored))
		must(tx.Rollback())
	}
	must(mine.Close())
	same(number(theirs.QueryRow(1)), 20)
	must(theirs.Close())
	_, err = one.Prepare("SELECT nothing FROM nowhere WHERE 1 = $1")
	fails("42P01", err)
	// In one round trip, with the parameters as binary.
	binary := open("binary_parameters=yes")
	for n := 0; n < 5; n++ {
		same(number(binary.QueryRow("SELECT $1::int + 1", n)), n+1)
		same(number(one.QueryRow("SELECT $1::int + 1", n)), n+1)
	}
	must(binary.Close())
}

func transactions(db *sql.DB) {
	execute(db, "CREATE TABLE pq (id int PRIMARY KEY, text text)")
	execute(db, "INSERT INTO pq VALUES ($1, $2)", 1, "kept")
	_, err := db.Exec("INSERT INTO pq VALUES ($1, $2)", 1, "twice")
	same(fails("23505", err).Constraint, "pq_pkey")
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	must(err)
	same(text(tx, "SHOW transaction_isolation"), "serializable")
	_, err = tx.Exec("DELETE FROM pq")
	fails("25006", err)
	must(tx.Rollback())
	same(text(db, "SHOW transaction_isolation"), "read committed")
	same(number(db.QueryRow("SELECT count(*) FROM pq")), 1)
}

// COPY as a prepared statement, inside of a transaction.
func copies(db *sql.DB) {
	into := func(from, count int) error {
		tx, err := db.Begin()
		must(err)
		copy, err := tx.Prepare(pq.CopyIn("pq", "id", "text"))
		must(err)
		for id := from; id < from+count; id++ {
			_, err = copy.Exec(id, fmt.Sprintf("row %d", id))
			must(err)
		}
		if _, err = copy.Exec(); err != nil {
			must(tx.Rollback())
			return err
		}
		must(copy.Close())
		return tx.Commit()
	}
	must(into(1000, 20_000))
	fails("23505", into(1, 1))
	same(number(db.QueryRow("SELECT count(*) FROM pq WHERE text = 'row ' || id")), 20_000)
}

// A context that ends sends a CancelRequest.
func cancels(db *sql.DB) {
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(short, "SELECT pg_sleep(60)"); err == nil {
		panic("was not cancelled")
	}
	same(text(db, "SELECT 'lives on'"), "lives on")
	_, err := db.Exec("SELECT nothing FROM nowhere")
	same(fails("42P01", err).Position, "21")
}

// The same text under other settings is another statement.
func preparedByTwo() {
	home := open("")
	for _, name := range []string{"here", "there"} {
		execute(home, "CREATE SCHEMA pq_"+name)
		execute(home, "CREATE TABLE pq_"+name+".place AS SELECT '"+name+"' AS name")
	}
	here, there := open("search_path=pq_here timezone=Asia/Tokyo"), open("search_path=pq_there timezone=America/New_York")
	place, when := "SELECT name FROM place WHERE name <> $1", "SELECT ($1 || '-07-02 00:00+00')::timestamptz::text"
	name := func(statement *sql.Stmt) (name string) {
		must(statement.QueryRow("").Scan(&name))
		return
	}
	statements := make([]*sql.Stmt, 2)
	for at, db := range []*sql.DB{here, there} {
		var err error
		statements[at], err = db.Prepare(place)
		must(err)
	}
	for round := 0; round < 5; round++ {
		for at, db := range []*sql.DB{here, there} {
			same(name(statements[at]), []string{"here", "there"}[at])
			same(strings.Contains(text(db, when, "2026"), []string{" 09:", " 20:"}[at]), true)
			same(text(home, "SHOW search_path"), `"$user", public`)
		}
	}
	execute(here, "SET search_path = pq_there")
	same(text(here, place, ""), "there")
	same(text(there, place, ""), "there")
	execute(here, "RESET search_path")
	same(text(here, place, ""), "here")
	execute(home, "DROP SCHEMA pq_here, pq_there CASCADE")
	for _, db := range []*sql.DB{home, here, there} {
		must(db.Close())
	}
}

// Each client has its own settings, whatever server it meets. The driver itself sends extra_float_digits and DateStyle.
func startupSettings() {
	first := open("application_name=first statement_timeout=12000 work_mem=7MB options='-c app.tenant=4711'")
	second := open("application_name=second")
	for round := 0; round < 3; round++ {
		for name, values := range map[string][2]string{
			"application_name": {"first", "second"}, "statement_timeout": {"12s", "0"}, "work_mem": {"7MB", "4MB"},
			"extra_float_digits": {"2", "2"},
		} {
			same(text(first, "SELECT current_setting($1)", name), values[0])
			same(text(second, "SELECT current_setting($1)", name), values[1])
		}
		same(text(first, "SHOW app.tenant"), "4711")
		same(text(second, "SELECT coalesce(current_setting('app.tenant', true), '')"), "")
	}
	execute(second, "SET TimeZone = 'Asia/Tokyo'")
	same(text(first, "SHOW TimeZone") != "Asia/Tokyo", true)
	same(text(second, "SHOW TimeZone"), "Asia/Tokyo")
	must(first.Close())
	must(second.Close())
}

// The driver's listener, which has a connection of its own and pings it.
func listen() {
	listener := pq.NewListener("sslmode=disable", time.Second, time.Minute, func(_ pq.ListenerEventType, err error) { must(err) })
	must(listener.Listen("pq"))
	must(listener.Listen("pq other"))
	must(listener.Ping())
	speaker := open("")
	hear := func(expected string) {
		select {
		case heard := <-listener.Notify:
			same(heard.Extra, expected)
		case <-time.After(20 * time.Second):
			panic("heard nothing")
		}
	}
	for n := 0; n < 5; n++ {
		execute(speaker, "SELECT pg_notify('pq', $1)", fmt.Sprint(n))
		hear(fmt.Sprint(n))
	}
	must(listener.Unlisten("pq"))
	execute(speaker, "NOTIFY pq, 'to nobody'")
	execute(speaker, "NOTIFY \"pq other\", 'last'")
	hear("last")
	must(listener.Close())
	must(speaker.Close())
}

func pool() {
	db := open("search_path=pg_catalog")
	db.SetMaxOpenConns(4)
	statement, err := db.Prepare("SELECT $1::int + 1")
	must(err)
	done := make(chan int)
	for n := 0; n < 100; n++ {
		go func(n int) { done <- number(statement.QueryRow(n)) - n }(n)
	}
	for n := 0; n < 100; n++ {
		same(<-done, 1)
	}
	must(statement.Close())
	must(db.Close())
}
