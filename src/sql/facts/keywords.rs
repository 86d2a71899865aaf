//! The words that PostgreSQL does not take for a name everywhere. Knows no statement.
//! Source: `pg_get_keywords()` of PostgreSQL 15 to 18, all but the unreserved; where versions differ, the stricter.

/// How far a word is kept from being a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names nothing.
    Reserved,
    /// Names a column, but no function: where it stands in front of brackets, it is part of the grammar.
    Column,
    /// Names a function, but no column.
    Function,
}

/// Of a word without quotes. `None`: a name like any other.
#[rustfmt::skip]
pub(super) fn kind(word: &[u8]) -> Option<Kind> {
    Some(match word {
        b"all" | b"analyse" | b"analyze" | b"and" | b"any" | b"array" | b"as" | b"asc" | b"asymmetric" | b"both"
        | b"case" | b"cast" | b"check" | b"collate" | b"column" | b"constraint" | b"create" | b"current_catalog"
        | b"current_date" | b"current_role" | b"current_time" | b"current_timestamp" | b"current_user" | b"default"
        | b"deferrable" | b"desc" | b"distinct" | b"do" | b"else" | b"end" | b"except" | b"false" | b"fetch"
        | b"for" | b"foreign" | b"from" | b"grant" | b"group" | b"having" | b"in" | b"initially" | b"intersect"
        | b"into" | b"lateral" | b"leading" | b"limit" | b"localtime" | b"localtimestamp" | b"not" | b"null"
        | b"offset" | b"on" | b"only" | b"or" | b"order" | b"placing" | b"primary" | b"references" | b"returning"
        | b"select" | b"session_user" | b"some" | b"symmetric" | b"system_user" | b"table" | b"then" | b"to"
        | b"trailing" | b"true" | b"union" | b"unique" | b"user" | b"using" | b"variadic" | b"when" | b"where"
        | b"window" | b"with" => Kind::Reserved,
        b"between" | b"bigint" | b"bit" | b"boolean" | b"char" | b"character" | b"coalesce" | b"dec" | b"decimal"
        | b"exists" | b"extract" | b"float" | b"greatest" | b"grouping" | b"inout" | b"int" | b"integer"
        | b"interval" | b"json" | b"json_array" | b"json_arrayagg" | b"json_exists" | b"json_object"
        | b"json_objectagg" | b"json_query" | b"json_scalar" | b"json_serialize" | b"json_table" | b"json_value"
        | b"least" | b"merge_action" | b"national" | b"nchar" | b"none" | b"normalize" | b"nullif" | b"numeric"
        | b"out" | b"overlay" | b"position" | b"precision" | b"real" | b"row" | b"setof" | b"smallint"
        | b"substring" | b"time" | b"timestamp" | b"treat" | b"trim" | b"values" | b"varchar" | b"xmlattributes"
        | b"xmlconcat" | b"xmlelement" | b"xmlexists" | b"xmlforest" | b"xmlnamespaces" | b"xmlparse" | b"xmlpi"
        | b"xmlroot" | b"xmlserialize" | b"xmltable" => Kind::Column,
        b"authorization" | b"binary" | b"collation" | b"concurrently" | b"cross" | b"current_schema" | b"freeze"
        | b"full" | b"ilike" | b"inner" | b"is" | b"isnull" | b"join" | b"left" | b"like" | b"natural" | b"notnull"
        | b"outer" | b"overlaps" | b"right" | b"similar" | b"tablesample" | b"verbose" => Kind::Function,
        _ => return None,
    })
}
