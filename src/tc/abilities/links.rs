//! Probes by netlink: devices, qdiscs, filters and actions.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::InfoKind;
use netlink_packet_route::tc::TcMessage;

use crate::netlink::link::{VethEnd, create_plain, create_veth};
use crate::netlink::{Connection, NetlinkError, Request};
use crate::shaping::{Ability, ClassShape, LossShare, Netem};
use crate::tc::codec::u32::{KeyMatch, Options, Rule, TOP, Verdict};
use crate::tc::codec::{Handle, Object, htb, netem, u32};
use crate::units::Delay;

/// The loopback interface, which every namespace has.
const LOOPBACK: u32 = 1;
/// Where distributions hide modules.
const EXTRA: &str = "distributions keep it in kernel-modules-extra or linux-modules-extra";

/// The answers.
pub(super) struct Links {
    pub(super) ifb: Ability,
    pub(super) veth: Ability,
    pub(super) clsact: Ability,
    pub(super) redirect: Ability,
    pub(super) htb: Ability,
    pub(super) netem: Ability,
    pub(super) netem_duplicate: Ability,
    pub(super) skbedit: Ability,
}

/// Tries everything in the calling thread's network namespace, which must be a scratch one.
pub(super) fn probe() -> Links {
    match Connection::open() {
        Ok(mut connection) => try_all(&mut connection),
        Err(error) => {
            let missing = || Ability::missing(error.to_string(), "permit netlink sockets");
            Links {
                ifb: missing(),
                veth: missing(),
                clsact: missing(),
                redirect: missing(),
                htb: missing(),
                netem: missing(),
                netem_duplicate: missing(),
                skbedit: missing(),
            }
        }
    }
}

fn try_all(connection: &mut Connection) -> Links {
    let [near, far] = ["probe0", "probe1"].map(|name| VethEnd { name, namespace: None });
    let mut attempt =
        |request: Request, config: &str, module: &str| judge(connection.execute_one(request), config, module);
    // In this order: later probes stand on what earlier ones made.
    Links {
        ifb: attempt(create_plain("probe2", InfoKind::Ifb), "CONFIG_IFB", "ifb"),
        veth: attempt(create_veth(near, far, None), "CONFIG_VETH", "veth"),
        clsact: attempt(
            qdisc(Handle::CLSACT, Handle::new(0xffff, 0), "clsact", None),
            "CONFIG_NET_SCH_INGRESS",
            "sch_ingress",
        ),
        redirect: attempt(redirect(1, None), "CONFIG_NET_CLS_U32 or CONFIG_NET_ACT_MIRRED", "cls_u32 act_mirred"),
        htb: attempt(
            qdisc(Handle::ROOT, htb::ROOT, htb::KIND, Some(htb::root_options())),
            "CONFIG_NET_SCH_HTB",
            "sch_htb",
        )
        .and_then(|| attempt(class(0x10), "CONFIG_NET_SCH_HTB", "sch_htb"))
        .and_then(|| attempt(class(0x20), "CONFIG_NET_SCH_HTB", "sch_htb")),
        netem: attempt(leaf(0x10, LossShare::default()), "CONFIG_NET_SCH_NETEM", "sch_netem"),
        netem_duplicate: duplicate(attempt(
            leaf(0x20, LossShare { share: 1, correlation: 0 }),
            "CONFIG_NET_SCH_NETEM",
            "sch_netem",
        )),
        skbedit: attempt(redirect(2, Some(Handle::new(0x10, 0x10))), "CONFIG_NET_ACT_SKBEDIT", "act_skbedit"),
    }
}

fn judge(answer: Result<(), NetlinkError>, config: &str, module: &str) -> Ability {
    let Err(error) = answer else { return Ability::Present };
    let remedy = match error.errno() {
        Some(libc::EPERM | libc::EACCES) => "run as root, or where user namespaces are permitted".to_owned(),
        _ => format!("`modprobe {module}` as root, or a kernel with {config}; {EXTRA}"),
    };
    Ability::missing(error.to_string(), remedy)
}

/// Where netem works and only duplication is refused, no module helps.
fn duplicate(answer: Ability) -> Ability {
    match answer {
        Ability::Missing { why, .. } if why.contains("duplicating") => Ability::missing(
            why,
            "not needed for delays; kernels before the restriction of July 2025, or after its repair, permit it",
        ),
        other => other,
    }
}

fn request(new: fn(TcMessage) -> RouteNetlinkMessage, object: &Object) -> Request {
    Request::create(new(object.to_message()), format!("making a {}", object.kind))
}

fn qdisc(parent: Handle, handle: Handle, kind: &str, options: Option<Vec<u8>>) -> Request {
    let object = Object { interface: LOOPBACK, parent, handle, kind: kind.to_owned(), options, ..Object::default() };
    request(RouteNetlinkMessage::NewQueueDiscipline, &object)
}

fn class(minor: u16) -> Request {
    let object = Object {
        interface: LOOPBACK,
        parent: htb::ROOT,
        handle: Handle::new(htb::ROOT.major(), minor),
        kind: htb::KIND.to_owned(),
        options: Some(htb::class_options(&ClassShape::UNLIMITED)),
        ..Object::default()
    };
    request(RouteNetlinkMessage::NewTrafficClass, &object)
}

fn leaf(minor: u16, duplicate: LossShare) -> Request {
    let options = netem::options(&Netem { duplicate, ..Netem::delay(Delay::from_millis(1)) });
    qdisc(Handle::new(htb::ROOT.major(), minor), Handle::new(0x1000 + minor, 0), netem::KIND, Some(options))
}

/// A rule for an address that nobody sends to, redirecting to the loopback interface.
fn redirect(node: u32, priority: Option<Handle>) -> Request {
    let key = KeyMatch { mask: u32::MAX, value: 0xf000_0001, offset: 16 };
    let rule = Rule { place: TOP, keys: vec![key], verdict: Verdict::Redirect { priority, interface: LOOPBACK } };
    let object = Object {
        interface: LOOPBACK,
        parent: Handle::EGRESS,
        handle: Handle(node),
        info: Object::info(1, 0x0800),
        kind: u32::KIND.to_owned(),
        options: Some(Options::Rule(rule).emit()),
        ..Object::default()
    };
    request(RouteNetlinkMessage::NewTrafficFilter, &object)
}
