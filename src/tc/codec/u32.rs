//! u32: rules, hash tables and links between them, with the actions that rules carry.

use super::attributes::{Fields, NESTED, Writer, find, number, read, text};
use super::{Handle, Truncated};

/// The kind.
pub(in crate::tc) const KIND: &str = "u32";
/// The table number that means a list's top table, whatever its number is.
pub(in crate::tc) const TOP: u32 = 0xfff0_0000;

const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_HASH: u16 = 2;
const TCA_U32_LINK: u16 = 3;
const TCA_U32_DIVISOR: u16 = 4;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;

const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
/// Both actions have their structure in the attribute of this number.
const TCA_PARMS: u16 = 2;
const TCA_SKBEDIT_PRIORITY: u16 = 3;

/// A rule with this flag decides; without it, it only leads on.
const SEL_TERMINAL: u8 = 1;
const ACT_PIPE: u32 = 3;
const ACT_STOLEN: u32 = 4;
const EGRESS_REDIRECT: u32 = 1;

/// The options of a u32 object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tc) enum Options {
    /// A hash table with so many buckets.
    Table {
        /// Its number of buckets.
        divisor: u32,
    },
    /// A rule.
    Rule(Rule),
}

/// A rule: what it compares and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::tc) struct Rule {
    /// Table and bucket that it is in, as the upper 20 bits of a handle.
    pub(in crate::tc) place: u32,
    /// The comparisons, all of which must hold.
    pub(in crate::tc) keys: Vec<KeyMatch>,
    /// What follows.
    pub(in crate::tc) verdict: Verdict,
}

/// What follows when a rule holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::tc) enum Verdict {
    /// The packet goes its normal way, unseen by later rules.
    #[default]
    Pass,
    /// The packet belongs to a class.
    Class(Handle),
    /// The packet goes to another interface, with a new priority if one is given.
    Redirect {
        /// The priority: a class of that interface's qdisc.
        priority: Option<Handle>,
        /// The interface's index.
        interface: u32,
    },
    /// Another table decides.
    Link {
        /// The table, as the upper 12 bits of a handle.
        table: u32,
        /// What chooses the bucket.
        hash: Hash,
    },
    /// Anything else.
    Other,
}

/// 32 bits of a packet, under a mask, against a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tc) struct KeyMatch {
    /// The mask.
    pub(in crate::tc) mask: u32,
    /// The value.
    pub(in crate::tc) value: u32,
    /// The offset in bytes from the start of the network header.
    pub(in crate::tc) offset: i32,
}

impl KeyMatch {
    /// The comparison that always holds.
    pub(in crate::tc) const ANY: Self = Self { mask: 0, value: 0, offset: 0 };
}

/// What chooses a bucket: bits of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::tc) struct Hash {
    /// The bits, in network order.
    pub(in crate::tc) mask: u32,
    /// The offset of the 32 bits from the start of the network header.
    pub(in crate::tc) offset: u16,
}

impl Options {
    /// The bytes.
    pub(in crate::tc) fn emit(&self) -> Vec<u8> {
        match self {
            Self::Table { divisor } => Writer::default().number(TCA_U32_DIVISOR, *divisor).finish(),
            Self::Rule(rule) => rule.emit(),
        }
    }

    /// Reads the bytes.
    pub(in crate::tc) fn parse(options: &[u8]) -> Result<Self, Truncated> {
        match find(options, TCA_U32_DIVISOR).and_then(number) {
            Some(divisor) => Ok(Self::Table { divisor }),
            None => Rule::parse(options).map(Self::Rule),
        }
    }
}

impl Rule {
    fn emit(&self) -> Vec<u8> {
        let writer = match &self.verdict {
            Verdict::Class(class) => {
                Writer::default().number(TCA_U32_CLASSID, class.0).number(TCA_U32_HASH, self.place)
            }
            Verdict::Link { table, .. } => {
                Writer::default().number(TCA_U32_LINK, *table).number(TCA_U32_HASH, self.place)
            }
            Verdict::Redirect { priority, interface } => {
                Writer::default().nest(TCA_U32_ACT, &actions(*priority, *interface)).number(TCA_U32_HASH, self.place)
            }
            Verdict::Pass | Verdict::Other => Writer::default().number(TCA_U32_HASH, self.place),
        };
        writer.attribute(TCA_U32_SEL, &self.selector()).finish()
    }

    /// `struct tc_u32_sel` with its keys.
    fn selector(&self) -> Vec<u8> {
        let (flags, hash) = match &self.verdict {
            Verdict::Link { hash, .. } => (0, *hash),
            _ => (SEL_TERMINAL, Hash::default()),
        };
        let mut bytes = vec![flags, 0, u8::try_from(self.keys.len()).unwrap_or(u8::MAX), 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(hash.offset.to_ne_bytes());
        bytes.extend(hash.mask.to_be_bytes());
        for key in &self.keys {
            bytes.extend(key.mask.to_be_bytes());
            bytes.extend(key.value.to_be_bytes());
            bytes.extend(key.offset.to_ne_bytes());
            bytes.extend([0; 4]);
        }
        bytes
    }

    fn parse(options: &[u8]) -> Result<Self, Truncated> {
        let mut fields = Fields::of("struct tc_u32_sel", find(options, TCA_U32_SEL).unwrap_or_default());
        let (flags, _offset_shift) = (fields.byte()?, fields.byte()?);
        let (count, _) = (fields.byte()?, fields.byte()?);
        let _offset_mask_and_more = (fields.short()?, fields.short()?, fields.short()?);
        let hash = Hash { offset: fields.short()?, mask: fields.network()? };
        let mut keys = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (mask, value, offset) = (fields.network()?, fields.network()?, fields.signed()?);
            let next_header = fields.number()?;
            // A comparison behind a variable header is none of ours: no key of ours has an offset of zero and bits.
            keys.push(KeyMatch { mask, value, offset: if next_header == 0 { offset } else { i32::MIN } });
        }
        let place = find(options, TCA_U32_HASH).and_then(number).unwrap_or(0);
        Ok(Self { place, keys, verdict: verdict(options, flags, hash) })
    }
}

fn verdict(options: &[u8], flags: u8, hash: Hash) -> Verdict {
    let class = find(options, TCA_U32_CLASSID).and_then(number).unwrap_or(0);
    if let Some(table) = find(options, TCA_U32_LINK).and_then(number) {
        return Verdict::Link { table, hash };
    }
    match find(options, TCA_U32_ACT) {
        Some(list) if read(list).next().is_some() => parse_actions(list).unwrap_or(Verdict::Other),
        _ if flags & SEL_TERMINAL == 0 => Verdict::Other,
        _ if class != 0 => Verdict::Class(Handle(class)),
        _ => Verdict::Pass,
    }
}

/// The action list: optionally a new priority, then the redirection.
fn actions(priority: Option<Handle>, interface: u32) -> Writer {
    let generic = |control: u32| words(&[0, 0, control, 0, 0]);
    let mut list = Writer::default();
    let mut order = 1;
    if let Some(class) = priority {
        let options = Writer::default().attribute(TCA_PARMS, &generic(ACT_PIPE)).number(TCA_SKBEDIT_PRIORITY, class.0);
        list = list.nest(order, &action("skbedit", &options));
        order += 1;
    }
    let parms = [generic(ACT_STOLEN), words(&[EGRESS_REDIRECT, interface])].concat();
    list.nest(order, &action("mirred", &Writer::default().attribute(TCA_PARMS, &parms)))
}

fn action(kind: &str, options: &Writer) -> Writer {
    Writer::default().text(TCA_ACT_KIND, kind).nest(TCA_ACT_OPTIONS | NESTED, options)
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// The redirection in an action list; `None` when the list does anything else.
fn parse_actions(list: &[u8]) -> Option<Verdict> {
    let mut priority = None;
    let mut interface = None;
    for (_, action) in read(list) {
        let options = find(action, TCA_ACT_OPTIONS)?;
        match text(find(action, TCA_ACT_KIND)?).as_str() {
            "skbedit" if priority.is_none() && interface.is_none() => {
                priority = Some(Handle(number(find(options, TCA_SKBEDIT_PRIORITY)?)?));
            }
            "mirred" if interface.is_none() => interface = Some(redirect(find(options, TCA_PARMS)?)?),
            _ => return None,
        }
    }
    Some(Verdict::Redirect { priority, interface: interface? })
}

/// The interface of a `struct tc_mirred` that redirects to its way out.
fn redirect(parms: &[u8]) -> Option<u32> {
    let word = |index: usize| number(parms.get(index * 4..)?);
    (word(2)? == ACT_STOLEN && word(5)? == EGRESS_REDIRECT).then_some(word(6)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Pass),
            (1u32..).prop_map(|class| Verdict::Class(Handle(class))),
            (any::<Option<u32>>(), any::<u32>())
                .prop_map(|(priority, interface)| Verdict::Redirect { priority: priority.map(Handle), interface }),
            any::<(u32, u32, u16)>()
                .prop_map(|(table, mask, offset)| Verdict::Link { table, hash: Hash { mask, offset } }),
        ]
    }

    fn any_key() -> impl Strategy<Value = KeyMatch> {
        any::<(u32, u32, i32)>().prop_map(|(mask, value, offset)| KeyMatch { mask, value, offset })
    }

    proptest! {
        #[test]
        fn rules_are_read_as_they_were_written(
            place: u32, keys in prop::collection::vec(any_key(), 0..5), verdict in any_verdict()
        ) {
            let options = Options::Rule(Rule { place, keys, verdict });
            prop_assert_eq!(Options::parse(&options.emit()), Ok(options));
        }

        #[test]
        fn tables_are_read_as_they_were_written(divisor: u32) {
            let options = Options::Table { divisor };
            prop_assert_eq!(Options::parse(&options.emit()), Ok(options));
        }

        #[test]
        fn no_bytes_make_the_parser_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Options::parse(&bytes);
        }
    }
}
