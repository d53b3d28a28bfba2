//! [`remove_all`]: takes everything of ours out of a network namespace, whatever state it is in and wherever it hangs, and
//! says what that was. For a panic, and for an interface that got another name.

use std::thread::sleep;
use std::time::Instant;

use netlink_packet_route::RouteNetlinkMessage;

use super::read::other_filters;
use super::rules::{Found, Tables, family_of, preference, protocol};
use super::{GRACE, GRACE_POLL, device, hook_object};
use crate::netlink::link::{self, Link};
use crate::netlink::{Connection, Request};
use crate::shaping::{Family, FilterKey};
use crate::tc::codec::{Handle, Object, u32};
use crate::tc::{TcError, bpf};

/// What was, or would be, taken away; in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Gone, or to go.
    pub removed: Vec<String>,
    /// Of others, among ours: left alone.
    pub left: Vec<String>,
    /// Ours, and could not be removed; with the reason.
    pub stuck: Vec<String>,
}

/// Removes everything of ours from every interface of the calling thread's network namespace; with `only`, unless our device
/// serves another interface than that. `dry` looks and changes nothing.
pub fn remove_all(only: Option<&str>, dry: bool) -> Result<Removal, TcError> {
    let mut connection = Connection::open()?;
    let links = link::list(&mut connection)?;
    let ours = links.iter().find_map(Ours::of);
    let mut removal = Removal::default();
    if let (Some(only), Some(Ours { serves: Some(other), .. })) = (only, &ours)
        && only != other
    {
        return Ok(removal);
    }
    let qdiscs: Vec<Object> =
        connection.dump_as(&RouteNetlinkMessage::GetQueueDiscipline(Object::default().to_message()))?;
    let hooked =
        |link: &&Link| qdiscs.iter().any(|qdisc| qdisc.interface == link.index && qdisc.parent == Handle::CLSACT);
    let mut sweeper = Sweeper { connection: &mut connection, dry, removal: &mut removal };
    for link in &links {
        sweeper.program(link);
    }
    for link in links.iter().filter(hooked) {
        sweeper.interface(link, ours.as_ref())?;
    }
    if let Some(ours) = &ours {
        sweeper.attempt(device::NAME.to_owned(), &[link::delete(&ours.link)]);
    }
    Ok(removal)
}

/// Our device, as far as it was made.
struct Ours {
    link: Link,
    /// The interface that it was made for; `None` when its making was interrupted.
    serves: Option<String>,
    owns_hook: bool,
}

impl Ours {
    /// `None` for others' links. Until our mark is on it, a device of ours is never up.
    fn of(link: &Link) -> Option<Self> {
        if link.name != device::NAME || !matches!(link.kind.as_deref(), Some("ifb" | "veth")) {
            return None;
        }
        match device::mark(link.alias.as_deref().unwrap_or_default()) {
            Some((serves, owns_hook)) => Some(Self { link: link.clone(), serves: Some(serves.to_owned()), owns_hook }),
            None if link.alias.is_none() && !link.up => {
                Some(Self { link: link.clone(), serves: None, owns_hook: false })
            }
            None => None,
        }
    }
}

struct Sweeper<'a> {
    connection: &'a mut Connection,
    dry: bool,
    removal: &'a mut Removal,
}

impl Sweeper<'_> {
    /// A capture program, before the device that it sends packets to. It is there only if its process still is.
    fn program(&mut self, link: &Link) {
        if !bpf::is_on(link.index) {
            return;
        }
        let what = format!("the capture program of {}", link.name);
        match if self.dry { Ok(0) } else { bpf::sweep(link.index) } {
            Ok(_) => self.removal.removed.push(what),
            Err(error) => self.removal.stuck.push(format!("{what}: {error}")),
        }
    }

    /// Our lists on an interface, and its hook where that is ours.
    fn interface(&mut self, link: &Link, ours: Option<&Ours>) -> Result<(), TcError> {
        let on = |parent| Object { interface: link.index, parent, ..Object::default() };
        let message = RouteNetlinkMessage::GetTrafficFilter(on(Handle::EGRESS).to_message());
        let filters: Vec<Object> = self.connection.dump_as(&message)?;
        let mut found = false;
        for family in Family::ALL {
            let here = |object: &&Object| family_of(object.preference()) == Some(family) && object.chain == 0;
            let list: Vec<&Object> = filters.iter().filter(here).collect();
            found |= self.list(link, family, &list, ours.map_or(0, |ours| ours.link.index))?;
        }
        let Some(ours) = ours.filter(|ours| ours.owns_hook) else { return Ok(()) };
        if !found && ours.serves.as_deref() != Some(&link.name) {
            return Ok(());
        }
        let others = filters.iter().filter(|object| family_of(object.preference()).is_none()).count();
        let ingress = other_filters(self.connection, &on(Handle::INGRESS))?.others;
        if others + ingress == 0 && self.removal.left.is_empty() {
            let message = RouteNetlinkMessage::DelQueueDiscipline(hook_object(link.index).to_message());
            self.attempt(format!("clsact of {}", link.name), &[Request::delete(message, "delete")]);
        }
        Ok(())
    }

    /// One list at our preference; true when there was something of ours in it.
    fn list(&mut self, link: &Link, family: Family, list: &[&Object], device: u32) -> Result<bool, TcError> {
        let (mut ours, mut others, mut read) = (Vec::new(), Vec::new(), Vec::new());
        for object in list {
            if object.kind != u32::KIND {
                others.push(*object);
            } else if !object.options().is_empty() {
                read.push((*object, u32::Options::parse(object.options())?));
            }
        }
        let tables = Tables::of_list(family, read.iter().map(|(object, options)| (object.handle.0, options)));
        for (object, options) in &read {
            match tables.recognise(object.handle.0, options, device) {
                Found::Ours(key, _) => ours.push((key, *object)),
                Found::Top | Found::Unused => {}
                Found::Foreign => others.push(*object),
            }
        }
        let name = format!("{family} filters of {}", link.name);
        for object in &others {
            let what = format!("a {} filter with handle {:x}", object.kind, object.handle.0);
            self.removal.left.push(format!("{what} at preference {} of {}", preference(family), link.name));
        }
        if others.is_empty() {
            if !list.is_empty() {
                self.attempt(name, &[delete(&whole(link.index, family))]);
            }
        } else if !ours.is_empty() {
            // What leads into a table goes before it; a table within a bucket of another before that.
            ours.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
            let requests: Vec<Request> = ours
                .iter()
                .filter(|(key, _)| !matches!(key, FilterKey::Chain(_)))
                .map(|(_, object)| delete(object))
                .collect();
            self.attempt(name, &requests);
        }
        Ok(!list.is_empty())
    }

    /// Does the requests, and says how that went. A table counts as in use for a moment after the last link to it is gone.
    fn attempt(&mut self, what: String, requests: &[Request]) {
        let deadline = Instant::now() + GRACE;
        for request in requests.iter().filter(|_| !self.dry) {
            while let Err(error) = self.connection.execute_one(request.clone()) {
                match error.errno() {
                    Some(libc::EBUSY) if Instant::now() < deadline => sleep(GRACE_POLL),
                    // Somebody else was faster.
                    Some(libc::ENOENT | libc::ENODEV) => break,
                    Some(errno) => {
                        let why = nix::Error::from_raw(errno).desc();
                        return self.removal.stuck.push(format!("{what}: {why}"));
                    }
                    None => return self.removal.stuck.push(format!("{what}: {error}")),
                }
            }
        }
        self.removal.removed.push(what);
    }
}

fn whole(interface: u32, family: Family) -> Object {
    Object {
        interface,
        parent: Handle::EGRESS,
        info: Object::info(preference(family), protocol(family)),
        kind: u32::KIND.to_owned(),
        ..Object::default()
    }
}

fn delete(object: &Object) -> Request {
    let bare = Object { options: None, ..object.clone() };
    Request::delete(RouteNetlinkMessage::DelTrafficFilter(bare.to_message()), "delete")
}
