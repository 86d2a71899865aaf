"""psycopg 3 and psycopg2 with every sslmode against the server that the PG… variables name. A line for each mode: in over
TLS, in without, or what the driver said. With a CancelRequest where libpq sends it inside TLS."""

import os
import sys
import threading


def with_psycopg3(mode):
    import psycopg

    with psycopg.connect(sslmode=mode, prepare_threshold=None, autocommit=True) as db:
        assert db.execute("SELECT %s::int + 1", (41,)).fetchone() == (42,)
        is_cancelled(db.cancel_safe, lambda: db.execute("SELECT pg_sleep(60)"), psycopg.errors.QueryCanceled)
        assert db.execute("SELECT 'lives on'").fetchone() == ("lives on",)
        return bool(db.pgconn.ssl_in_use)


def with_psycopg2(mode):
    import psycopg2

    db = psycopg2.connect("", sslmode=mode)
    db.autocommit = True
    cursor = db.cursor()
    cursor.execute("SELECT %s + 1", (41,))
    assert cursor.fetchone() == (42,)
    is_cancelled(db.cancel, lambda: cursor.execute("SELECT pg_sleep(60)"), psycopg2.errors.QueryCanceled)
    cursor.execute("SELECT 'lives on'")
    assert cursor.fetchone() == ("lives on",)
    in_use = db.info.ssl_in_use
    db.close()
    return in_use


def is_cancelled(cancel, statement, expected):
    over, failed = threading.Event(), []

    def again():
        # The first may come before the statement.
        while not over.wait(0.05):
            try:
                cancel()
            except Exception as error:
                failed.append(error)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        statement()
        raise AssertionError("was not cancelled")
    except expected:
        pass
    finally:
        over.set()
        thread.join()
    assert not failed, failed


visit = {"psycopg3": with_psycopg3, "psycopg2": with_psycopg2}[os.environ["DRIVER"]]
for mode in sys.argv[1:]:
    try:
        print(mode, "tls" if visit(mode) else "plain", flush=True)
    except AssertionError:
        raise
    except Exception as error:  # OperationalError, of either driver
        print(mode, "refused", str(error).replace("\n", " "), flush=True)
