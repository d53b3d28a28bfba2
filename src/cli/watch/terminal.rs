//! The live view's terminal: taken over, drawn on, asked for keys, and given back however the view ends.

use std::io::{self, Stdout};
use std::panic;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use super::exit_code;
use super::measuring::{Event, Measuring};
use super::paint::{Drawn, paint};
use super::screen::{Effect, Key, Screen};
use crate::cli::matrix::terminal_colour;
use crate::measure::Verdict;

/// How long a key waits for its effect at most, and how long a round for its picture.
const TICK: Duration = Duration::from_millis(50);
/// How often the view is drawn when nothing happens: its age is in seconds.
const AGE: Duration = Duration::from_secs(1);

/// Takes the signals that would end the process with the terminal as it is.
pub(super) fn block_signals() -> anyhow::Result<SignalFd> {
    let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
    set.thread_block().context("block signals")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("take signals")
}

/// Shows the view until a key, a signal, the last round or an error ends it.
pub(super) fn run(mut screen: Screen, measuring: &Measuring, signals: &SignalFd) -> anyhow::Result<ExitCode> {
    let taken = Taken::take().context("take the terminal over")?;
    let outcome = show(&mut screen, measuring, signals);
    drop(taken);
    outcome
}

fn show(screen: &mut Screen, measuring: &Measuring, signals: &SignalFd) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout())).context("open the terminal")?;
    let mut last_round = Instant::now();
    loop {
        let drawn = draw(&mut terminal, screen, last_round.elapsed()).context("draw on the terminal")?;
        screen.settle(drawn.corner);
        let due = Instant::now() + AGE;
        let mut changed = false;
        while !changed && Instant::now() < due {
            if let Ok(Some(signal)) = signals.read_signal() {
                return Ok(ExitCode::from(128u8.wrapping_add(u8::try_from(signal.ssi_signo).unwrap_or(0))));
            }
            match measuring.next_within(TICK)? {
                None => {}
                Some(Event::Began) => screen.begin(),
                Some(Event::Round(round)) => {
                    screen.take(*round);
                    last_round = Instant::now();
                    changed = true;
                }
                Some(Event::Finished) => {
                    return Ok(exit_code(
                        screen.round.as_ref().map_or(Verdict::Pass, |round| round.comparison.verdict),
                    ));
                }
            }
            while event::poll(Duration::ZERO).context("ask the terminal for keys")? {
                changed = true;
                let Some(key) = key(&event::read().context("read a key")?) else { continue };
                match screen.press(key, drawn.rows) {
                    Effect::None => {}
                    Effect::Pause(paused) => measuring.pause(paused),
                    Effect::Quit => return Ok(ExitCode::SUCCESS),
                }
            }
        }
    }
}

fn draw(terminal: &mut Terminal<CrosstermBackend<Stdout>>, screen: &Screen, age: Duration) -> io::Result<Drawn> {
    let mut drawn = Drawn::default();
    terminal.draw(|frame| drawn = paint(screen, age, terminal_colour(), frame))?;
    Ok(drawn)
}

/// What a key means here.
fn key(input: &Input) -> Option<Key> {
    let Input::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) = input else {
        return None;
    };
    match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('d') => Some(Key::Delays),
        KeyCode::Char('e') => Some(Key::Errors),
        KeyCode::Char(' ') => Some(Key::Pause),
        KeyCode::Char('z') | KeyCode::Home => Some(Key::Whole),
        KeyCode::Up => Some(Key::Scroll(-1, 0)),
        KeyCode::Down => Some(Key::Scroll(1, 0)),
        KeyCode::Left => Some(Key::Scroll(0, -1)),
        KeyCode::Right => Some(Key::Scroll(0, 1)),
        KeyCode::PageUp => Some(Key::Page(-1)),
        KeyCode::PageDown => Some(Key::Page(1)),
        _ => None,
    }
}

/// The terminal while it is ours; given back when dropped, also by a panic.
struct Taken;

impl Taken {
    fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on, so that a failure below gives back what was taken.
        let taken = Self;
        execute!(io::stdout(), EnterAlternateScreen)?;
        speak_after_giving_back();
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // Nobody is left to tell of a failure: the terminal is gone then.
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

/// A panic's message would be lost with the alternate screen. Other threads stay silent: their panics are sent as news, and
/// this thread holds standard output.
fn speak_after_giving_back() {
    let (here, speak) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == here {
            give_back();
            speak(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let pressed = |code, modifiers| key(&Input::Key(KeyEvent::new(code, modifiers)));
        let plain = |code| pressed(code, KeyModifiers::NONE);
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(plain(code), Some(Key::Quit));
        }
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!([plain(KeyCode::Char('c')), plain(KeyCode::Char('d'))], [None, Some(Key::Delays)]);
        assert_eq!([plain(KeyCode::PageDown), plain(KeyCode::Left)], [Some(Key::Page(1)), Some(Key::Scroll(0, -1))]);
        assert_eq!(key(&Input::Resize(80, 24)), None);
    }
}
