//! Tiered scoring: a fast answer now, a better one if it comes in time. [`Question`] decides, without a clock of its own;
//! [`Tiered`] asks one plug-in after the other by a [`Clock`].

use crate::parameters::{Definition, Given, Kind, Parameters, Value};
use crate::placement::problem::ServiceIndex;
use crate::placement::scheduling::{Cluster, Scorer};
use crate::placement::{Policy, Setting, TimeUp};
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

use super::adaptor::{favoured, marks};
use super::joint::greedy;
use super::objectives::Objectives;
use super::parameters::{BENEFIT, LAMBDA, MODE, RESOURCE_MODE, ROUND, WEIGHT_CPU, WEIGHT_LATENCY, WEIGHT_MEMORY};
use super::placer::placer;
use super::{ANEW, GroupPlan, GroupScheduler, Plugin, TIES, aco, annealing, ilp, nsga2, worth};

/// Which of two answers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The one that was fast.
    Fast,
    /// The one that took longer.
    Better,
}

/// What is to be done about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<A> {
    /// Nothing until an answer comes in, or until that moment; without one, only an answer changes anything.
    Wait(Option<Moment>),
    /// To be answered so, now. What still works on it may stop.
    Answer(A, Tier),
    /// It has been answered.
    Done,
}

/// A question that two tiers work on: a state machine that is told what happens and when.
///
/// The better answer is taken when it is there by the deadline, the fast one at the deadline, or as soon as nothing better can
/// come. Without any answer by then, the first one is taken, however late.
#[derive(Debug, Clone)]
pub struct Question<A> {
    deadline: Moment,
    fast: Option<A>,
    better: Better<A>,
    answered: bool,
}

#[derive(Debug, Clone)]
enum Better<A> {
    Working,
    InTime(A),
    Late(A),
    GaveUp,
}

impl<A> Question<A> {
    /// Asked at `now`, to be answered within `patience`.
    pub fn new(now: Moment, patience: Span) -> Self {
        Self { deadline: now + patience, fast: None, better: Better::Working, answered: false }
    }

    /// When the fast answer is taken.
    pub fn deadline(&self) -> Moment {
        self.deadline
    }

    /// The fast answer came.
    pub fn fast(&mut self, answer: A) {
        self.fast = Some(answer);
    }

    /// The better answer came at that time.
    pub fn better(&mut self, now: Moment, answer: A) {
        self.better = if now <= self.deadline { Better::InTime(answer) } else { Better::Late(answer) };
    }

    /// No better answer will come.
    pub fn gave_up(&mut self) {
        self.better = Better::GaveUp;
    }

    /// What is to be done at that time. Gives the answer once.
    pub fn poll(&mut self, now: Moment) -> Step<A> {
        if self.answered {
            return Step::Done;
        }
        let over = now >= self.deadline || !matches!(self.better, Better::Working);
        let (answer, tier) = match (std::mem::replace(&mut self.better, Better::Working), self.fast.take()) {
            (Better::InTime(answer), _) | (Better::Late(answer), None) => (answer, Tier::Better),
            (_, Some(fast)) if over => (fast, Tier::Fast),
            (better, fast) => {
                (self.better, self.fast) = (better, fast);
                return Step::Wait((!over).then_some(self.deadline));
            }
        };
        self.answered = true;
        Step::Answer(answer, tier)
    }
}

/// What says how late it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;
}

/// A clock that stands: what is asked has all the time that it takes.
#[derive(Debug, Clone, Copy)]
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment::START
    }
}

const SLOW: Definition = Definition {
    name: "slow",
    what: "which plug-in the better answer comes from, with its own parameters as they are unless told",
    kind: Kind::Choice(&["annealing", "aco", "ilp", "nsga2"]),
    default: Value::Choice("annealing"),
};

const AHEAD: Definition = Definition {
    name: "ahead",
    what: "how many services of the group are planned at once, at most, when one of them is scored",
    kind: Kind::Count(1, 100_000),
    default: Value::Count(50),
};

/// Tiers.
pub(in crate::placement) const PLUGIN: Plugin = Plugin {
    policy: Policy {
        name: "tiered",
        what: "the exact best node at once, the group at once by a slower plug-in if that ends in time and is better",
        parameters: &[
            MODE,
            ANEW,
            TIES,
            RESOURCE_MODE,
            BENEFIT,
            LAMBDA,
            WEIGHT_CPU,
            WEIGHT_MEMORY,
            WEIGHT_LATENCY,
            ROUND,
            SLOW,
            AHEAD,
        ],
        build: |setting| placer(&PLUGIN, setting),
    },
    scorer: |setting| Box::new(still(setting)),
    group: |setting| Box::new(still(setting)),
};

fn still(setting: Setting) -> Tiered<Still> {
    let plugin = match setting.parameters.choice(SLOW.name) {
        "aco" => &aco::PLUGIN,
        "ilp" => &ilp::PLUGIN,
        "nsga2" => &nsga2::PLUGIN,
        _ => &annealing::PLUGIN,
    };
    let objectives = Objectives::new(&setting.parameters);
    let ahead = usize::try_from(setting.parameters.count(AHEAD.name)).unwrap_or(usize::MAX);
    Tiered { objectives, slow: slow(plugin, setting), ahead, clock: Still, patience: Span::ZERO }
}

/// A slower plug-in with the parameters that it shares.
fn slow(plugin: &Plugin, setting: Setting) -> Box<dyn GroupScheduler> {
    let shared =
        setting.parameters.iter().filter(|(name, _)| plugin.policy.parameters.iter().any(|one| one.name == *name));
    let given: Given = shared.map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    // Values of parameters that both define alike are allowed for both.
    let parameters = Parameters::new(plugin.policy.name, plugin.policy.parameters, &given);
    (plugin.group)(Setting { parameters: parameters.unwrap_or(setting.parameters), stream: setting.stream })
}

/// Asks two plug-ins one after the other: the exact best node, then a slower one that places the group at once and is told when
/// the time is up.
pub struct Tiered<C> {
    /// What is good.
    pub objectives: Objectives,
    /// Where the better answer comes from.
    pub slow: Box<dyn GroupScheduler>,
    /// How many services of a group are planned at once, at most, when one of them is scored.
    pub ahead: usize,
    /// How late it is.
    pub clock: C,
    /// How long an answer may take.
    pub patience: Span,
}

impl<C: Clock> Tiered<C> {
    /// A plan for a group, and which tier it is from. The better one is no worse than the fast one: a slow plug-in that ends with
    /// less gave up.
    pub fn answer(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> (GroupPlan, Tier) {
        let mut question = Question::new(self.clock.now(), self.patience);
        let fast = greedy(&self.objectives, cluster, pods);
        let plan = GroupPlan { nodes: fast.clone(), proven: false, tried: pods.len() as u64, makeshift: 0 };
        question.fast(plan.clone());
        let (clock, deadline) = (&self.clock, question.deadline());
        let late = || time_up() || clock.now() > deadline;
        let better = self.slow.plan(cluster, pods, &late);
        let merit = |nodes: &[Option<NodeIndex>]| {
            (nodes.iter().flatten().count(), worth(&self.objectives, cluster, pods, nodes))
        };
        let is_better = merit(&better.nodes) >= merit(&fast);
        if is_better && !time_up() {
            question.better(clock.now(), better);
        } else {
            question.gave_up();
        }
        match question.poll(clock.now()) {
            Step::Answer(plan, tier) => (plan, tier),
            // Not so: the fast answer is there, and the slow one has ended.
            Step::Wait(_) | Step::Done => (plan, Tier::Fast),
        }
    }
}

impl<C: Clock> Scorer for Tiered<C> {
    /// S of every node, or with the node on top that the service has in a plan of it and the next of its group that have none.
    fn scores(&mut self, cluster: &Cluster<'_>, service: ServiceIndex, nodes: &[NodeIndex]) -> Vec<f64> {
        let services = cluster.problem().services();
        let pending = |other: &ServiceIndex| {
            *other != service && cluster.node(*other).is_none() && services[*other].group == services[service].group
        };
        let pods: Vec<ServiceIndex> =
            std::iter::once(service).chain((0..services.len()).filter(pending)).take(self.ahead).collect();
        let values = self.objectives.scoring(cluster, service).values(nodes);
        let (plan, tier) = self.answer(cluster, &pods, &|| false);
        let planned = plan.nodes.first().copied().flatten().and_then(|node| nodes.iter().position(|one| *one == node));
        match (tier, planned) {
            (Tier::Better, Some(chosen)) => favoured(chosen, &values, self.objectives.rounded),
            _ => marks(&values, self.objectives.rounded),
        }
    }
}

impl<C: Clock> GroupScheduler for Tiered<C> {
    fn plan(&mut self, cluster: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan {
        self.answer(cluster, pods, time_up).0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::tests::{linear, regions};
    use super::*;
    use crate::placement::NO_HURRY;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    /// What happens to a question that is asked at 10 ms with 5 ms of patience.
    fn asked() -> Question<&'static str> {
        Question::new(at(10), Span::from_millis(5))
    }

    #[test]
    fn the_better_answer_is_taken_in_time_and_the_fast_one_at_the_deadline() {
        let mut question = asked();
        assert_eq!(question.poll(at(10)), Step::Wait(Some(at(15))));
        question.fast("fast");
        assert_eq!(question.poll(at(14)), Step::Wait(Some(at(15))));
        let mut in_time = question.clone();
        in_time.better(at(15), "better");
        assert_eq!(in_time.poll(at(16)), Step::Answer("better", Tier::Better));
        assert_eq!(in_time.poll(at(17)), Step::Done);
        assert_eq!(question.poll(at(15)), Step::Answer("fast", Tier::Fast));
        question.better(at(15), "better");
        assert_eq!(question.poll(at(15)), Step::Done, "the answer has been given");
    }

    #[test]
    fn what_is_late_counts_only_where_there_is_nothing_else() {
        let mut question = asked();
        question.better(at(16), "better");
        assert_eq!(question.clone().poll(at(16)), Step::Answer("better", Tier::Better));
        question.fast("fast");
        assert_eq!(question.poll(at(16)), Step::Answer("fast", Tier::Fast));
    }

    #[test]
    fn nobody_waits_for_a_better_answer_that_will_not_come() {
        let mut question = asked();
        question.gave_up();
        assert_eq!(question.poll(at(11)), Step::Wait(None));
        question.fast("fast");
        assert_eq!(question.poll(at(11)), Step::Answer("fast", Tier::Fast));
        let mut late = asked();
        assert_eq!(late.poll(at(99)), Step::Wait(None), "there is no answer at all");
        late.fast("fast");
        assert_eq!(late.poll(at(99)), Step::Answer("fast", Tier::Fast));
    }

    /// A clock that goes on by a millisecond whenever it is read.
    struct Reading(AtomicU64);

    impl Clock for Reading {
        fn now(&self) -> Moment {
            at(self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    /// Puts everybody on one node after asking so often whether the time is up, or gives in when it is.
    struct Plodding(u64, NodeIndex);

    impl GroupScheduler for Plodding {
        fn plan(&mut self, _: &Cluster<'_>, pods: &[ServiceIndex], time_up: TimeUp<'_>) -> GroupPlan {
            let in_time = !(0..self.0).any(|_| time_up());
            let nodes = pods.iter().map(|_| in_time.then_some(self.1)).collect();
            GroupPlan { nodes, proven: false, tried: 1, makeshift: 0 }
        }
    }

    #[test]
    fn a_plan_in_time_wins_if_it_is_no_worse() {
        let problem = regions(3, 2, 8);
        let pods: Vec<ServiceIndex> = (0..8).collect();
        let cluster = Cluster::empty(&problem);
        let answer = |steps, patience| {
            let slow = Box::new(Plodding(steps, 3));
            let clock = Reading(AtomicU64::new(0));
            let mut tiered =
                Tiered { objectives: linear(), slow, ahead: 8, clock, patience: Span::from_millis(patience) };
            let (plan, tier) = tiered.answer(&cluster, &pods, NO_HURRY);
            (plan.nodes[0], tier)
        };
        assert_eq!(answer(10, 50), (Some(3), Tier::Better));
        assert_eq!(answer(100, 50), (Some(0), Tier::Fast));
        let mut spread = Tiered {
            objectives: linear(),
            slow: Box::new(Plodding(0, 3)),
            ahead: 8,
            clock: Still,
            patience: Span::ZERO,
        };
        spread.objectives.packing = false;
        assert_eq!(spread.answer(&cluster, &pods, NO_HURRY).1, Tier::Fast, "all on one node is worse than greedy");
    }

    #[test]
    fn the_planned_node_scores_highest() {
        let problem = regions(3, 2, 8);
        let cluster = Cluster::empty(&problem);
        let mut tiered = Tiered {
            objectives: linear(),
            slow: Box::new(Plodding(0, 3)),
            ahead: 8,
            clock: Still,
            patience: Span::ZERO,
        };
        let scores = tiered.scores(&cluster, 0, &[0, 1, 2, 3, 4, 5]);
        assert_eq!(super::super::objectives::highest(&scores), Some(3), "{scores:?}");
    }
}
