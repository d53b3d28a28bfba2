//! What the live view knows and how keys and rounds change it. Pure: no terminal, no clock.

use crate::measure::Verdict;
use crate::report::rounds::Round;
use crate::report::tiles::Quantity;
use crate::topology::NodeName;

/// A key, as far as the view minds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Show delays.
    Delays,
    /// Show errors.
    Errors,
    /// Hold further rounds back, or let them go.
    Pause,
    /// See the whole matrix.
    Whole,
    /// Move the window by so many rows and columns.
    Scroll(isize, isize),
    /// Move the window by so many pages down.
    Page(isize),
    /// End.
    Quit,
}

/// What is to be done after a key, outside the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Tell the measuring thread.
    Pause(bool),
    /// End.
    Quit,
}

/// The state of the view.
#[derive(Debug)]
pub(super) struct Screen {
    /// Which testbed it is, in words.
    pub(super) testbed: String,
    /// Its nodes.
    pub(super) names: Vec<NodeName>,
    /// What the matrix shows.
    pub(super) quantity: Quantity,
    /// The first row and column shown, when scrolling.
    pub(super) corner: Option<(usize, usize)>,
    /// Whether further rounds are held back.
    pub(super) paused: bool,
    /// Whether a round is going on.
    pub(super) measuring: bool,
    /// The last round.
    pub(super) round: Option<Round>,
    /// All rounds together.
    pub(super) totals: Totals,
}

/// Sums over all rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Probes sent.
    pub(super) sent: u64,
    /// Probes lost.
    pub(super) lost: u64,
    /// Packets dropped by the delay elements.
    pub(super) dropped: u64,
    /// Rounds with a path outside the tolerance.
    pub(super) failed: u32,
}

impl Screen {
    /// Before the first round.
    pub(super) fn new(testbed: &str, names: Vec<NodeName>) -> Self {
        Self {
            testbed: testbed.to_owned(),
            names,
            quantity: Quantity::Error,
            corner: None,
            paused: false,
            measuring: false,
            round: None,
            totals: Totals::default(),
        }
    }

    /// A round begins.
    pub(super) fn begin(&mut self) {
        self.measuring = true;
    }

    /// A round is over.
    pub(super) fn take(&mut self, round: Round) {
        self.measuring = false;
        self.totals.sent += round.comparison.sent;
        self.totals.lost += round.comparison.lost;
        self.totals.dropped += round.dropped;
        self.totals.failed += u32::from(round.comparison.verdict == Verdict::Fail);
        self.round = Some(round);
    }

    /// A key is pressed while `page` rows are visible.
    pub(super) fn press(&mut self, key: Key, page: usize) -> Effect {
        match key {
            Key::Delays => self.quantity = Quantity::Delay,
            Key::Errors => self.quantity = Quantity::Error,
            Key::Whole => self.corner = None,
            Key::Scroll(down, right) => self.scroll(down, right),
            Key::Page(pages) => self.scroll(pages.saturating_mul(isize::try_from(page).unwrap_or(1)), 0),
            Key::Pause => {
                self.paused = !self.paused;
                return Effect::Pause(self.paused);
            }
            Key::Quit => return Effect::Quit,
        }
        Effect::None
    }

    /// The first movement begins at the upper left; what would leave the matrix is kept inside.
    fn scroll(&mut self, down: isize, right: isize) {
        let last = self.names.len().saturating_sub(1);
        let corner = self.corner.map_or((0, 0), |(row, column)| {
            (row.saturating_add_signed(down).min(last), column.saturating_add_signed(right).min(last))
        });
        self.corner = Some(corner);
    }

    /// The window was drawn from this corner: further movements count from there.
    pub(super) fn settle(&mut self, corner: (usize, usize)) {
        self.corner = self.corner.map(|_| corner);
    }
}
