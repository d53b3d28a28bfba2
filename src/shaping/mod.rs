//! Pure shaping: what a node must do (its row) becomes the desired state of its kernel. Imports `units`, `topology` and `matrix` only.
//!
//! ```text
//! row + back-end + abilities + state now ──desired──► wanted state
//!                    state now, wanted state ──diff──► operations, in an order that never drops a packet
//! ```

mod ability;
mod catch;
mod chain;
mod classes;
mod desired;
mod dice;
mod diff;
mod distribution;
mod expected;
mod filters;
mod impairment;
mod key;
mod netem;
mod own_table;
mod pattern;
mod row;
mod row_change;
mod selector;
mod state;
mod summary;
mod table;

pub use ability::{Abilities, Ability, Backend, BackendChoice, CaptureKind, ChoiceError, choose};
pub use catch::{Block, Catch, Caught, Profile, Verdict, Verdicts};
pub use classes::{ClassId, ClassShape};
pub use desired::{ShapingError, choose_for, desired};
pub use dice::{Damage, PathDice};
pub use diff::{Operation, diff};
pub use distribution::{Distribution, TABLE_SCALE, UnknownDistribution};
pub use expected::{Expected, SeenShare};
pub use filters::{MAX_IN_BUCKET, Rank};
pub use impairment::{Aspect, FourState, GilbertElliott, Impairment, ImpairmentError, Jitter, Loss, Reorder, Share};
pub use key::{DeviceKind, Exempt, Family, FilterKey, Key, Treatment};
pub use netem::{LossChain, LossShare, Netem, RateShape, limit_at, limit_for};
pub use own_table::{OwnTable, TableError, Tables};
pub use pattern::{Pattern, PortBlock, Portion, Side};
pub use row::{NetworkIntent, PathIntent, Row, RowPath};
pub use row_change::RowChange;
pub use selector::{PortRange, Protocol, Selector, SelectorError, Service, Transport};
pub use state::{Setting, State, Target};
pub use summary::beyond_delay;
pub use table::{HashField, Table};
