"""SQLAlchemy on psycopg2 and on psycopg 3, with its pool, which rolls back what comes back to it. Connects as the PG… variables
say."""

import sqlalchemy as sa
from sqlalchemy import orm


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "sqlalchemy_author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    mood: orm.Mapped[str] = orm.mapped_column(sa.Enum("sad", "glad", name="sqlalchemy_mood"))
    books: orm.Mapped[list["Book"]] = orm.relationship(cascade="all, delete-orphan", order_by="Book.id")


class Book(Base):
    __tablename__ = "sqlalchemy_book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Author.id))


def engine(driver, **more):
    return sa.create_engine(f"postgresql+{driver}://", **{"pool_size": 2, "max_overflow": 0, **more})


def scalar(db, sql, **parameters):
    return db.execute(sa.text(sql), parameters).scalar()


def objects(driver):
    """Serial keys come back by RETURNING; the session flushes many rows at once."""
    own = engine(driver)
    Base.metadata.create_all(own)
    with orm.Session(own) as session:
        for number in range(30):
            books = [Book(title=f"book {number} {book}") for book in range(3)]
            session.add(Author(name=f"author {number}", mood="glad", books=books))
        session.commit()
    with orm.Session(own) as session:
        authors = session.scalars(sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)).all()
        assert [author.name for author in authors] == [f"author {number}" for number in range(30)]
        assert [book.title for book in authors[7].books] == ["book 7 0", "book 7 1", "book 7 2"]
        try:
            with session.begin_nested():
                session.execute(sa.insert(Author).values(id=authors[0].id, name="twice", mood="sad"))
            raise AssertionError("a duplicate key was taken")
        except sa.exc.IntegrityError:
            pass
        session.delete(authors[3])
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 87
    with own.connect().execution_options(stream_results=True, max_row_buffer=10) as db:
        assert len(db.execute(sa.select(Book.id)).all()) == 87
    inspector = sa.inspect(own)
    assert inspector.get_foreign_keys("sqlalchemy_book")[0]["referred_table"] == "sqlalchemy_author"
    Base.metadata.drop_all(own)
    own.dispose()


def reset_on_return(driver):
    """What was not committed is rolled back, settings too; what was committed is the connection's, not the server's."""
    own = engine(driver, pool_size=2)
    with own.connect() as one, own.connect() as other:
        scalar(one, "SELECT set_config('work_mem', '8MB', false)")
        assert scalar(one, "SHOW work_mem") == "8MB"
        one.rollback()
        assert scalar(one, "SHOW work_mem") == "4MB"
        scalar(one, "SELECT set_config('work_mem', '9MB', false)")
        one.commit()
        assert scalar(other, "SHOW work_mem") == "4MB"
        other.commit()
        assert scalar(one, "SHOW work_mem") == "9MB"
    own.dispose()
    with own.connect() as one:
        assert scalar(one, "SHOW work_mem") == "4MB"
    own.dispose()


def settings(driver):
    """As the manual of SQLAlchemy has it: at startup by options, and by SET in an event of every new connection."""
    home = engine(driver)
    with home.begin() as db:
        for name in ("here", "there"):
            db.execute(sa.text(f"CREATE SCHEMA sqlalchemy_{name}"))
            db.execute(sa.text(f"CREATE TABLE sqlalchemy_{name}.place AS SELECT '{name}' AS name"))
    arguments = {"options": "-c search_path=sqlalchemy_here -c TimeZone=Asia/Tokyo -c statement_timeout=5000"}
    here = engine(driver, connect_args=arguments)
    there = engine(driver, isolation_level="REPEATABLE READ")

    @sa.event.listens_for(there, "connect", insert=True)
    def set_search_path(connection, _record):
        autocommit, connection.autocommit = connection.autocommit, True
        cursor = connection.cursor()
        cursor.execute("SET SESSION search_path='sqlalchemy_there'")
        cursor.close()
        connection.autocommit = autocommit

    for number in range(8):
        for own, name, isolation in ((here, "here", "read committed"), (there, "there", "repeatable read")):
            with own.begin() as db:
                assert scalar(db, "SELECT name FROM place WHERE :number >= 0", number=number) == name
                assert scalar(db, "SHOW transaction_isolation") == isolation
                assert (scalar(db, "SHOW TimeZone") == "Asia/Tokyo") == (name == "here")
                assert scalar(db, "SHOW statement_timeout") == ("5s" if name == "here" else "0")
    with here.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        assert scalar(db, "SELECT name FROM place") == "here"
    with here.connect().execution_options(isolation_level="SERIALIZABLE") as db:
        assert scalar(db, "SHOW transaction_isolation") == "serializable"
    with home.begin() as db:
        db.execute(sa.text("DROP SCHEMA sqlalchemy_here, sqlalchemy_there CASCADE"))
    for own in (home, here, there):
        own.dispose()


def pre_ping(driver):
    """A pool that asks before it lends, and connections by turns."""
    own = engine(driver, pool_pre_ping=True, pool_recycle=3600, pool_use_lifo=True)
    for number in range(20):
        with own.connect() as db:
            assert scalar(db, "SELECT CAST(:number AS int) + 1", number=number) == number + 1
    own.dispose()


for driver in ("psycopg2", "psycopg"):
    objects(driver)
    reset_on_return(driver)
    settings(driver)
    pre_ping(driver)
print("ok")
