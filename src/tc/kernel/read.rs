//! Reads what the kernel holds: a [`Snapshot`] of our objects, their handles, and what others have put beside them.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_route::RouteNetlinkMessage;

use super::device::{self, Device};
use super::rules::{Found, Handles, Tables, class_of, family_of};
use crate::netlink::{Connection, link};
use crate::shaping::{Family, FilterKey, Key, Setting, State, Table};
use crate::tc::TcError;
use crate::tc::codec::{Handle, Object, htb, netem, u32};

/// What hangs on an interface for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// Nothing.
    Absent,
    /// A clsact qdisc, ours or another's.
    Clsact,
    /// The older ingress qdisc, which takes the same place.
    Ingress,
}

/// The filters at one place.
#[derive(Debug, Default)]
pub(super) struct FilterBook {
    /// The handles of our objects.
    pub(super) handles: BTreeMap<FilterKey, u32>,
    /// Their settings.
    pub(super) settings: BTreeMap<FilterKey, Setting>,
    /// The handles that are taken, but for those of tables.
    pub(super) used: BTreeSet<u32>,
    /// The numbers of tables that are taken, by us or by others.
    pub(super) tables: BTreeSet<u32>,
    /// How many objects of others there are.
    pub(super) others: usize,
    /// Whether one of those is u32: then its lists share table numbers with ours.
    pub(super) other_u32: bool,
}

/// What a kernel holds that concerns us.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The interface's index; `None` when it is not there.
    pub(super) interface: Option<u32>,
    /// Our device.
    pub(super) device: Option<Device>,
    /// What the interface has for filters.
    pub(super) hook: Hook,
    /// The filters on packets that leave the interface.
    pub(super) capture: FilterBook,
    /// The filters on packets that come in by the interface; none are ours.
    pub(super) ingress: FilterBook,
    /// The filters on our device.
    pub(super) classify: FilterBook,
    /// The qdiscs and classes on our device.
    pub(super) tree: BTreeMap<Key, Setting>,
}

impl Snapshot {
    /// Reads everything.
    pub(super) fn read(connection: &mut Connection, interface: &str) -> Result<Self, TcError> {
        let index = link::find(connection, interface)?.map(|link| link.index);
        let device = device::find(connection, interface)?;
        let qdiscs = dump(connection, &Object::default(), RouteNetlinkMessage::GetQueueDiscipline)?;
        let device_index = device.as_ref().map_or(0, |device| device.link.index);
        let mut snapshot = Self {
            interface: index,
            hook: index.map_or(Hook::Absent, |index| hook(&qdiscs, index)),
            capture: FilterBook::default(),
            ingress: FilterBook::default(),
            classify: FilterBook::default(),
            tree: BTreeMap::new(),
            device,
        };
        if let (Some(interface_index), Hook::Clsact) = (index, snapshot.hook) {
            let on = |parent| Object { interface: interface_index, parent, ..Object::default() };
            let place = format!("the egress hook of {interface}");
            snapshot.capture = filters(connection, &on(Handle::EGRESS), device_index, &place)?;
            snapshot.ingress = other_filters(connection, &on(Handle::INGRESS))?;
            // Both directions of a hook count their tables together.
            snapshot.capture.tables.extend(&snapshot.ingress.tables);
        }
        if device_index != 0 {
            snapshot.read_tree(connection, device_index, &qdiscs)?;
        }
        Ok(snapshot)
    }

    fn read_tree(&mut self, connection: &mut Connection, device: u32, qdiscs: &[Object]) -> Result<(), TcError> {
        let ours = qdiscs.iter().filter(|qdisc| qdisc.interface == device);
        for qdisc in ours {
            if qdisc.kind == htb::KIND && qdisc.handle == htb::ROOT && qdisc.parent == Handle::ROOT {
                self.tree.insert(Key::Root, Setting::Present);
            } else if let (netem::KIND, Some(class)) = (qdisc.kind.as_str(), class_of(qdisc.parent)) {
                let leaf = netem::parse(qdisc.options()).map_err(TcError::from)?;
                self.tree.insert(Key::Leaf(class), Setting::Leaf(leaf));
            }
        }
        if self.tree.contains_key(&Key::Root) {
            let on = Object { interface: device, ..Object::default() };
            for class in dump(connection, &on, RouteNetlinkMessage::GetTrafficClass)? {
                if let (htb::KIND, Some(id)) = (class.kind.as_str(), class_of(class.handle)) {
                    self.tree.insert(Key::Class(id), Setting::Class(htb::parse_class(class.options())?));
                }
            }
            self.classify = filters(connection, &Object { parent: htb::ROOT, ..on }, device, device::NAME)?;
        }
        Ok(())
    }

    /// The state, without the delay line's paths.
    pub(super) fn state(&self) -> State {
        // In the order of keys, so that a state of thousands is made at once.
        let tree = self.tree.iter().map(|(key, setting)| (*key, *setting));
        let classify = self.classify.settings.iter().map(|(key, setting)| (Key::Classify(*key), *setting));
        let capture = self.capture.settings.iter().map(|(key, setting)| (Key::Capture(*key), *setting));
        let mut state: State = tree.chain(classify).chain(capture).collect();
        if let Some(device) = self.device.as_ref().filter(|device| device.complete) {
            state.insert(Key::Device(device.kind), Setting::Present);
        }
        // A hook counts as ours to look after as long as our rules are on it, whoever made it.
        let made_by_us = self.device.as_ref().is_some_and(|device| device.owns_hook);
        if self.hook == Hook::Clsact && (made_by_us || !self.capture.settings.is_empty()) {
            state.insert(Key::Clsact, Setting::Present);
        }
        state
    }
}

fn hook(qdiscs: &[Object], interface: u32) -> Hook {
    let mut here = qdiscs.iter().filter(|qdisc| qdisc.interface == interface && qdisc.parent == Handle::CLSACT);
    match here.next().map(|qdisc| qdisc.kind.as_str()) {
        None => Hook::Absent,
        Some("clsact") => Hook::Clsact,
        Some(_) => Hook::Ingress,
    }
}

/// Lists objects like `of`: on its interface, under its parent.
fn dump(
    connection: &mut Connection,
    of: &Object,
    list: fn(netlink_packet_route::tc::TcMessage) -> RouteNetlinkMessage,
) -> Result<Vec<Object>, TcError> {
    Ok(connection.dump_as(&list(of.to_message()))?)
}

pub(super) fn other_filters(connection: &mut Connection, at: &Object) -> Result<FilterBook, TcError> {
    let mut book = FilterBook::default();
    dump(connection, at, RouteNetlinkMessage::GetTrafficFilter)?.iter().for_each(|object| book.note_other(object));
    Ok(book)
}

fn filters(connection: &mut Connection, at: &Object, device: u32, place: &str) -> Result<FilterBook, TcError> {
    let mut book = FilterBook::default();
    let mut ours: [Vec<(Object, u32::Options)>; 2] = Default::default();
    for object in dump(connection, at, RouteNetlinkMessage::GetTrafficFilter)? {
        match family_of(object.preference()).filter(|_| object.chain == 0) {
            None => book.note_other(&object),
            Some(_) if object.kind != u32::KIND => return Err(foreign(place, &object)),
            Some(family) if object.options().is_empty() => book.insert(FilterKey::Chain(family), 0, Setting::Present),
            Some(family) => {
                let options = u32::Options::parse(object.options())?;
                ours[family as usize].push((object, options));
            }
        }
    }
    for (family, objects) in Family::ALL.into_iter().zip(&ours) {
        let tables = Tables::of_list(family, objects.iter().map(|(object, options)| (object.handle.0, options)));
        for (object, options) in objects {
            match tables.recognise(object.handle.0, options, device) {
                Found::Ours(key, target) => {
                    book.insert(key, object.handle.0, target.map_or(Setting::Present, Setting::Rule));
                }
                Found::Top | Found::Unused => {}
                Found::Foreign => return Err(foreign(place, object)),
            }
        }
    }
    Ok(book)
}

impl Handles for FilterBook {
    fn of(&self, table: Table) -> Option<u32> {
        self.handles.get(&FilterKey::Table(table)).copied()
    }
}

impl FilterBook {
    fn note_other(&mut self, object: &Object) {
        self.others += 1;
        if object.kind == u32::KIND {
            self.other_u32 = true;
            self.tables.insert(object.handle.0 >> 20);
        }
    }

    /// Forgets an object; gives its handle.
    pub(super) fn remove(&mut self, key: &FilterKey) -> Option<u32> {
        self.settings.remove(key);
        let handle = self.handles.remove(key)?;
        match key {
            FilterKey::Table(_) | FilterKey::Stray(..) => self.tables.remove(&(handle >> 20)),
            _ => self.used.remove(&handle),
        };
        Some(handle)
    }

    /// Notes an object.
    pub(super) fn insert(&mut self, key: FilterKey, handle: u32, setting: Setting) {
        self.handles.insert(key, handle);
        match key {
            FilterKey::Table(_) | FilterKey::Stray(..) => _ = self.tables.insert(handle >> 20),
            _ => _ = self.used.insert(handle),
        }
        self.settings.insert(key, setting);
    }
}

fn foreign(place: &str, object: &Object) -> TcError {
    TcError::Foreign {
        place: place.to_owned(),
        found: format!(
            "a {} filter at preference {} with handle {:x}",
            object.kind,
            object.preference(),
            object.handle.0
        ),
    }
}
