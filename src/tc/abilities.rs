//! placeholder
use crate::shaping::{Abilities, Ability};
/// p
pub fn probe() -> Abilities {
    let mut a = Abilities::all();
    if std::env::var_os("LONGHAUL_UML").is_none() {
        a.netem = Ability::missing("CONFIG_NET_SCH_NETEM", "x");
    }
    a.skbedit = Ability::missing("x", "x");
    a
}
