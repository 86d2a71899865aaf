//! The terminal while `pgotter top` has it: one thread draws and listens to keys, one asks the console. However it ends, by a key, a
//! signal, an error or a bug, the terminal is given back as it was; so it is while the process is stopped. Once the terminal is gone, so
//! is the process.

use super::super::init::{NoLogin, Place, Stop};
use super::broken;
use super::console::{Console, NoAnswer};
use super::model::{Model, Order, Press, Snapshot};
use super::screen::draw;
use super::signals::{Signals, let_it};
use crate::server::LoginError;
use nix::sys::signal::Signal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, enable_raw_mode};
use ratatui::{DefaultTerminal, Terminal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::kill_current_process_group;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

/// News are looked for this often. Nothing is drawn without any.
const TICK: Duration = Duration::from_millis(50);

/// Where a login was refused the next is tried no sooner: a password that is wrong is not tried again and again.
const REFUSED: Duration = Duration::from_secs(5);

/// A terminal that goes away says so at once, mostly.
const GONE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What comes from the thread that asks.
enum News {
    Seen(Snapshot),
    /// Stays until a key is pressed.
    Said(String),
    /// The console cannot be asked; it is tried again.
    Lost(String),
    /// A signal says that it is over.
    End,
    /// That the process is to stop.
    Stop,
    /// The process was stopped, and goes on: who knows what the terminal has shown meanwhile.
    Continued,
}

impl News {
    fn of(signal: Signal) -> Self {
        match signal {
            Signal::SIGCONT => Self::Continued,
            Signal::SIGTSTP => Self::Stop,
            _ => Self::End,
        }
    }
}

/// What the user wants.
enum Key {
    Press(Press),
    /// That the process stops.
    Stop,
}

/// Takes the terminal until the user leaves.
///
/// # Errors
/// The terminal cannot be used, or a bug.
pub fn show(runtime: Runtime, console: Console, place: Place, mut model: Model, signals: &Signals) -> Result<(), Stop> {
    let (tell, news) = channel();
    let (orders, heard) = unbounded_channel();
    let (interval, window) = (model.interval, model.window.clone());
    // The screen is taken first: whatever panics then gives it back.
    let said = tell.clone();
    let screen = signals.take(Screen::take, move |signal| drop(said.send(News::of(signal))));
    let mut screen = screen.map_err(|error| broken(format!("the terminal cannot be used: {error}")))?;
    std::thread::Builder::new()
        .name("console".to_owned())
        .spawn(move || runtime.block_on(converse(console, &place, (interval, window), heard, tell)))
        .map_err(|error| broken(format!("could not start a thread: {error}")))?;
    let order = |order| orders.send(order).is_ok();
    watch(&mut screen, &mut model, &news, order).map_err(|error| broken(error.to_string()))
}

/// The terminal in its other mode, until this is dropped.
struct Screen(DefaultTerminal);

impl Screen {
    /// Also sees to it that a panic on any thread gives the terminal back before it says anything.
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }

    fn give_back(&mut self) {
        let _ = self.0.show_cursor();
        ratatui::restore();
    }

    /// Whatever has become of the terminal meanwhile.
    fn take_again(&mut self) -> io::Result<()> {
        ratatui::restore();
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        // Its own way of clearing asks the terminal where the cursor is, and waits for the answer.
        self.0 = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }

    /// Returns when somebody lets the process go on.
    fn stop(&mut self) -> io::Result<()> {
        self.give_back();
        let_it(Signal::SIGTSTP);
        self.take_again()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// From now on the process ends when the terminal of its standard input is gone. Nothing can be given back then, and whoever reads keys would
/// find the end of them, and look again, for ever.
///
/// # Errors
/// The system has no thread.
pub fn end_with_terminal() -> io::Result<()> {
    let wait = || {
        let gone = |found: PollFlags| found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        loop {
            // These are told of without being asked for; keys are not looked for here.
            let mut terminal = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::empty())];
            match poll(&mut terminal, Some(&GONE)) {
                Ok(_) if gone(terminal[0].revents()) => std::process::exit(0),
                Ok(_) | Err(Errno::INTR) => {}
                // It cannot be told; a signal may still say so.
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("terminal".to_owned()).spawn(wait).map(drop)
}

/// Draws, and does what keys say, until it is over.
fn watch(screen: &mut Screen, model: &mut Model, news: &Receiver<News>, ask: impl Fn(Order) -> bool) -> io::Result<()> {
    let mut changed = true;
    loop {
        if std::mem::take(&mut changed) {
            screen.0.draw(|frame| draw(frame, model))?;
        }
        if event::poll(TICK)? {
            changed = true;
            match event::read()? {
                Event::Key(key) => match press(key) {
                    // All that the shell has started with it; it is told as well.
                    Some(Key::Stop) => kill_current_process_group(rustix::process::Signal::TSTP)?,
                    Some(Key::Press(press)) => match model.press(press) {
                        Some(Order::Quit) => return Ok(()),
                        Some(order) => _ = ask(order),
                        None => {}
                    },
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
                Ok(News::Stop) => screen.stop()?,
                Ok(News::Continued) => screen.take_again()?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(io::Error::other("the thread that asks has ended")),
            }
            changed = true;
        }
    }
}

/// What a key means; Control-C is as good as `q`.
fn press(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(Key::Press(match key.code {
        KeyCode::Char('z') if key.modifiers.contains(KeyModifiers::CONTROL) => return Some(Key::Stop),
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
    }))
}

/// Looks each `interval`, and does what is ordered. A connection that is lost is opened anew, as often as it takes.
async fn converse(
    console: Console,
    place: &Place,
    (interval, window): (Duration, Option<String>),
    mut orders: UnboundedReceiver<Order>,
    tell: Sender<News>,
) {
    let (mut console, mut closer) = (Some(console), None);
    let mut refused: Option<Instant> = None;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let order = tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Cancel(client)) => Some(client),
                Some(Order::Closer(fingerprint)) => {
                    closer = fingerprint;
                    None
                }
                Some(Order::Quit) | None => return,
            },
            _ = ticks.tick() => None,
        };
        let outcome = match (&mut console, order) {
            (Some(console), Some(client)) => console
                .cancel(client)
                .await
                .map(|()| News::Said(format!("a cancel request was sent for client {client}"))),
            (Some(console), None) => console.look(window.as_deref(), closer.as_deref()).await.map(News::Seen),
            (None, Some(_)) => Err(NoAnswer::Refused("there is no connection to the console".to_owned())),
            // It is still said why.
            (None, None) if refused.is_some_and(|at| at.elapsed() < REFUSED) => continue,
            (None, None) => match Console::open(place).await {
                Ok(opened) => {
                    console = Some(opened);
                    ticks.reset_immediately();
                    continue;
                }
                Err((at, why)) => {
                    refused = is_refusal(&why).then(Instant::now);
                    Err(NoAnswer::Lost(format!("{at}: {why}")))
                }
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

/// Whether the console is there and does not let us in.
fn is_refusal(why: &NoLogin) -> bool {
    match why {
        NoLogin::Login(error) => !error.is_absence() && !matches!(error, LoginError::TimedOut),
        NoLogin::NeedsPassword | NoLogin::LooksLikeVerifier(_) | NoLogin::Question(_) => true,
    }
}
