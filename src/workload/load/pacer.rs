//! The thread that tells when to send. It sleeps until shortly before and then looks at the clock: the runtime's timers have
//! ticks of a millisecond, and a sleeper that the kernel wakes is tens of microseconds late.

use std::io;
use std::thread;

use nix::sys::prctl;
use tokio::sync::mpsc::UnboundedSender;

use super::{Slot, Source};
use crate::serving::Clock;
use crate::units::{Moment, Span};

/// How long before a moment it looks at the clock all the time.
const SPIN: Span = Span::from_micros(60);

/// Starts the thread; it ends with the last request, or when nobody hears it.
pub(super) fn start(source: Source, clock: Clock, start: Moment, to: UnboundedSender<Slot>) -> io::Result<()> {
    let pace = move || {
        // Without it the kernel may be 50 µs later, which lateness would show.
        let _ = prctl::set_timerslack(1);
        for slot in source.slots() {
            let at = start + slot.at.since(Moment::START);
            let left = at.since(clock.now()).saturating_sub(SPIN);
            if left > Span::ZERO {
                thread::sleep(left.as_duration());
            }
            while clock.now() < at {
                std::hint::spin_loop();
            }
            if to.send(Slot { at, ..slot }).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name("pacer".to_owned()).spawn(pace).map(drop)
}
