//! How the process's log looks: for people, as JSON, or as PgBouncer's. Knows nothing of what is logged, but that parts of it may come
//! from clients: whatever could end a line or turn a terminal is escaped, once and here. JSON reads back to what was said.

use crate::config::LogFormat;
use std::fmt::{self, Debug, Write};
use std::io::IsTerminal;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::{MakeExt, RecordFields};
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, time as wall_clock};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Logs to standard error from now on. `PGOTTER_LOG` sets the level; default info.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("PGOTTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let log = subscriber(format, is_terminal, filter, std::io::stderr);
    tracing::subscriber::set_global_default(log).expect("invariant: nobody else has begun to log");
}

/// What writes such lines.
fn subscriber<W>(
    format: LogFormat,
    is_terminal: bool,
    filter: EnvFilter,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match (format, is_terminal) {
        // Colours, unless NO_COLOR is set.
        (LogFormat::Auto | LogFormat::Text, true) => Box::new(log.fmt_fields(Fields).finish()),
        (LogFormat::Text, false) => Box::new(log.with_ansi(false).fmt_fields(Fields).finish()),
        (LogFormat::Auto, false) | (LogFormat::Json, _) => {
            Box::new(log.json().flatten_event(true).map_event_format(PrintableJson).finish())
        }
        (LogFormat::PgBouncer, _) => {
            Box::new(log.with_ansi(false).fmt_fields(Fields).event_format(AsPgBouncer).finish())
        }
    }
}

/// The message, then the fields, `name=value`.
struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let one = debug_fn(|writer: &mut Writer<'_>, field, value: &dyn Debug| {
            if field.name() != "message" {
                write!(writer, "{}=", field.name())?;
            }
            write!(Printable(writer), "{value:?}")
        });
        one.delimited(" ").format_fields(writer, fields)
    }
}

/// Passes text on, and a number in place of what cannot be seen.
struct Printable<'a, 'b>(&'a mut Writer<'b>);

impl Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match hidden(char) {
            true => write!(self.0, "{}", char.escape_debug()),
            false => self.0.write_char(char),
        })
    }
}

/// Whether it might turn a line around, or a terminal.
fn hidden(char: char) -> bool {
    char.is_control() || char.escape_debug().len() > 2
}

/// A line of JSON, and in it a number in place of what cannot be seen. JSON itself asks that only of what is below a space.
struct PrintableJson<F>(F);

impl<S, N, F> FormatEvent<S, N> for PrintableJson<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        for char in line.trim_end().chars() {
            match hidden(char) {
                true => char.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?,
                false => writer.write_char(char)?,
            }
        }
        writeln!(writer)
    }
}

/// `2026-11-30 15:50:29.123 UTC [4711] LOG message name=value`. Source: PgBouncer, `lib/usual/logging.c`.
struct AsPgBouncer;

impl<S, N> FormatEvent<S, N> for AsPgBouncer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        wall_clock().format_time(&mut Writer::new(&mut time))?;
        let (day, clock) = (time.get(..10).unwrap_or_default(), time.get(11..23).unwrap_or_default());
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "LOG",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "NOISE",
        };
        write!(writer, "{day} {clock} UTC [{}] {level} ", std::process::id())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests;
