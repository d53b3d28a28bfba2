//! Bytes that iproute2 6.1 sent, beside the command that made it send them; ours must be the same, and a second decoder must agree.
//!
//! Captured with `strace -e trace=sendmsg -e write=3 tc …` in a namespace, on a kernel that refuses netem and skbedit: what is
//! captured is what was asked.
#![allow(clippy::unwrap_used)]

use netlink_bindings::tc::{HtbAttrs, NetemAttrs, OpNewqdiscDo, OptionsMsg, U32Attrs};
use netlink_packet_core::Emitable;

use super::u32::{Hash, KeyMatch, Options, Rule, Verdict};
use super::{Handle, Object, htb, netem};
use crate::shaping::{ClassShape, LossShare, Netem, RateShape};
use crate::units::{Delay, Rate, Span};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

const REDIRECT_TO_4: Verdict = Verdict::Redirect { priority: None, interface: 4 };

fn rule(place: u32, keys: Vec<KeyMatch>, verdict: Verdict) -> Vec<u8> {
    let options = Options::Rule(Rule { place, keys, verdict });
    assert_eq!(Options::parse(&options.emit()), Ok(options.clone()));
    options.emit()
}

/// `tc filter add dev e0 egress protocol ip pref 19528 handle 120: u32 divisor 256`, the whole message.
#[test]
fn a_whole_message() {
    let object = Object {
        interface: 3,
        handle: Handle(0x1200_0000),
        parent: Handle::EGRESS,
        info: Object::info(19_528, 0x0800),
        kind: "u32".to_owned(),
        options: Some(Options::Table { divisor: 256 }.emit()),
        chain: 0,
    };
    let message = object.to_message();
    let mut emitted = vec![0; message.buffer_len()];
    message.emit(&mut emitted);
    let mut captured = bytes("0000000003000000 00000012 f3ffffff 0800484c 08000100 75333200 0c000200 0800040000010000");
    captured[31] = 0x80; // the bit that says that options hold attributes; iproute2 leaves it out
    assert_eq!(emitted, captured);
    assert_eq!(Object::parse(&emitted), Some(object));
}

/// `tc qdisc add dev lh0 root handle 10: htb default 0`
#[test]
fn htb_root() {
    assert_eq!(htb::root_options(), bytes("18000200 030000000a000000000000000000000000000000"));
}

/// `tc class add dev lh0 parent 10: classid 10:10 htb rate 100gbit ceil 100gbit burst 1250000 cburst 1250000 quantum 60000`,
/// without the rate tables, which kernels do not need since 3.9.
#[test]
fn htb_class() {
    let ours = htb::class_options(&ClassShape::UNLIMITED);
    assert_eq!(
        ours,
        bytes(
            "0c000600 00dd0ee902000000 0c000700 00dd0ee902000000 \
             30000100 03010000ffff0000ffffffff 03010000ffff0000ffffffff 1a060000 1a060000 60ea0000 00000000 00000000"
        )
    );
    let second = HtbAttrs::new(&ours);
    assert_eq!(second.get_rate64().unwrap() * 8, 100_000_000_000);
    let parms = second.get_parms().unwrap();
    assert_eq!((parms.buffer, parms.cbuffer, parms.quantum, parms.rate.linklayer), (1_562, 1_562, 60_000, 1));
}

/// What iproute2 sent stands at the start of each group of ours; we send the groups that it leaves out, too.
fn same_netem(captured: &str, netem: &Netem) {
    let (captured, ours) = (bytes(captured), netem::options(netem));
    assert_eq!(captured[..24], ours[..24], "the structure");
    for (kind, value) in super::attributes::read(&captured[24..]) {
        assert_eq!(super::attributes::find(&ours[24..], kind), Some(value), "attribute {kind}");
    }
    assert_eq!(netem::parse(&captured), Ok(*netem), "iproute2's bytes mean the same");
    assert_eq!(netem::parse(&ours), Ok(*netem));
}

/// `tc qdisc add dev lh0 parent 10:10 handle 1001: netem delay 10ms limit 10417`
#[test]
fn netem_delay() {
    let netem = Netem { limit: 10_417, ..Netem::delay(Delay::from_millis(10)) };
    same_netem("5a620200 b1280000 00000000 00000000 00000000 00000000", &netem);
}

/// `tc qdisc add dev lh0 root netem delay 10ms 2ms 25% loss 0.5% limit 5000`
#[test]
fn netem_jitter_and_loss() {
    let netem = Netem {
        delay: Delay::from_millis(10),
        jitter: Span::from_millis(2),
        delay_correlation: 0x4000_0000,
        limit: 5_000,
        loss: LossShare { share: 0x0147_ae14, correlation: 0 },
        ..Netem::default()
    };
    same_netem("5a620200 88130000 14ae4701 00000000 00000000 127a0000 1000 0100 00000040 00000000 00000000", &netem);
}

/// `tc qdisc add dev lh0 parent 10:10 handle 1001: netem delay 10ms 2ms 25% loss 0.5% 10% duplicate 1% 5% corrupt 0.1% 2%
/// reorder 3% 4% gap 5 rate 100mbit 10 53 5 limit 5000`
#[test]
fn netem_with_everything() {
    let share = |share, correlation| LossShare { share, correlation };
    let netem = Netem {
        delay: Delay::from_millis(10),
        jitter: Span::from_millis(2),
        delay_correlation: 0x4000_0000,
        limit: 5_000,
        loss: share(0x0147_ae14, 0x1999_999a),
        duplicate: share(0x028f_5c29, 0x0ccc_cccd),
        reorder: share(0x07ae_147b, 0x0a3d_70a4),
        gap: 5,
        corrupt: share(0x0041_8937, 0x051e_b852),
        rate: Some(RateShape {
            rate: Rate::from_bits_per_second(100_000_000),
            packet_overhead: 10,
            cell_size: 53,
            cell_overhead: 5,
        }),
        ..Netem::default()
    };
    same_netem(
        "5a62020088130000 14ae4701 05000000 295c8f02 127a0000 10000100 00000040 9a999919 cdcccc0c \
         0c000300 7b14ae07 a4703d0a 0c000400 37894100 52b81e05 14000600 20bcbe00 0a000000 35000000 05000000",
        &netem,
    );
}

/// `tc qdisc add dev lh0 parent 10:10 handle 1001: netem delay 10ms rate 100gbit limit 5000`
#[test]
fn netem_rate_beyond_32_bits() {
    let rate = RateShape { rate: Rate::from_gigabits(100), packet_overhead: 0, cell_size: 0, cell_overhead: 0 };
    let netem = Netem { limit: 5_000, rate: Some(rate), ..Netem::delay(Delay::from_millis(10)) };
    same_netem(
        "5a62020088130000 00000000 00000000 00000000 00000000 0c000800 00dd0ee902000000 \
         14000600 ffffffff 00000000 00000000 00000000",
        &netem,
    );
}

#[test]
fn netem_in_the_second_decoders_eyes() {
    let netem = Netem { seed: Some(7), ..Netem::delay(Delay::from_nanos(12_345_678)) };
    let object = Object { kind: "netem".to_owned(), options: Some(netem::options(&netem)), ..Object::default() };
    let message = object.to_message();
    let mut emitted = vec![0; message.buffer_len()];
    message.emit(&mut emitted);
    let (_, attributes) = OpNewqdiscDo::decode_request(&emitted);
    let OptionsMsg::Netem(head, tail) = attributes.get_options().unwrap() else { panic!("not netem") };
    assert_eq!((head.latency, head.limit), (12_345_678 / 64, netem.limit));
    assert_eq!(tail.get_latency64(), Ok(12_345_678));
    assert_eq!(tail.get_prng_seed(), Ok(7));
    assert_eq!(NetemAttrs::new(&netem::options(&netem)[24..]).get_jitter64(), Ok(0));
}

/// `… handle 120:2:1 u32 ht 120:2: match u32 0x0a000002 0xffffffff at 16 action mirred egress redirect dev lh0`
#[test]
fn a_capture_rule() {
    let key = KeyMatch { mask: 0xffff_ffff, value: 0x0a00_0002, offset: 16 };
    let ours = rule(0x1200_2000, vec![key], REDIRECT_TO_4);
    assert_eq!(
        ours,
        bytes(
            "38000700 34000100 0b000100 6d69727265640000 24000280 20000200 0000000000000000040000000000000000000000 \
             01000000 04000000 08000200 00200012 24000500 01000100000000000000000000000000 ffffffff 0a000002 10000000 00000000"
        )
    );
    let second = U32Attrs::new(&ours);
    assert_eq!(second.get_hash(), Ok(0x1200_2000));
    let selector = second.get_sel().unwrap();
    assert_eq!((selector.nkeys, selector.keys.mask(), selector.keys.val()), (1, 0xffff_ffff, 0x0a00_0002));
}

/// `… handle 120:2:2 u32 ht 120:2: match u32 0x0a000102 0xffffffff at 16 action skbedit priority 10:20 pipe
/// action mirred egress redirect dev lh0`
#[test]
fn a_capture_rule_that_names_the_class() {
    let key = KeyMatch { mask: 0xffff_ffff, value: 0x0a00_0102, offset: 16 };
    let verdict = Verdict::Redirect { priority: Some(Handle::new(0x10, 0x20)), interface: 4 };
    assert_eq!(
        rule(0x1200_2000, vec![key], verdict),
        bytes(
            "6c000700 34000100 0c000100 736b626564697400 24000280 18000200 0000000000000000030000000000000000000000 \
             08000300 20001000 34000200 0b000100 6d69727265640000 24000280 20000200 \
             0000000000000000040000000000000000000000 01000000 04000000 08000200 00200012 \
             24000500 01000100000000000000000000000000 ffffffff 0a000102 10000000 00000000"
        )
    );
}

/// `… handle 120:3:fff u32 ht 120:3: match u32 0 0 at 0 link 303: hashkey mask 0x0000ff00 at 16`
#[test]
fn a_link() {
    let verdict = Verdict::Link { table: 0x3030_0000, hash: Hash { mask: 0xff00, offset: 16 } };
    assert_eq!(
        rule(0x1200_3000, vec![KeyMatch::ANY], verdict),
        bytes(
            "08000300 00003030 08000200 00300012 24000500 \
             00000100000000000000100000 00ff00 00000000 00000000 00000000 00000000"
        )
    );
}

/// `tc filter add dev lh0 parent 10: protocol ipv6 pref 19529 handle 280:2:1 u32 ht 280:2: match u32 0xfd000000 0xffffffff at 24
/// match u32 0 0xffffffff at 28 match u32 0 0xffffffff at 32 match u32 2 0xffffffff at 36 classid 10:10`
#[test]
fn a_classify_rule() {
    let word = |value, offset| KeyMatch { mask: 0xffff_ffff, value, offset };
    let keys = vec![word(0xfd00_0000, 24), word(0, 28), word(0, 32), word(2, 36)];
    assert_eq!(
        rule(0x2800_2000, keys, Verdict::Class(Handle::new(0x10, 0x10))),
        bytes(
            "08000100 10001000 08000200 00200028 54000500 01000400000000000000000000000000 \
             ffffffff fd000000 18000000 00000000 ffffffff 00000000 1c000000 00000000 \
             ffffffff 00000000 20000000 00000000 ffffffff 00000002 24000000 00000000"
        )
    );
}
