//! The terminal while `pgotter top` has it: one thread draws and listens to keys, one asks the console. However it ends, by a key, a
//! signal, an error or a bug, the terminal is given back as it was.

use super::super::init::{Place, Stop};
use super::broken;
use super::console::{Console, NoAnswer};
use super::model::{Model, Order, Press, Snapshot};
use super::screen::draw;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// News are looked for this often. Nothing is drawn without any.
const TICK: Duration = Duration::from_millis(50);

/// What comes from the thread that asks.
enum News {
    Seen(Snapshot),
    /// Stays until a key is pressed.
    Said(String),
    /// The console cannot be asked; it is tried again.
    Lost(String),
    /// A signal says that it is over.
    End,
}

/// Takes the terminal until the user leaves.
///
/// # Errors
/// The terminal cannot be used, or a bug.
pub fn show(runtime: Runtime, console: Console, place: Place, mut model: Model) -> Result<(), Stop> {
    let (tell, news) = channel();
    let (orders, heard) = unbounded_channel();
    let interval = model.interval;
    // The screen is taken first: whatever panics then gives it back.
    let mut screen = Screen::take().map_err(|error| broken(format!("the terminal cannot be used: {error}")))?;
    std::thread::Builder::new()
        .name("console".to_owned())
        .spawn(move || runtime.block_on(converse(console, &place, interval, heard, tell)))
        .map_err(|error| broken(format!("could not start a thread: {error}")))?;
    let order = |client| orders.send(client).is_ok();
    watch(&mut screen.0, &mut model, &news, order).map_err(|error| broken(error.to_string()))
}

/// The terminal in its other mode, until this is dropped.
struct Screen(DefaultTerminal);

impl Screen {
    /// Also sees to it that a panic on any thread gives the terminal back before it says anything.
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        ratatui::restore();
    }
}

/// Draws, and does what keys say, until it is over.
fn watch(
    terminal: &mut DefaultTerminal,
    model: &mut Model,
    news: &Receiver<News>,
    cancel: impl Fn(u64) -> bool,
) -> io::Result<()> {
    let mut changed = true;
    loop {
        if std::mem::take(&mut changed) {
            terminal.draw(|frame| draw(frame, model))?;
        }
        if event::poll(TICK)? {
            changed = true;
            match event::read()? {
                Event::Key(key) => match press(key).and_then(|press| model.press(press)) {
                    Some(Order::Quit) => return Ok(()),
                    Some(Order::Cancel(client)) => _ = cancel(client),
                    None => {}
                },
                // It is drawn anew, in the new size.
                _ => continue,
            }
        }
        loop {
            match news.try_recv() {
                Ok(News::Seen(snapshot)) => model.take(snapshot),
                Ok(News::Said(message)) => model.message = Some(message),
                Ok(News::Lost(why)) => model.lost = Some(why),
                Ok(News::End) => return Ok(()),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(io::Error::other("the thread that asks has ended")),
            }
            changed = true;
        }
    }
}

/// What a key means; Control-C is as good as `q`.
fn press(key: KeyEvent) -> Option<Press> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Press::Char('q'),
        KeyCode::Char(_) if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => Press::Char(c),
        KeyCode::Enter => Press::Enter,
        KeyCode::Esc => Press::Escape,
        KeyCode::Tab => Press::Tab,
        KeyCode::Up => Press::Up,
        KeyCode::Down => Press::Down,
        KeyCode::PageUp => Press::PageUp,
        KeyCode::PageDown => Press::PageDown,
        KeyCode::Home => Press::Home,
        KeyCode::End => Press::End,
        _ => return None,
    })
}

/// Looks each `interval`, and has canceled what is ordered. A connection that is lost is opened anew, as often as it takes.
async fn converse(
    console: Console,
    place: &Place,
    interval: Duration,
    mut orders: UnboundedReceiver<u64>,
    tell: Sender<News>,
) {
    if let Err(error) = end_on_signals(&tell) {
        let _ = tell.send(News::Said(format!("signals will not give the terminal back: {error}")));
    }
    let mut console = Some(console);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let order = tokio::select! {
            order = orders.recv() => match order {
                Some(client) => Some(client),
                None => return,
            },
            _ = ticks.tick() => None,
        };
        let outcome = match (&mut console, order) {
            (Some(console), Some(client)) => console
                .cancel(client)
                .await
                .map(|()| News::Said(format!("a cancel request was sent for client {client}"))),
            (Some(console), None) => console.look().await.map(News::Seen),
            (None, Some(_)) => Err(NoAnswer::Refused("there is no connection to the console".to_owned())),
            (None, None) => match Console::open(place).await {
                Ok(opened) => {
                    console = Some(opened);
                    ticks.reset_immediately();
                    continue;
                }
                Err((at, why)) => Err(NoAnswer::Lost(format!("{at}: {why}"))),
            },
        };
        let news = match outcome {
            Ok(news) => news,
            Err(NoAnswer::Refused(why)) => News::Said(why),
            Err(NoAnswer::Lost(why)) => {
                console = None;
                News::Lost(why)
            }
        };
        if tell.send(news).is_err() {
            return;
        }
    }
}

/// Those that would end the process, and leave the terminal as it is.
fn end_on_signals(tell: &Sender<News>) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()] {
        let (mut signals, tell) = (signal(kind)?, tell.clone());
        tokio::spawn(async move {
            signals.recv().await;
            let _ = tell.send(News::End);
        });
    }
    Ok(())
}
