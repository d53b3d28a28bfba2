//! Operations → netlink requests, for objects that one request makes, changes or deletes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use netlink_packet_route::RouteNetlinkMessage;

use super::read::{FilterBook, Snapshot};
use super::rules::{FURTHER_TABLES, class_handle, fixed_handle, options, place, preference, protocol};
use crate::netlink::Request;
use crate::shaping::{ClassId, DeviceKind, Family, FilterKey, Key, Operation, Setting};
use crate::tc::TcError;
use crate::tc::codec::u32::{KIND, TOP};
use crate::tc::codec::{Handle, Object, htb, netem};

/// The major number of the first class's netem; each has its own.
const LEAVES: u16 = 0x1000;

/// Which deletions need no request of their own, because a later one of the same list does it too.
#[derive(Debug)]
pub(super) struct Covered {
    tree: bool,
    capture_lists: bool,
    tables: BTreeSet<Key>,
}

impl Covered {
    /// Looks through the deletions.
    pub(super) fn of(operations: &[Operation], snapshot: &Snapshot) -> Self {
        let deleted: BTreeSet<Key> = operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::Delete(key) => Some(*key),
                _ => None,
            })
            .collect();
        let all_lists_go = Family::ALL
            .into_iter()
            .map(FilterKey::Chain)
            .all(|list| !snapshot.capture.handles.contains_key(&list) || deleted.contains(&Key::Capture(list)));
        Self {
            tree: deleted.contains(&Key::Device(DeviceKind::Ifb)),
            // Tables live until the last u32 list of the hook goes; with another's list they would outlive ours.
            capture_lists: all_lists_go && !snapshot.capture.other_u32 && !snapshot.ingress.other_u32,
            tables: deleted,
        }
    }

    fn covers(&self, key: &Key) -> bool {
        let with_table = |wrap: fn(FilterKey) -> Key, filter: &FilterKey| match filter {
            FilterKey::Rule(table, ..) => self.tables.contains(&wrap(FilterKey::Table(*table))),
            _ => false,
        };
        match key {
            Key::Root | Key::Class(_) | Key::Leaf(_) => self.tree,
            Key::Classify(filter) => self.tree || with_table(Key::Classify, filter),
            Key::Capture(FilterKey::Chain(_)) => false,
            Key::Capture(filter) => self.capture_lists || with_table(Key::Capture, filter),
            _ => false,
        }
    }
}

/// The request for an operation; `None` when a later one covers it. Keeps the snapshot's handles up to date.
pub(super) fn request(
    operation: &Operation,
    snapshot: &mut Snapshot,
    covered: &Covered,
    interface: &str,
) -> Result<Option<Request>, TcError> {
    let device = snapshot.device.as_ref().map_or(0, |device| device.link.index);
    let object = match operation.key() {
        Key::Root => {
            Object { handle: htb::ROOT, ..on_tree(device, Handle::ROOT, htb::KIND, Some(htb::root_options())) }
        }
        Key::Class(class) => {
            Object { handle: class_handle(*class), ..on_tree(device, htb::ROOT, htb::KIND, class_options(operation)) }
        }
        Key::Leaf(class) => Object {
            handle: leaf_handle(*class),
            ..on_tree(device, class_handle(*class), netem::KIND, leaf_options(operation))
        },
        Key::Classify(filter) => {
            let base = Object { interface: device, parent: htb::ROOT, ..Object::default() };
            filter_object(operation, filter, &mut snapshot.classify, base, device)?
        }
        Key::Capture(filter) => {
            let index = snapshot.interface.ok_or_else(|| TcError::NoInterface { interface: interface.to_owned() })?;
            let base = Object { interface: index, parent: Handle::EGRESS, ..Object::default() };
            filter_object(operation, filter, &mut snapshot.capture, base, device)?
        }
        key => {
            return Err(TcError::Conflict {
                operation: operation.to_string(),
                why: format!("one request does not make {key}"),
            });
        }
    };
    if matches!(operation, Operation::Delete(_)) && covered.covers(operation.key()) {
        return Ok(None);
    }
    Ok(Some(framed(operation, &object, interface)))
}

fn on_tree(device: u32, parent: Handle, kind: &str, options: Option<Vec<u8>>) -> Object {
    Object { interface: device, parent, kind: kind.to_owned(), options, ..Object::default() }
}

/// Each netem has a major number of its own: 0x1001 for the first class.
fn leaf_handle(class: ClassId) -> Handle {
    Handle::new(LEAVES + (class.minor() >> 4), 0)
}

fn class_options(operation: &Operation) -> Option<Vec<u8>> {
    match operation {
        Operation::Add(_, Setting::Class(shape)) | Operation::Change(_, Setting::Class(shape)) => {
            Some(htb::class_options(shape))
        }
        _ => None,
    }
}

fn leaf_options(operation: &Operation) -> Option<Vec<u8>> {
    match operation {
        Operation::Add(_, Setting::Leaf(leaf)) | Operation::Change(_, Setting::Leaf(leaf)) => {
            Some(netem::options(leaf))
        }
        _ => None,
    }
}

fn filter_object(
    operation: &Operation,
    key: &FilterKey,
    book: &mut FilterBook,
    base: Object,
    device: u32,
) -> Result<Object, TcError> {
    let info = Object::info(preference(key.family()), protocol(key.family()));
    let object = Object { info, kind: KIND.to_owned(), ..base };
    let known = |book: &FilterBook| {
        let missing = || TcError::Missing { operation: operation.to_string(), missing: *operation.key() };
        book.handles.get(key).copied().ok_or_else(missing)
    };
    let (handle, setting) = match operation {
        Operation::Add(_, setting) => {
            let full = || TcError::Conflict {
                operation: operation.to_string(),
                why: "what it belongs under is not there, or the kernel has no number left for it".to_owned(),
            };
            (book.allocate(key, *setting).ok_or_else(full)?, Some(setting))
        }
        Operation::Change(_, setting) => (known(book)?, Some(setting)),
        Operation::Delete(_) => {
            let handle = known(book)?;
            book.remove(key);
            (handle, None)
        }
    };
    let target = match setting {
        Some(Setting::Rule(target)) => Some(*target),
        _ => None,
    };
    let options = setting.and_then(|_| options(key, target, device, &*book)).map(|options| options.emit());
    Ok(Object { handle: Handle(handle), options, ..object })
}

impl FilterBook {
    /// The handle for a new object: the fixed one or the lowest that is free; `None` when there is none.
    ///
    /// In the top table only the node is ours to say; the whole handle is known when it has been read back.
    pub(super) fn allocate(&mut self, key: &FilterKey, setting: Setting) -> Option<u32> {
        let handle = match key {
            FilterKey::Chain(_) | FilterKey::Stray(..) => 0,
            FilterKey::Table(table) => fixed_handle(*table).or_else(|| self.free_table())?,
            _ => match place(key, self)? {
                (TOP, nodes) => *nodes.start(),
                (place, nodes) => self.free_node(place, nodes)?,
            },
        };
        self.insert(*key, handle, setting);
        Some(handle)
    }

    fn free_table(&self) -> Option<u32> {
        let (first, last) = FURTHER_TABLES.into_inner();
        // Mostly the one after the last; gaps are looked for only when there is none.
        let next = self.tables.range(first..=last).next_back().map_or(first, |number| number + 1);
        let free = (next..=last).chain(first..next).find(|number| !self.tables.contains(number));
        free.map(|number| number << 20)
    }

    fn free_node(&self, place: u32, nodes: RangeInclusive<u32>) -> Option<u32> {
        let mut taken = self.used.range(place | nodes.start()..=place | nodes.end()).peekable();
        nodes.map(|node| place | node).find(|handle| taken.next_if_eq(&handle).is_none())
    }
}

fn framed(operation: &Operation, object: &Object, interface: &str) -> Request {
    let on = match operation.key() {
        Key::Capture(_) => interface,
        _ => super::device::NAME,
    };
    let what = format!("{operation} on {on}");
    let message = object.to_message();
    let (new, delete): (fn(_) -> _, fn(_) -> _) = match operation.key() {
        Key::Class(_) => (RouteNetlinkMessage::NewTrafficClass, RouteNetlinkMessage::DelTrafficClass),
        Key::Root | Key::Leaf(_) => (RouteNetlinkMessage::NewQueueDiscipline, RouteNetlinkMessage::DelQueueDiscipline),
        _ => (RouteNetlinkMessage::NewTrafficFilter, RouteNetlinkMessage::DelTrafficFilter),
    };
    match operation {
        Operation::Add(..) => Request::create(new(message), what),
        Operation::Change(..) => Request::change(new(message), what),
        Operation::Delete(_) => Request::delete(delete(message), what),
    }
}
