//! [`TimeScale`]: time dilation. A testbed with a clock of its own can play a plan slowly, with every time of it as many times
//! as long, so that a small machine keeps up with what a larger one would do at the plan's own pace. Pure.

use crate::balance::Qos;
use crate::experiment::subject::Policy;
use crate::matrix::{DelayMatrix, MatrixError};
use crate::parameters::{Given, ParameterError, Parameters, Value};
use crate::shaping::{Impairment, Jitter};
use crate::units::{Delay, Moment, Rate, Span};

/// How many seconds of a plan pass in a second of the testbed; 0.25 makes every time of the plan four times as long there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale(f64);

impl TimeScale {
    /// The plan's own pace.
    pub const ONE: Self = Self(1.0);

    /// So many plan seconds a second; `None` where nobody could mean that.
    pub fn new(plan_seconds: f64) -> Option<Self> {
        (0.001..=1_000.0).contains(&plan_seconds).then_some(Self(plan_seconds))
    }

    /// Plan seconds per second.
    pub const fn plan_seconds(self) -> f64 {
        self.0
    }

    /// Whether the testbed keeps the plan's own pace.
    pub fn is_one(self) -> bool {
        (self.0 - 1.0).abs() < 1e-12
    }

    /// A time of the plan as the testbed's clock has it.
    pub fn on_testbed(self, span: Span) -> Span {
        if self.is_one() { span } else { times(span, 1.0 / self.0) }
    }

    /// A time of the testbed as the plan has it.
    pub fn in_plan(self, span: Span) -> Span {
        if self.is_one() { span } else { times(span, self.0) }
    }

    /// A moment of the plan on the testbed's clock.
    pub fn moment_on_testbed(self, moment: Moment) -> Moment {
        Moment::START + self.on_testbed(moment.since(Moment::START))
    }

    /// What a service is to keep, by the testbed's clock.
    pub fn qos_on_testbed(self, qos: Qos) -> Qos {
        Qos { within: self.on_testbed(qos.within), at_least: qos.at_least, window: self.on_testbed(qos.window) }
    }

    /// The delays that the testbed is to have.
    pub fn matrix_on_testbed(self, matrix: &DelayMatrix) -> Result<DelayMatrix, MatrixError> {
        scaled(matrix, |span| self.on_testbed(span))
    }

    /// Delays that were measured there, as the plan has them.
    pub fn matrix_in_plan(self, matrix: &DelayMatrix) -> Result<DelayMatrix, MatrixError> {
        scaled(matrix, |span| self.in_plan(span))
    }

    /// What a path is to do on the testbed: its times are as many times as long, its rate as many times as low.
    pub fn impairment_on_testbed(self, impairment: Impairment) -> Impairment {
        let Impairment { delay, jitter, .. } = impairment;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and rates are positive
        let rate = |rate: Rate| Rate::from_bits_per_second((rate.bits_per_second() as f64 * self.0) as u64);
        Impairment {
            delay: Delay::from_nanos(self.on_testbed(delay.into()).as_nanos()),
            jitter: Jitter { span: self.on_testbed(jitter.span), ..jitter },
            rate: impairment.rate.map(rate),
            ..impairment
        }
    }

    /// What a policy is told on the testbed: its parameters with every time among them scaled. The error says which time is
    /// then out of the policy's bounds.
    pub fn parameters_on_testbed(self, policy: Policy, parameters: &Parameters) -> Result<Parameters, ParameterError> {
        let text = |value: Value| match value {
            Value::Time(span) => self.on_testbed(span).to_string(),
            other => other.to_string(),
        };
        let given: Given = parameters.iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
        Parameters::new(policy.name(), policy.parameters(), &given)
    }
}

fn times(span: Span, factor: f64) -> Span {
    Span::from_millis_f64(span.as_millis_f64() * factor).unwrap_or(Span::from_nanos(u64::MAX))
}

fn scaled(matrix: &DelayMatrix, change: impl Fn(Span) -> Span) -> Result<DelayMatrix, MatrixError> {
    let delays = matrix.delays().iter().map(|delay| Delay::from_nanos(change(Span::from(*delay)).as_nanos()));
    let mut changed = DelayMatrix::new(matrix.names().to_vec(), delays.collect())?;
    changed.metadata = matrix.metadata.clone();
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::subject::Kind;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_of_the_pace_makes_times_four_times_as_long_and_shares_stay() {
        let quarter = TimeScale::new(0.25).expect("a scale");
        assert_eq!(quarter.on_testbed(Span::from_millis(80)), Span::from_millis(320));
        assert_eq!(quarter.in_plan(Span::from_millis(320)), Span::from_millis(80));
        assert_eq!(quarter.moment_on_testbed(Moment::from_millis(5)), Moment::from_millis(20));
        let policy = Kind::Balancing.find("qedgeproxy").expect("is there");
        let plan = Parameters::new(policy.name(), policy.parameters(), &Given::new()).expect("defaults");
        let live = quarter.parameters_on_testbed(policy, &plan).expect("within bounds");
        for ((name, plan), (_, live)) in plan.iter().zip(live.iter()) {
            match (plan, live) {
                (Value::Time(plan), Value::Time(live)) => assert_eq!(live, quarter.on_testbed(plan), "{name}"),
                (plan, live) => assert_eq!(plan, live, "{name}"),
            }
        }
    }

    #[test]
    fn what_no_longer_fits_is_said() {
        let slow = TimeScale::new(0.001).expect("a scale");
        let policy = Kind::Balancing.find("qedgeproxy").expect("is there");
        let plan = Parameters::new(policy.name(), policy.parameters(), &Given::new()).expect("defaults");
        let refused = slow.parameters_on_testbed(policy, &plan).expect_err("ten seconds become hours").to_string();
        assert!(refused.contains("is not a value of"), "{refused}");
        assert!([f64::NAN, 0.0, -1.0, 2e3].into_iter().all(|scale| TimeScale::new(scale).is_none()));
    }

    proptest! {
        #[test]
        fn there_and_back_is_where_one_was(ns in 0u64..1 << 45, scale in 0.01f64..100.0) {
            let scale = TimeScale::new(scale).expect("a scale");
            let back = scale.in_plan(scale.on_testbed(Span::from_nanos(ns))).as_nanos();
            prop_assert!(back.abs_diff(ns) as f64 <= 1.0 + scale.plan_seconds() + ns as f64 * 1e-12, "{} {}", ns, back);
        }
    }
}
