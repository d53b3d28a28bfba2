//! Filter keys ↔ u32 rules: where each stands and what it compares. Pure.
//!
//! Handles are explicit everywhere: the kernel's own numbering stops at 2,048 rules in a bucket. A handle is a table (12 bits),
//! a bucket (8) and a node within the bucket (12); the kernel tries the nodes of a bucket in ascending order. The tables for prefix
//! lengths have fixed numbers; those below take free ones, and which is which is read from the links that lead to them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::compare::{byte, exempt_keys, hash, keys, pass_keys, pass_pattern, pattern};
use crate::shaping::{ClassId, Exempt, Family, FilterKey, Rank, Table, Target, Treatment};
use crate::tc::codec::u32::{Hash, KeyMatch, Options, Rule, TOP, Verdict};
use crate::tc::codec::{Handle, htb};

/// The preference of our IPv4 list; the IPv6 list has the next.
const PREFERENCE: u16 = 19_528;
/// The first table number of each family's lengths; all are below 0x800, where the kernel's own begin.
const LENGTH_TABLES: [u32; 2] = [0x100, 0x200];
/// The numbers of the tables below those.
pub(super) const FURTHER_TABLES: RangeInclusive<u32> = 0x300..=0x7ff;
/// The first of the kernel's own table numbers: the tops of lists.
const FIRST_OF_KERNEL: u32 = 0x800;
/// The node of the first link in the top table, for the longest prefix; exemptions come before it.
const FIRST_LINK: u32 = 0x10;
/// The nodes of links within buckets: behind all rules.
const BUCKET_LINKS: RangeInclusive<u32> = 0xff0..=0xfff;
/// Buckets of a table that is chosen by a byte.
const BUCKETS: u32 = 256;

/// The preference of a family's list.
pub(super) const fn preference(family: Family) -> u16 {
    PREFERENCE + family as u16
}

/// The Ethernet protocol number of a family.
pub(super) const fn protocol(family: Family) -> u16 {
    match family {
        Family::V4 => 0x0800,
        Family::V6 => 0x86dd,
    }
}

/// The family whose list has that preference.
pub(super) fn family_of(found: u16) -> Option<Family> {
    Family::ALL.into_iter().find(|family| preference(*family) == found)
}

/// The handle of a table whose number is fixed: one for a prefix length.
pub(super) fn fixed_handle(table: Table) -> Option<u32> {
    table.above().is_none().then(|| (LENGTH_TABLES[table.family() as usize] + u32::from(table.bits())) << 20)
}

/// The table of a fixed number in the list of `family`.
fn fixed_table(family: Family, number: u32) -> Option<Table> {
    let bits = u8::try_from(number.checked_sub(LENGTH_TABLES[family as usize])?).ok()?;
    (bits <= family.address_bits()).then(|| Table::of_length(family, bits))
}

/// The handles of tables.
pub(super) trait Handles {
    /// The handle of a table that is there.
    fn of(&self, table: Table) -> Option<u32>;
}

/// Where a rule, an exemption or a link stands: table and bucket, and the nodes that it may have there.
pub(super) fn place(key: &FilterKey, handles: &impl Handles) -> Option<(u32, RangeInclusive<u32>)> {
    let rank = |rank: Rank| u32::from(rank.places().0)..=u32::from(rank.places().1);
    match key {
        FilterKey::Rule(table, pattern, _) => {
            let bucket = u32::from(table.bucket(&pattern.prefix)) << 12;
            Some((handles.of(*table)? | bucket, rank(Rank::of(&pattern.portion))))
        }
        FilterKey::Exempt(exempt) => Some((TOP, *exempt as u32 + 1..=*exempt as u32 + 1)),
        FilterKey::Link(table) => {
            if let Some((above, bucket)) = table.above() {
                return Some((handles.of(above)? | u32::from(bucket) << 12, BUCKET_LINKS));
            }
            let node = FIRST_LINK + u32::from(table.family().address_bits() - table.bits());
            Some((TOP, node..=node))
        }
        FilterKey::Chain(_) | FilterKey::Table(_) | FilterKey::Stray(..) => None,
    }
}

/// The options of a filter object that has some.
pub(super) fn options(key: &FilterKey, target: Option<Target>, device: u32, handles: &impl Handles) -> Option<Options> {
    let (keys, verdict) = match key {
        FilterKey::Chain(_) | FilterKey::Stray(..) => return None,
        FilterKey::Table(table) => {
            return Some(Options::Table { divisor: if table.field().is_some() { BUCKETS } else { 1 } });
        }
        FilterKey::Rule(_, pattern, Treatment::Take) => (keys(pattern), verdict(target?, device)),
        FilterKey::Rule(_, pattern, Treatment::Pass) => (pass_keys(pattern), Verdict::Pass),
        FilterKey::Exempt(exempt) => (exempt_keys(*exempt), Verdict::Pass),
        FilterKey::Link(table) => {
            let hash = hash(table.family(), table.field());
            (vec![KeyMatch::ANY], Verdict::Link { table: handles.of(*table)?, hash })
        }
    };
    let (place, _) = place(key, handles)?;
    Some(Options::Rule(Rule { place, keys, verdict }))
}

fn verdict(target: Target, device: u32) -> Verdict {
    match target {
        Target::Class(class) => Verdict::Class(class_handle(class)),
        Target::Detour(class) => Verdict::Redirect { priority: class.map(class_handle), interface: device },
        Target::Elsewhere => Verdict::Other,
    }
}

/// What a rule of ours does with packets.
fn target(verdict: &Verdict, device: u32) -> Target {
    match verdict {
        Verdict::Class(handle) => class_of(*handle).map_or(Target::Elsewhere, Target::Class),
        Verdict::Redirect { priority: None, interface } if *interface == device => Target::Detour(None),
        Verdict::Redirect { priority: Some(handle), interface } if *interface == device => {
            class_of(*handle).map_or(Target::Elsewhere, |class| Target::Detour(Some(class)))
        }
        _ => Target::Elsewhere,
    }
}

/// The kernel's name of a class.
pub(super) const fn class_handle(class: ClassId) -> Handle {
    Handle::new(htb::ROOT.major(), class.minor())
}

/// The class of a handle under our root.
pub(super) fn class_of(handle: Handle) -> Option<ClassId> {
    if handle.major() == htb::ROOT.major() { ClassId::from_minor(handle.minor()) } else { None }
}

/// What a u32 object of a list of ours is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// One of our objects; rules with their target.
    Ours(FilterKey, Option<Target>),
    /// The kernel's own top table.
    Top,
    /// Something in a table that nothing leads to; it goes with the table.
    Unused,
    /// Something that we never make.
    Foreign,
}

/// The tables of a list, by their numbers.
pub(super) struct Tables {
    family: Family,
    known: BTreeMap<u32, Table>,
    handles: BTreeMap<Table, u32>,
}

impl Handles for Tables {
    fn of(&self, table: Table) -> Option<u32> {
        fixed_handle(table).or_else(|| self.handles.get(&table).copied())
    }
}

impl Tables {
    /// Finds out which table is which, from all objects of the list of `family`.
    pub(super) fn of_list<'a>(family: Family, objects: impl Iterator<Item = (u32, &'a Options)>) -> Self {
        let mut links: BTreeMap<u32, (u32, Hash)> = BTreeMap::new();
        for (handle, options) in objects {
            if let Options::Rule(Rule { verdict: Verdict::Link { table, hash }, .. }) = options {
                links.insert(table >> 20, (handle, *hash));
            }
        }
        let known: BTreeMap<u32, Table> =
            links.keys().filter_map(|number| Some((*number, follow(family, *number, &links)?))).collect();
        let handles = known.iter().map(|(number, table)| (*table, number << 20)).collect();
        Self { family, known, handles }
    }

    fn table(&self, number: u32) -> Option<Table> {
        fixed_table(self.family, number).or_else(|| self.known.get(&number).copied())
    }

    /// Recognises an object of the list.
    pub(super) fn recognise(&self, handle: u32, options: &Options, device: u32) -> Found {
        let number = handle >> 20;
        let in_top = number >= FIRST_OF_KERNEL;
        let unused = !in_top && self.table(number).is_none() && FURTHER_TABLES.contains(&number);
        let key = match options {
            Options::Table { .. } if in_top => return Found::Top,
            Options::Table { .. } if unused => {
                let number = u16::try_from(number).unwrap_or(0);
                return Found::Ours(FilterKey::Stray(self.family, number), None);
            }
            Options::Table { .. } => self.table(number).map(FilterKey::Table),
            Options::Rule(_) if unused => return Found::Unused,
            Options::Rule(rule) => self.rule(handle, rule),
        };
        let Some(key) = key.filter(|key| key.family() == self.family) else { return Found::Foreign };
        let found = match (key, options) {
            (FilterKey::Rule(.., Treatment::Take), Options::Rule(rule)) => Some(target(&rule.verdict, device)),
            _ => None,
        };
        if self.as_made(&key, handle, options, found, device) { Found::Ours(key, found) } else { Found::Foreign }
    }

    fn rule(&self, handle: u32, rule: &Rule) -> Option<FilterKey> {
        if let Verdict::Link { table, .. } = rule.verdict {
            return self.table(table >> 20).map(FilterKey::Link);
        }
        let Some(table) = self.table(handle >> 20) else {
            return Exempt::ALL.into_iter().find(|exempt| exempt_keys(*exempt) == rule.keys).map(FilterKey::Exempt);
        };
        let node = handle & 0xfff;
        let stands = |rank: &Rank| (rank.places().0..=rank.places().1).contains(&u16::try_from(node).unwrap_or(0));
        let rank = Rank::ALL.into_iter().find(stands)?;
        let (pattern, treatment) = match rule.verdict {
            Verdict::Pass => (pass_pattern(self.family, rank, &rule.keys)?, Treatment::Pass),
            _ => (pattern(self.family, rank, &rule.keys)?, Treatment::Take),
        };
        Some(FilterKey::Rule(table, pattern, treatment))
    }

    /// Whether we would have made `key` like this, and there.
    fn as_made(&self, key: &FilterKey, handle: u32, found: &Options, target: Option<Target>, device: u32) -> bool {
        match (found, self::options(key, target, device, self)) {
            (Options::Rule(found), Some(Options::Rule(made))) => {
                let leads = !matches!(made.verdict, Verdict::Link { .. }) || found.verdict == made.verdict;
                leads && found.keys == made.keys && self.stands(key, handle)
            }
            (found, Some(made)) => *found == made,
            _ => false,
        }
    }

    /// Whether `handle` is where `key` belongs.
    fn stands(&self, key: &FilterKey, handle: u32) -> bool {
        let Some((place, nodes)) = place(key, self) else { return false };
        let here = if place == TOP { handle >> 20 >= FIRST_OF_KERNEL } else { handle >> 12 == place >> 12 };
        here && nodes.contains(&(handle & 0xfff))
    }
}

/// The table of that number, by the links that lead to it; `None` when none does.
fn follow(family: Family, number: u32, links: &BTreeMap<u32, (u32, Hash)>) -> Option<Table> {
    let mut way = Vec::new();
    let mut at = number;
    let top = loop {
        if let Some(table) = fixed_table(family, at) {
            break table;
        }
        let (handle, hash) = links.get(&at)?;
        // A table is further from the top than any of ours, or its links go round in circles.
        if way.len() > 8 {
            return None;
        }
        way.push((u8::try_from(handle >> 12 & 0xff).ok()?, byte(family, *hash)?));
        at = handle >> 20;
    };
    way.into_iter().rev().try_fold(top, |table, (bucket, byte)| table.below(bucket, byte))
}

#[cfg(test)]
mod tests;
