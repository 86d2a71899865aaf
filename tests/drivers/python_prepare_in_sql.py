"""PREPARE and EXECUTE as applications of psycopg2 write them, under the same names in two sessions. Connects as the PG… variables
say."""

import psycopg2
from psycopg2 import errors


def value(db, sql, parameters=None):
    with db.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


def is_unknown(db, sql):
    try:
        value(db, sql)
    except errors.InvalidSqlStatementName:
        db.rollback()
        return
    raise AssertionError("it is still there")


one, other = psycopg2.connect(""), psycopg2.connect("")
for db, factor in ((one, 2), (other, 3)):
    value(db, f"PREPARE times(int) AS SELECT $1 * {factor}; SELECT 1")
    db.commit()
for number in range(3):
    for db, factor in ((one, 2), (other, 3)):
        assert value(db, "EXECUTE times(%s)", (number,)) == number * factor
        db.commit()
value(one, "DEALLOCATE times; SELECT 1")
one.commit()
is_unknown(one, "EXECUTE times(1)")
assert value(other, "EXECUTE times(1)") == 3
other.commit()
# Who comes after them knows of none.
one.close()
other.close()
for _ in range(6):
    late = psycopg2.connect("")
    is_unknown(late, "EXECUTE times(1)")
    late.close()
print("ok")
