//! What stands on the screen.

use super::super::model::tests::{snapshot, table};
use super::super::model::{Closer, Model, Press, Snapshot};
use super::*;
use crate::clock;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::time::Duration;

const SLOW: &str = "x|shop|aa|read|10|0|10|5000.5|500.05|480.0|900.0|950.0|0.0|80.0|select pg_sleep(?)|";
const OFTEN: &str = "x|shop|bb|write|1000|7|1000|1000.0|1.0|1.0|2.0|3.0|50.0|16.0|insert into t values (?)|public.t";
const PIPE: &str = "x|shop|pipeline|  |0|0|0|200.0|||||0.0|3.2|  |";
const CLIENT: &str = "17|shop|app|psql|127.0.0.1|5000|active|90000.5|127.0.0.1:5432|4711|temp|aa|select pg_sleep(?)";

/// Its lines, without the white space behind them.
fn drawn(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model)).expect("it draws");
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn model() -> Model {
    let mut model = Model::new("there:6432".to_owned(), View::Queries, Sort::Time, Duration::from_secs(2));
    let start = clock::now();
    model.take(snapshot(start, &[SLOW, OFTEN, PIPE], &[]));
    let slow = SLOW.replace("|10|0|10|5000.5|", "|12|0|12|6000.5|");
    model.take(snapshot(start + Duration::from_secs(4), &[&slow, OFTEN, PIPE], &[CLIENT]));
    model
}

#[test]
fn queries_stand_in_their_order_with_what_they_do_now() {
    let expected = "\
pgotter top  there:6432  every 2s
clients: 1 active, 1 waiting for up to 1.50s  servers: 4 busy, 2 idle  now: 0.5 calls/s, 0 errors/s
SHARE% TIME    BUSY   CALLS   /s     ERRORS /s     MEAN    P95     WAIT    DATABASE   QUERY
80.0   6.00s   0.25   12      0.5    0      0      500ms   900ms   0µs     shop       select pg_sleep(?)
16.0   1.00s   0      1000    0      7      0      1.00ms  2.00ms  50.0ms  shop       insert into t values (?)
3.2    200ms   0      0       0      0      0                      0µs     shop       (pipeline)

t time  p p95  c calls  e errors  w wait  d now  ⏎ one query  l clients  q quit";
    assert_eq!(drawn(&model(), 120, 8).join("\n"), expected);
}

#[test]
fn a_window_is_named_and_has_no_now() {
    let mut model = model();
    model.window = Some("5m".to_owned());
    model.press(Press::Char('d'));
    let screen = drawn(&model, 120, 8);
    assert_eq!(screen[0], "pgotter top  there:6432  every 2s  queries of the last 5m");
    assert!(screen[1].ends_with("2 idle") && !screen[7].contains("now"), "{screen:#?}");
    assert!(screen[3].starts_with("80.0   6.00s          12             0             500ms"), "{}", screen[3]);
}

#[test]
fn one_query_is_told_whole() {
    let mut model = model();
    model.press(Press::Down);
    model.press(Press::Enter);
    let screen = drawn(&model, 80, 20);
    let expected = [
        "database      shop",
        "fingerprint   bb",
        "kind          write",
        "tables        public.t",
        "calls         1000 (0 a second now)",
        "errors        7 (0 a second now)",
        "rows          1000",
        "server time   1.00s (16.0 % of all) (0 servers busy now)",
        "  mean        1.000 ms",
        "  p50         1.000 ms",
        "  p95         2.000 ms",
        "  p99         3.000 ms",
        "waited        50.0ms",
        "",
        "insert into t values (?)",
    ];
    assert_eq!(screen[2..17], expected);
    assert_eq!(screen[19], "esc back  ↑↓ further  l clients  q quit");
    model.press(Press::Escape);
    assert_eq!(drawn(&model, 80, 20)[19].split("  ").next(), Some("t time"));
}

#[test]
fn one_query_is_drawn_with_its_distribution_its_routes_and_its_callers() {
    let histogram = [
        "shop|0.000|0.016|1|1",
        "shop|0.896|0.960|10|0",
        "shop|0.960|1.024|30|0",
        "logs|0.960|1.024|9|0",
        "shop|2.048|2.304|400|0",
        "shop|2.304|2.560|0|3",
    ];
    let routes = ["shop|primary|fresh|41|", "shop|replica|read|400|", "logs|primary|single|9|"];
    let callers = ["shop|app|psql|3|1|0|", "shop|app||0|0|2|1500.000"];
    let closer = Closer::read(
        "bb",
        &table("database|from_ms|to_ms|server_calls|total_calls", &histogram),
        &table("database|role|reason|calls|more", &routes),
        &table("database|user|application_name|clients|active|slow|slowest_ms", &callers),
    );
    let mut model = model();
    model.press(Press::Down);
    model.press(Press::Enter);
    let start = clock::now();
    model.take(Snapshot { closer, ..snapshot(start, &[SLOW, OFTEN, PIPE], &[]) });
    let screen = drawn(&model, 100, 40);
    let from = screen.iter().position(|line| line.starts_with("where it ran")).expect("routes");
    let expected = format!(
        "\
where it ran, and why
primary  fresh                41
replica  read                400

how long servers took
    0µs - 16µs            1   0.2%  █
   16µs - 32µs            0   0.0%
   32µs - 64µs            0   0.0%
   64µs - 128µs           0   0.0%
  128µs - 256µs           0   0.0%
  256µs - 512µs           0   0.0%
  512µs - 1.02ms         40   9.1%  ████
 1.02ms - 2.05ms          0   0.0%
 2.05ms - 4.10ms        400  90.7%  {}

who was seen to call it
app at shop, psql                             clients: 3, running it: 1
app at shop                                   slow: 2 up to 1.50s",
        "█".repeat(40)
    );
    assert_eq!(screen[from..from + 18].join("\n"), expected);
    // Behind two lines of heading, and from the empty line in front.
    for _ in 0..from - 3 {
        model.press(Press::Down);
    }
    assert!(drawn(&model, 100, 10)[2].is_empty() && drawn(&model, 100, 10)[3].starts_with("where it ran"));
    // Few octaves are told apart more finely.
    let narrow = ["shop|0.896|0.960|10|0", "shop|0.960|1.024|30|0"];
    let fine = Closer::read("bb", &table("database|from_ms|to_ms|server_calls|total_calls", &narrow), &none(), &none());
    model.press(Press::Home);
    model.take(Snapshot { closer: fine, ..snapshot(start, &[SLOW, OFTEN, PIPE], &[]) });
    let screen = drawn(&model, 100, 40);
    assert!(
        screen.iter().any(|line| line.starts_with("  896µs - 960µs          10  25.0%  ██████████")),
        "{screen:#?}"
    );
    // Of another query it says nothing.
    let other = Closer { fingerprint: "aa".to_owned(), ..Closer::default() };
    model.take(Snapshot { closer: Some(other), ..snapshot(start, &[SLOW, OFTEN, PIPE], &[]) });
    assert!(!drawn(&model, 100, 40).iter().any(|line| line.contains("how long")));
}

fn none() -> super::super::model::Table {
    super::super::model::Table::default()
}

#[test]
fn clients_stand_with_their_age_and_a_cancel_is_asked_for() {
    let mut model = model();
    model.press(Press::Char('l'));
    let screen = drawn(&model, 140, 5);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "17 90.0s active shop app psql 127.0.0.1:5000 temp 127.0.0.1:5432 pid 4711 select";
    assert!(words(&screen[3]).starts_with(expected), "{}", screen[3]);
    model.press(Press::Char('k'));
    let question = &drawn(&model, 140, 5)[4];
    assert!(question.starts_with("cancel what client 17 (app at shop, active for 90.0s) has asked for?"), "{question}");
    model.press(Press::Char('n'));
    model.message = Some("admin access needed".to_owned());
    assert_eq!(drawn(&model, 140, 5)[4], "admin access needed");
    model.press(Press::Home);
    model.lost = Some("gone".to_owned());
    assert!(drawn(&model, 140, 5)[4].ends_with("trying again: gone"));
}

#[test]
fn nobody_scrolls_beyond_the_last_line_of_a_query_nor_has_to_come_back_from_there() {
    let mut model = model();
    model.press(Press::Enter);
    let body = |model: &Model| drawn(model, 120, 8)[2..7].to_vec();
    let first = body(&model);
    (0..1_000).for_each(|_| drop(model.press(Press::Down)));
    assert_eq!(body(&model), ["select pg_sleep(?)", "", "", "", ""]);
    model.press(Press::Up);
    assert_eq!(body(&model), ["", "select pg_sleep(?)", "", "", ""]);
    model.press(Press::End);
    assert_eq!(body(&model)[0], "select pg_sleep(?)");
    model.press(Press::Home);
    assert_eq!(body(&model), first);
}

#[test]
fn the_end_of_a_query_that_is_longer_than_the_screen_can_be_reached() {
    let columns: Vec<_> = (0..100).map(|number| format!("column_{number}")).collect();
    let unbroken = "x".repeat(100);
    let text = format!("select {}, \"{unbroken}\" from the_last_table", columns.join(", "));
    let row = SLOW.replace("select pg_sleep(?)", &text);
    let mut model = Model::new(String::new(), View::Queries, Sort::Time, Duration::from_secs(2));
    model.take(snapshot(clock::now(), &[&row], &[]));
    model.press(Press::Enter);
    let body = |model: &Model| drawn(model, 40, 10)[2..9].to_vec();
    body(&model);
    model.press(Press::End);
    assert_eq!(body(&model), ["the_last_table", "", "", "", "", "", ""]);
    (0..6).for_each(|_| drop(model.press(Press::Up)));
    let tail = [
        "column_92, column_93, column_94,",
        "column_95, column_96, column_97,",
        "column_98, column_99,",
        &format!("\"{}", &unbroken[..39]),
        &unbroken[..40],
        &format!("{}\" from", &unbroken[..21]),
        "the_last_table",
    ];
    assert_eq!(body(&model), tail);
    // Nothing of it is missing.
    model.press(Press::Home);
    let mut all = String::new();
    for _ in 0..model.drawn.get() {
        all += &body(&model)[0];
        model.press(Press::Down);
    }
    let bare = |text: &str| text.replace(' ', "");
    assert!(bare(&all).ends_with(&bare(&text)), "{all}");
}

#[test]
fn no_row_of_a_long_line_is_wider_than_the_screen() {
    assert_eq!(one::broken(" 日a本", 4), [" ", "日a", "本"], "a letter of two columns behind the break");
    assert_eq!(one::broken("日", 1), ["日"], "there is no smaller part");
}

#[test]
fn no_size_is_too_small_and_a_long_list_follows_the_cursor() {
    let mut model = model();
    for (width, height) in [(1, 1), (2, 3), (10, 4), (300, 2)] {
        for _ in 0..3 {
            drawn(&model, width, height);
            model.press(Press::Tab);
        }
    }
    let rows: Vec<String> = (0..100)
        .map(|number| SLOW.replace("|aa|", &format!("|{number:03}|")).replace("(?)", &format!("{number:03}")))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let mut model = Model::new(String::new(), View::Queries, Sort::Time, Duration::from_secs(2));
    model.take(snapshot(clock::now(), &rows, &[]));
    assert!(drawn(&model, 120, 10)[3].ends_with("pg_sleep000"));
    model.press(Press::End);
    let screen = drawn(&model, 120, 10);
    assert!(screen[8].ends_with("pg_sleep099") && screen[3].ends_with("pg_sleep094"), "{screen:#?}");
}

#[test]
fn numbers_fit_into_their_columns() {
    for (number, text) in [
        (0.0, "0µs"),
        (0.000_123, "123µs"),
        (0.000_999_9, "1.00ms"),
        (0.0123, "12.3ms"),
        (0.5, "500ms"),
        (0.999_9, "1.00s"),
        (61.04, "61.0s"),
        (999.9, "17m"),
        (86_400.0, "1440m"),
        (8_640_000.0, "2400h"),
    ] {
        assert_eq!(seconds(number), text);
    }
    for (number, text) in [
        (0.0, "0"),
        (0.5, "0.5"),
        (10.25, "10.2"),
        (12.0, "12"),
        (99_999.0, "99999"),
        (123_456.0, "123k"),
        (1e12, "1000G"),
    ] {
        assert_eq!(short(number), text);
    }
}
