//! Tags as frameworks write them, and as nobody should.

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn tags(text: &str) -> Tags {
    last_comment(text.as_bytes()).map(Tags::read).unwrap_or_default()
}

/// Trace id, route, action, application; empty where there is none.
fn shown(tags: &Tags) -> [&str; 4] {
    [&tags.trace_id, &tags.route, &tags.action, &tags.application].map(|tag| tag.as_deref().unwrap_or_default())
}

#[test]
fn tags_are_found_in_the_comment_at_the_end_and_decoded() {
    let text = format!(
        "SELECT * FROM t /*action='run+this%20%27it%27',application='it\\'s',db_driver='x',\
         route='%2Fpolls%2F%C3%A9',traceparent='00-{TRACE}-b7ad6b7169203331-01'*/"
    );
    let found = tags(&text);
    assert_eq!(shown(&found), [TRACE, "/polls/\u{e9}", "run+this 'it'", "it's"]);
    assert_eq!(found.broken, 0);
    for end in [";", " ; \n", "\r\n"] {
        assert_eq!(tags(&format!("{text}{end}")), found, "{end:?}");
    }
    assert_eq!(shown(&tags("select 1 /* route = 'a' , action = 'b' */")), ["", "a", "b", ""]);
    assert_eq!(shown(&tags("/* pgotter: primary */ select 1 /*route='a'*/")), ["", "a", "", ""]);
}

#[test]
fn comments_about_something_else_are_none() {
    for text in [
        "",
        "select 1",
        "select 1 /*route='a'*/ + 1",
        "select 1 /* see issue = 5, don't */",
        "select '/*route=''a''*/'",
        "select 1 /*route='a'*/ -- behind */",
        "select 1 --route='a'*/",
        "*/",
        "/*/",
        "/**/",
        "select 1 /* route */",
    ] {
        assert_eq!(tags(text), Tags::default(), "{text}");
    }
    assert_eq!(last_comment(b"/**/"), Some(&b""[..]));
    assert_eq!(last_comment(b"/*/"), None);
    let long = |bytes| format!("select 1 /*{}route='a'*/", " ".repeat(bytes));
    assert_eq!(shown(&tags(&long(COMMENT_MAX - 9)))[1], "a");
    assert_eq!(tags(&long(COMMENT_MAX - 8)), Tags::default());
}

#[test]
fn what_is_broken_is_counted_and_loses_nothing_else() {
    for (value, valid) in [
        (format!("00-{TRACE}-b7ad6b7169203331-01"), true),
        (format!("01-{TRACE}-b7ad6b7169203331-01-more"), true),
        (format!("00-{TRACE}-b7ad6b7169203331-01-more"), false),
        (format!("ff-{TRACE}-b7ad6b7169203331-01"), false),
        (format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()), false),
        (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
        (format!("00-{TRACE}-0000000000000000-01"), false),
        (format!("00-{TRACE}-b7ad6b7169203331"), false),
        (format!("00-{TRACE}"), false),
        ("00".to_owned(), false),
        ("%zz".to_owned(), false),
        (String::new(), false),
    ] {
        let found = tags(&format!("select 1 /*route='a',traceparent='{value}',action='b'*/"));
        assert_eq!(shown(&found), [if valid { TRACE } else { "" }, "a", "b", ""], "{value}");
        assert_eq!(found.broken, u32::from(!valid), "{value}");
    }
    for (rest, broken) in [
        ("action='%C3%28'", 1),
        ("action='%0A'", 1),
        ("action='%00'", 1),
        ("action='%2'", 1),
        ("action=b", 1),
        ("action='b", 1),
        ("action='b\\'", 1),
        ("unknown=b,action='b'", 0),
    ] {
        let found = tags(&format!("select 1 /*route='a',{rest}*/"));
        assert_eq!((shown(&found), found.broken), (["", "a", "", ""], broken), "{rest}");
    }
}

#[test]
fn a_long_value_is_cut_at_a_character() {
    let found = tags(&format!("select 1 /*route='{}'*/", "%C3%A9".repeat(200)));
    assert_eq!(shown(&found)[1], "\u{e9}".repeat(VALUE_MAX / 2));
    let found = tags(&format!("select 1 /*route='a{}'*/", "%C3%A9".repeat(200)));
    assert_eq!(shown(&found)[1].len(), VALUE_MAX - 1);
}

proptest::proptest! {
    #[test]
    fn whatever_a_comment_says_is_read_or_not(text in "(route|traceparent|action|=|'|\\\\|%|[0-9a-f]|-|,|/\\*|\\*/|\u{e9}|;| |\n|\u{0}){0,80}") {
        let found = tags(&format!("{text}*/"));
        for tag in shown(&found) {
            proptest::prop_assert!(tag.len() <= VALUE_MAX && !tag.contains(char::is_control));
        }
        if last_comment(text.as_bytes()).is_some() {
            proptest::prop_assert!(ends_in_comment(text.as_bytes()));
        }
    }

    #[test]
    fn any_value_that_is_written_as_the_specification_says_is_read_back(value in "[^\\p{Cc}]{1,30}") {
        let encoded: String = value.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            b'\'' => "\\'".to_owned(),
            _ => format!("%{byte:02X}"),
        }).collect();
        let found = tags(&format!("select 1 /*route='{encoded}'*/"));
        proptest::prop_assert_eq!(shown(&found)[1], value);
    }
}
