//! The instances that a policy knows, in the order of their numbers, with what it keeps about each.

use super::InstanceId;

/// Instances and what is kept about them: flat, sorted, so that a decision reads through memory in order. A place is
/// an index into both lists; it is good until the next insertion or removal.
#[derive(Debug)]
pub(super) struct Roster<T> {
    ids: Vec<InstanceId>,
    /// Which coming each is: an instance that goes and comes back is another to requests of its first life.
    comings: Vec<u64>,
    kept: Vec<T>,
    came: u64,
}

/// An instance in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    instance: InstanceId,
    coming: u64,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self { ids: Vec::new(), comings: Vec::new(), kept: Vec::new(), came: 0 }
    }
}

impl<T> Roster<T> {
    /// Puts an instance in; its place, or `None` if it is there already.
    pub(super) fn insert(&mut self, instance: InstanceId, kept: T) -> Option<usize> {
        let place = self.ids.binary_search(&instance).err()?;
        self.ids.insert(place, instance);
        self.comings.insert(place, self.came);
        self.kept.insert(place, kept);
        self.came += 1;
        Some(place)
    }

    /// Takes an instance out; the place that it had.
    pub(super) fn remove(&mut self, instance: InstanceId) -> Option<usize> {
        let place = self.place(instance)?;
        self.ids.remove(place);
        self.comings.remove(place);
        self.kept.remove(place);
        Some(place)
    }

    /// Where an instance is.
    pub(super) fn place(&self, instance: InstanceId) -> Option<usize> {
        // As long as none has gone, instances are at the places of their numbers.
        let guess = instance.0 as usize;
        if self.ids.get(guess) == Some(&instance) {
            return Some(guess);
        }
        self.ids.binary_search(&instance).ok()
    }

    /// What a request takes along to find its instance again.
    pub(super) fn ticket(&self, place: usize) -> Ticket {
        Ticket { instance: self.ids[place], coming: self.comings[place] }
    }

    /// Where the instance of a ticket is, unless it has gone since.
    pub(super) fn find(&self, ticket: Ticket) -> Option<usize> {
        self.place(ticket.instance).filter(|place| self.comings[*place] == ticket.coming)
    }

    /// What is kept about an instance.
    pub(super) fn get_mut(&mut self, instance: InstanceId) -> Option<&mut T> {
        self.place(instance).map(|place| &mut self.kept[place])
    }

    /// Who is at a place.
    pub(super) fn id(&self, place: usize) -> InstanceId {
        self.ids[place]
    }

    /// All, in the order of their numbers.
    pub(super) fn ids(&self) -> &[InstanceId] {
        &self.ids
    }

    /// What is kept about each, by place.
    pub(super) fn kept(&self) -> &[T] {
        &self.kept
    }

    /// What is kept about each, by place, to be changed.
    pub(super) fn kept_mut(&mut self) -> &mut [T] {
        &mut self.kept
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_order_and_tickets_are_good_for_one_life() {
        let mut roster = Roster::default();
        assert_eq!([7, 3, 5].map(|id| roster.insert(InstanceId(id), id * 10)), [Some(0), Some(0), Some(1)]);
        assert_eq!(roster.insert(InstanceId(5), 0), None);
        assert_eq!((roster.ids().len(), roster.kept()), (3, &[30, 50, 70][..]));
        let ticket = roster.ticket(1);
        assert_eq!(roster.find(ticket), Some(1));
        assert_eq!(roster.remove(InstanceId(3)), Some(0));
        assert_eq!(roster.find(ticket), Some(0));
        assert_eq!([roster.remove(InstanceId(5)), roster.remove(InstanceId(5))], [Some(0), None]);
        roster.insert(InstanceId(5), 51);
        assert_eq!(roster.find(ticket), None);
        assert_eq!(roster.get_mut(InstanceId(5)), Some(&mut 51));
    }
}
