//! What writes where hardly anybody looks: behind a domain that is called like a function, an operator that the planner puts in the place of
//! another, one that a literal reaches without its type, and types that a view or a body does not say.

use super::assert_said;

const SETUP: &str = "
    create table audit (a int);
    create function writes(int) returns int language sql as 'insert into audit values ($1) returning 1';
    create table t (a int, b text, c int[], d date);
    create domain checked as int check (writes(value) = 1);
    create domain second as int check (writes(value) = 1);
    create function checked(text, int) returns int immutable language sql as 'select 1';
    create function checked(text) returns int immutable language sql as 'select 1';
    create domain lower as text check (writes(1) = 1);
    create domain harmless as int check (value > 0);
    create function harmless(text) returns int immutable language sql as 'select 1';
    create table holds (a checked);
    create table clean (a harmless);
    create function declares(int) returns int stable language plpgsql as
        'declare v holds.a%type; begin v := $1; return v; end';
    create function declares_clean(int) returns int stable language plpgsql as
        'declare v clean.a%type; begin v := $1; return v; end';
    create view unselected as select 1 as one from json_to_record('{\"a\": 5}') as x(a checked);
    create view from_xml as select 1 as one from xmltable('/r' passing xml '<r a=\"5\"/>' columns a checked path '@a');
    create view selected_clean as select 1 as one from json_to_record('{\"a\": 5}') as x(a harmless, b text);
    create function same(int, int) returns bool immutable language plpgsql as 'begin return $1 = $2; end';
    create function other(int, int) returns bool language sql as 'select writes($1) = 1';
    create operator === (leftarg = int, rightarg = int, function = same, negator = !==);
    create operator !== (leftarg = int, rightarg = int, function = other, negator = ===);
    create operator <~ (leftarg = int, rightarg = int, function = same, commutator = ~>);
    create operator ~> (leftarg = int, rightarg = int, function = other, commutator = <~);
    create sequence q;
    create function draws(regclass) returns bigint stable language internal as 'nextval_oid';
    create function computes(float8) returns float8 immutable language internal as 'dsqrt';
    create operator <=> (leftarg = int, rightarg = int, function = same);
";

#[test]
fn what_hardly_anybody_looks_for_is_found() {
    let texts = [
        // A literal in brackets is cast where a function would take another type than it has.
        ("select checked('1')", "function"),
        ("select public.checked('1') from t", "function"),
        ("select (1).checked from t", "function"),
        ("select second('1')", "function"),
        ("select lower('x'), b from t", "function"),
        ("select harmless('1'), upper(b) from t", "read"),
        ("select 1 from t where not (a === 1)", "function"),
        ("select 1 from t where a !== 1", "function"),
        ("select 1 from t where a <~ 1", "function"),
        ("select 1 from t where not (a <=> 1)", "read"),
        ("select declares(1)", "function"),
        ("select declares_clean(1)", "read"),
        ("select * from unselected", "function"),
        ("select * from from_xml", "function"),
        ("select * from selected_clean", "read"),
        ("select draws('q')", "function"),
        ("select computes(2)", "read"),
        // They take the number of a type.
        ("select domain_in('1', 'checked'::regtype, -1) is null", "function"),
        ("select array_in('{1}', 'checked'::regtype, -1) is null", "function"),
    ];
    assert_said("reached", SETUP, &texts);
}

/// An operator whose sign is built in, and that PostgreSQL chooses where its types do not stand in the text.
const SIGNS: &str = "
    create table audit (a int);
    create function writes(int) returns int language sql as 'insert into audit values ($1) returning 1';
    create table t (a int, b text, c int[], d date, e varchar(9));
    create domain day as date;
    create domain word as text;
    create type price as (amount int, currency text);
    create type mood as enum ('good', 'bad');
    create function days(day, day) returns bool language sql as 'select writes(1) = 1';
    create operator & (leftarg = day, rightarg = day, function = days);
    create function words(text, word) returns bool language sql as 'select writes(1) = 1';
    create operator + (leftarg = text, rightarg = word, function = words);
    create function prices(price, price) returns int language sql as 'select writes(1)';
    create operator * (leftarg = price, rightarg = price, function = prices);
    create function moods(mood, mood) returns bool language sql as 'select writes(1) = 1';
    create operator # (leftarg = mood, rightarg = mood, function = moods);
    create table feels (m mood);
    create function share(anyarray, anyarray) returns bool language sql as 'select writes(1) = 1';
    create operator !&& (leftarg = anyarray, rightarg = anyarray, function = share, negator = &&);
    create function by_text(text, mood) returns bool language sql as 'select writes(1) = 1';
    create operator = (leftarg = text, rightarg = mood, function = by_text);
";

#[test]
fn an_operator_that_a_literal_reaches_is_known_by_its_sign() {
    let texts = [
        ("select d & d from t", "function"),
        ("select b + 'x' from t", "function"),
        ("select row(1, 'EUR') * '(2,EUR)'", "function"),
        ("select not (c && '{1}') from t", "function"),
        // No value is one of an enum unless something says so; where PostgreSQL has the operator for two texts, it takes that.
        ("select a # 1, b = 'x', e = 'x', a in (1, 2), b like 'x' from t", "read"),
        ("select m # m from feels", "function"),
        ("select m from feels", "function"),
    ];
    assert_said("signs", SIGNS, &texts);
}

#[test]
fn an_operator_for_a_type_that_has_none_is_reached_by_words() {
    let setup = "
        create table audit (a int);
        create table t (a int, e varchar(9), j json);
        create type mood as enum ('good', 'bad');
        create function writes() returns bool language sql as 'insert into audit values (1) returning true';
        create function by_json(json, mood) returns bool language sql as 'select writes()';
        create operator = (leftarg = json, rightarg = mood, function = by_json);";
    let texts = [("select 1 from t where j in ('good')", "function"), ("select 1 from t where j = 'good'", "function")];
    assert_said("words", setup, &texts);
}
