//! Sequences of draws that depend on those before them: how often they pick a packet in the long run, and how much their
//! share strays because they come in bursts.

/// After so many packets the first one is taken as forgotten.
const MEMORY: usize = 20_000;
/// Below this a packet's fate says no more of a later one's.
const FORGOTTEN: f64 = 1e-7;
/// Cells of the distribution of correlated draws.
const CELLS: usize = 1_024;

/// A chain of states, each of which picks a packet with a probability of its own.
pub(super) struct MarkovChain<const N: usize> {
    steps: [[f64; N]; N],
    picks: [f64; N],
}

impl<const N: usize> MarkovChain<N> {
    /// The chain that goes from state i to j with probability `steps[i][j]`; state 0 is the first.
    pub(super) fn new(steps: [[f64; N]; N], picks: [f64; N]) -> Self {
        Self { steps, picks }
    }

    /// The share of packets picked in the long run, and the inflation of its variance.
    pub(super) fn seen(&self) -> (f64, f64) {
        let settled = self.settled();
        let share = self.picked(&settled);
        if share <= 0.0 || share >= 1.0 {
            return (share.clamp(0.0, 1.0), 1.0);
        }
        let mut states: [f64; N] = std::array::from_fn(|state| settled[state] * self.picks[state] / share);
        let later = std::iter::from_fn(|| {
            states = after(&states, &self.steps);
            Some(self.picked(&states))
        });
        (share, inflation(share, later))
    }

    fn picked(&self, states: &[f64; N]) -> f64 {
        states.iter().zip(&self.picks).map(|(state, pick)| state * pick).sum()
    }

    /// How often each state is met in the long run, from the first one: by squaring the chain that rests half of the time,
    /// which is met by the same states and has no period.
    fn settled(&self) -> [f64; N] {
        let rest = |i: usize, j: usize| self.steps[i][j] / 2.0 + if i == j { 0.5 } else { 0.0 };
        let mut power: [[f64; N]; N] = std::array::from_fn(|i| std::array::from_fn(|j| rest(i, j)));
        for _ in 0..60 {
            power = std::array::from_fn(|i| {
                let row = after(&power[i], &power);
                let sum: f64 = row.iter().sum();
                row.map(|share| share / sum)
            });
        }
        power[0]
    }
}

fn after<const N: usize>(states: &[f64; N], steps: &[[f64; N]; N]) -> [f64; N] {
    std::array::from_fn(|to| (0..N).map(|from| states[from] * steps[from][to]).sum())
}

/// By how much the variance of a share exceeds that of independent draws, from the chance that the first, second, … packet
/// after a picked one is picked; not below 1.
pub(super) fn inflation(share: f64, later: impl Iterator<Item = f64>) -> f64 {
    let excess = later.take(MEMORY).map(|chance| chance - share);
    let sum: f64 = excess.take_while(|excess| excess.abs() > FORGOTTEN).sum();
    (1.0 + 2.0 * sum / (1.0 - share)).max(1.0)
}

/// The distribution of a draw that resembles the one before it, as netem makes it: so much the last one, the rest a new one.
pub(super) struct Draws {
    /// The probability of at most i / [`CELLS`].
    below: Vec<f64>,
}

impl Draws {
    /// After many draws.
    pub(super) fn settled(correlation: f64) -> Self {
        let mut draws = Self { below: (0..=CELLS).map(|cell| cell as f64 / CELLS as f64).collect() };
        // What is left of the first draw: correlation to the power of the number of draws.
        let enough = (1e-9f64.ln() / correlation.ln()).ceil().clamp(1.0, 2_000.0);
        let mut done = 0.0;
        while done < enough {
            draws = draws.stepped(correlation);
            done += 1.0;
        }
        draws
    }

    /// The probability of a draw of at most `share`.
    pub(super) fn below(&self, share: f64) -> f64 {
        let place = share.clamp(0.0, 1.0) * CELLS as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and CELLS
        let cell = (place as usize).min(CELLS - 1);
        self.below[cell] + (self.below[cell + 1] - self.below[cell]) * (place - cell as f64)
    }

    /// The same if it is known to be at most `share`.
    pub(super) fn given_below(&self, share: f64) -> Self {
        let all = self.below(share);
        Self { below: self.below.iter().map(|below| (below / all).min(1.0)).collect() }
    }

    /// The next draw's.
    pub(super) fn stepped(&self, correlation: f64) -> Self {
        let fresh = 1.0 - correlation;
        let density = |cell: usize| {
            let draw = cell as f64 / CELLS as f64;
            self.below(draw / correlation) - self.below((draw - fresh) / correlation)
        };
        let mut sum = 0.0;
        let mut below: Vec<f64> = vec![0.0];
        for cell in 0..CELLS {
            sum += density(cell) + density(cell + 1);
            below.push(sum);
        }
        Self { below: below.into_iter().map(|below| below / sum).collect() }
    }
}
