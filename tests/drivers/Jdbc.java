// JDBC (PgJDBC): startup settings of its own (extra_float_digits, DateStyle, TimeZone), statements that it names from the first
// execution on (prepareThreshold=1), portals read in pieces, read-only connections. Connects as the PG… variables say.

import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        try (Connection db = connect(); Connection other = connect()) {
            statements(db);
            prepared(db, other);
            preparedOutliveDdl(db, other);
            transactions(db);
            readOnly(db, other);
            fetchSize(db);
            copy(db);
            timeouts(db);
            execute(db, "DROP TABLE jdbc");
        }
        preparedByTwo();
        autosave();
        startupSettings();
        listen();
        simpleProtocol();
        System.out.println("ok");
    }

    static Connection connect(String... more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("prepareThreshold", "1");
        for (int at = 0; at < more.length; at += 2) properties.setProperty(more[at], more[at + 1]);
        String where = System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        return DriverManager.getConnection("jdbc:postgresql://" + where, properties);
    }

    static void execute(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement()) {
            statement.execute(sql);
        }
    }

    static String value(Connection db, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement(sql)) {
            for (int at = 0; at < parameters.length; at++) statement.setObject(at + 1, parameters[at]);
            try (ResultSet rows = statement.executeQuery()) {
                check(rows.next(), "a row");
                return rows.getString(1);
            }
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void same(Object got, Object expected) {
        if (!expected.equals(got)) throw new AssertionError("got " + got + ", expected " + expected);
    }

    interface Action {
        void run() throws SQLException;
    }

    static void fails(String state, Action action) {
        try {
            action.run();
        } catch (SQLException error) {
            if (!state.equals(error.getSQLState())) throw new AssertionError("not " + state, error);
            return;
        }
        throw new AssertionError("no error " + state);
    }

    static void statements(Connection db) throws SQLException {
        same(value(db, "SELECT ?::int + ?", 40, 2), "42");
        byte[] bytes = {0, (byte) 255};
        try (PreparedStatement statement = db.prepareStatement("SELECT ?::bytea, 0.1::float8, ?::text[]")) {
            statement.setBytes(1, bytes);
            statement.setArray(2, db.createArrayOf("text", new String[] {"käse", null}));
            ResultSet rows = statement.executeQuery();
            rows.next();
            check(Arrays.equals(rows.getBytes(1), bytes), "bytes");
            same(rows.getString(2), "0.1");
            same(Arrays.asList((String[]) rows.getArray(3).getArray()), Arrays.asList("käse", null));
        }
        String big = "x".repeat(3_000_000);
        same(value(db, "SELECT ?::text", big), big);
        try (Statement several = db.createStatement()) {
            check(several.execute("SELECT 1; SELECT 2"), "rows");
            check(several.getMoreResults(), "more rows");
            several.getResultSet().next();
            same(several.getResultSet().getInt(1), 2);
        }
        same(db.getMetaData().getDatabaseMajorVersion() >= 15, true);
        check(db.getMetaData().getTables(null, "pg_catalog", "pg_class", null).next(), "metadata");
    }

    /** One statement object each, executed over many transactions, by turns, and behind errors. */
    static void prepared(Connection db, Connection other) throws SQLException {
        try (PreparedStatement mine = db.prepareStatement("SELECT 10 / ?::int");
                PreparedStatement theirs = other.prepareStatement("SELECT 20 / ?::int")) {
            for (int number = 1; number < 20; number++) {
                same(divide(mine, number), 10 / number);
                same(divide(theirs, number), 20 / number);
                fails("22012", () -> divide(mine, 0));
                db.setAutoCommit(false);
                same(divide(mine, number), 10 / number);
                fails("22012", () -> divide(mine, 0));
                fails("25P02", () -> divide(mine, 1));
                db.rollback();
                same(divide(mine, number), 10 / number);
                db.commit();
                db.setAutoCommit(true);
            }
        }
        // More than the driver keeps: it closes the oldest.
        try (Connection small = connect("preparedStatementCacheQueries", "3")) {
            for (int round = 0; round < 3; round++) {
                for (int number = 0; number < 10; number++) same(value(small, "SELECT " + number + " + ?", 1), "" + (number + 1));
            }
        }
        fails("42P01", () -> value(db, "SELECT nothing FROM nowhere WHERE 1 = ?", 1));
    }

    static int divide(PreparedStatement statement, int by) throws SQLException {
        statement.setInt(1, by);
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            return rows.getInt(1);
        }
    }

    /** The same text under other settings is another statement. */
    static void preparedByTwo() throws SQLException {
        try (Connection home = connect();
                Connection here = connect("currentSchema", "jdbc_here", "options", "-c IntervalStyle=iso_8601");
                Connection there = connect("currentSchema", "jdbc_there,public")) {
            for (String name : new String[] {"here", "there"}) {
                execute(home, "CREATE SCHEMA jdbc_" + name + "; CREATE TABLE jdbc_" + name + ".place AS SELECT '" + name + "' AS name");
            }
            String place = "SELECT name FROM place WHERE name <> ?";
            for (int round = 0; round < 5; round++) {
                same(value(here, place, ""), "here");
                same(value(there, place, ""), "there");
                same(value(here, "SELECT (? || ' hours')::interval::text", "2"), "PT2H");
                same(value(there, "SELECT (? || ' hours')::interval::text", "2"), "02:00:00");
            }
            here.setSchema("jdbc_there");
            same(value(here, place, ""), "there");
            here.setSchema("jdbc_here");
            same(value(here, place, ""), "here");
            same(value(there, place, ""), "there");
            execute(home, "DROP SCHEMA jdbc_here, jdbc_there CASCADE");
        }
    }

    static void preparedOutliveDdl(Connection db, Connection other) throws SQLException {
        execute(db, "CREATE TABLE jdbc_ddl AS SELECT 1 AS id");
        try (PreparedStatement all = db.prepareStatement("SELECT * FROM jdbc_ddl WHERE id = ?")) {
            all.setInt(1, 1);
            all.executeQuery().close();
            all.executeQuery().close();
            execute(other, "ALTER TABLE jdbc_ddl ADD COLUMN more int");
            // Outside of a transaction the driver prepares again by itself.
            try (ResultSet rows = all.executeQuery()) {
                same(rows.getMetaData().getColumnCount(), 2);
            }
        }
        // DISCARD ALL and DEALLOCATE ALL: the driver sees the tag and prepares again.
        for (String forget : new String[] {"DEALLOCATE ALL", "DISCARD ALL"}) {
            same(value(db, "SELECT id FROM jdbc_ddl WHERE id = ?", 1), "1");
            execute(db, forget);
            same(value(db, "SELECT id FROM jdbc_ddl WHERE id = ?", 1), "1");
        }
        execute(db, "DROP TABLE jdbc_ddl");
    }

    static void transactions(Connection db) throws SQLException {
        execute(db, "CREATE TABLE jdbc (id serial PRIMARY KEY, text text)");
        db.setAutoCommit(false);
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO jdbc (text) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "kept");
            insert.executeUpdate();
            ResultSet keys = insert.getGeneratedKeys();
            keys.next();
            same(keys.getInt(1), 1);
        }
        Savepoint before = db.setSavepoint();
        fails("23505", () -> execute(db, "INSERT INTO jdbc VALUES (1, 'twice')"));
        db.rollback(before);
        db.commit();
        db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        same(value(db, "SHOW transaction_isolation"), "serializable");
        db.commit();
        db.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        db.setAutoCommit(true);
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO jdbc VALUES (?, 'batch')")) {
            for (int id = 1000; id < 2000; id++) {
                insert.setInt(1, id);
                insert.addBatch();
            }
            same(insert.executeBatch().length, 1000);
            for (int id = 1999; id < 2100; id++) {
                insert.setInt(1, id);
                insert.addBatch();
            }
            try {
                insert.executeBatch();
                throw new AssertionError("a duplicate key was taken");
            } catch (BatchUpdateException error) {
                same(error.getSQLState(), "23505");
            }
        }
        same(value(db, "SELECT count(*) FROM jdbc WHERE text = 'batch'"), "1000");
    }

    /** The driver sets it for the session, or by BEGIN READ ONLY, as readOnlyMode says. */
    static void readOnly(Connection db, Connection other) throws SQLException {
        for (String mode : new String[] {"transaction", "always"}) {
            try (Connection reader = connect("readOnlyMode", mode)) {
                reader.setReadOnly(true);
                for (boolean autoCommit : new boolean[] {false, true}) {
                    reader.setAutoCommit(autoCommit);
                    boolean refused = mode.equals("always") || !autoCommit;
                    same(value(reader, "SHOW transaction_read_only"), refused ? "on" : "off");
                    if (!autoCommit) reader.rollback();
                    if (refused) fails("25006", () -> execute(reader, "DELETE FROM jdbc"));
                    if (!autoCommit) reader.rollback();
                    same(value(other, "SHOW transaction_read_only"), "off");
                }
                reader.setReadOnly(false);
                same(value(reader, "SHOW transaction_read_only"), "off");
            }
        }
        try (Connection reader = connect("readOnly", "true", "readOnlyMode", "always")) {
            fails("25006", () -> execute(reader, "DELETE FROM jdbc"));
            execute(db, "DELETE FROM jdbc WHERE id = 1");
        }
    }

    static void fetchSize(Connection db) throws SQLException {
        db.setAutoCommit(false);
        try (PreparedStatement statement = db.prepareStatement("SELECT n, ?::text FROM generate_series(1, 1000) n");
                PreparedStatement inner = db.prepareStatement("SELECT ?::int")) {
            statement.setFetchSize(70);
            for (int round = 0; round < 3; round++) {
                statement.setString(1, "round " + round);
                int count = 0;
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next()) {
                        same(rows.getInt(1), ++count);
                        same(rows.getString(2), "round " + round);
                        if (count % 100 == 0) same(divide(inner, count), count);
                    }
                }
                same(count, 1000);
            }
            // A portal that is left before its end.
            ResultSet rows = statement.executeQuery();
            rows.next();
            rows.close();
        }
        db.commit();
        db.setAutoCommit(true);
    }

    static void copy(Connection db) throws Exception {
        String lines = IntStream.range(10_000, 30_000).mapToObj(id -> id + "\trow " + id + "\n").collect(Collectors.joining());
        var copy = db.unwrap(PGConnection.class).getCopyAPI();
        same(copy.copyIn("COPY jdbc FROM STDIN", new StringReader(lines)), 20_000L);
        StringWriter out = new StringWriter();
        copy.copyOut("COPY (SELECT * FROM jdbc WHERE id >= 10000 ORDER BY id) TO STDOUT", out);
        same(out.toString(), lines);
        var given = copy.copyIn("COPY jdbc FROM STDIN");
        byte[] line = "7\tlost\n".getBytes(StandardCharsets.UTF_8);
        given.writeToCopy(line, 0, line.length);
        given.cancelCopy();
        same(value(db, "SELECT count(*) FROM jdbc WHERE text = ?", "lost"), "0");
    }

    /** setQueryTimeout sends a CancelRequest. */
    static void timeouts(Connection db) throws SQLException {
        try (PreparedStatement sleep = db.prepareStatement("SELECT pg_sleep(?)")) {
            sleep.setQueryTimeout(1);
            sleep.setDouble(1, 60);
            fails("57014", sleep::executeQuery);
            sleep.setDouble(1, 0);
            sleep.executeQuery().close();
        }
        same(value(db, "SELECT 'lives on'"), "lives on");
    }

    /** The driver puts a savepoint in front of each statement, and heals a failed one. */
    static void autosave() throws SQLException {
        try (Connection db = connect("autosave", "always", "cleanupSavepoints", "true")) {
            execute(db, "CREATE TABLE jdbc_autosave AS SELECT 1 AS id");
            for (int round = 0; round < 3; round++) {
                db.setAutoCommit(false);
                same(value(db, "SELECT id FROM jdbc_autosave WHERE id = ?", 1), "1");
                fails("22012", () -> value(db, "SELECT 1 / ?::int", 0));
                same(value(db, "SELECT id FROM jdbc_autosave WHERE id = ?", 1), "1");
                db.commit();
                db.setAutoCommit(true);
                execute(db, "ALTER TABLE jdbc_autosave ADD COLUMN more" + round + " int");
            }
            execute(db, "DROP TABLE jdbc_autosave");
        }
    }

    static void startupSettings() throws SQLException {
        String options = "-c statement_timeout=12000 -c work_mem=7MB -c app.tenant=4711";
        try (Connection first = connect("ApplicationName", "first", "options", options); Connection second = connect()) {
            for (int round = 0; round < 3; round++) {
                same(value(first, "SHOW application_name"), "first");
                same(value(first, "SHOW statement_timeout"), "12s");
                same(value(first, "SHOW work_mem"), "7MB");
                same(value(first, "SHOW app.tenant"), "4711");
                same(value(first, "SHOW extra_float_digits"), "3");
                same(value(second, "SHOW application_name"), "PostgreSQL JDBC Driver");
                same(value(second, "SHOW statement_timeout"), "0");
                same(value(second, "SHOW work_mem"), "4MB");
                String tenant = value(second, "SELECT current_setting('app.tenant', true)");
                check(tenant == null || tenant.isEmpty(), "a leak");
            }
            first.setClientInfo("ApplicationName", "renamed");
            same(value(second, "SHOW application_name"), "PostgreSQL JDBC Driver");
            same(value(first, "SHOW application_name"), "renamed");
            execute(first, "SET TimeZone = 'Asia/Tokyo'");
            same(value(second, "SELECT 1"), "1");
            same(value(first, "SELECT '2026-07-01 00:00+00'::timestamptz::text"), "2026-07-01 09:00:00+09");
            same(first.unwrap(PGConnection.class).getParameterStatus("TimeZone"), "Asia/Tokyo");
            check(!"Asia/Tokyo".equals(second.unwrap(PGConnection.class).getParameterStatus("TimeZone")), "a leak");
        }
    }

    static void listen() throws SQLException {
        try (Connection one = connect(); Connection speaker = connect()) {
            execute(one, "LISTEN jdbc");
            for (int number = 0; number < 3; number++) value(speaker, "SELECT pg_notify('jdbc', ?)", "" + number);
            StringBuilder heard = new StringBuilder();
            for (long end = System.nanoTime() + 20_000_000_000L; heard.length() < 3 && System.nanoTime() < end; ) {
                PGNotification[] some = one.unwrap(PGConnection.class).getNotifications(100);
                for (PGNotification notification : some == null ? new PGNotification[0] : some) heard.append(notification.getParameter());
            }
            same(heard.toString(), "012");
            execute(one, "UNLISTEN *");
        }
    }

    static void simpleProtocol() throws SQLException {
        try (Connection db = connect("preferQueryMode", "simple"); Connection other = connect("preferQueryMode", "extended")) {
            for (int number = 0; number < 5; number++) {
                same(value(db, "SELECT ?::int + 1", number), "" + (number + 1));
                same(value(other, "SELECT ?::int + 1", number), "" + (number + 1));
            }
        }
    }
}
