//! A kick: a few services that talk to each other go to one node, and others there make room.

use rand_chacha::ChaCha8Rng;

use super::descent::Descent;
use crate::placement::dice::below;
use crate::placement::problem::ServiceIndex;
use crate::topology::NodeIndex;

/// The most services that are kicked at once.
const MOST: usize = 8;

/// Kicks. False where no kick was possible; then some of it may have been done, to be taken back.
pub(super) fn kick(descent: &mut Descent<'_>, stream: &mut ChaCha8Rng) -> bool {
    let services = descent.problem().services().len();
    if services == 0 || descent.problem().hosts().len() < 2 {
        return false;
    }
    let seed = costly(descent, stream);
    let size = 1 + below(stream, MOST.min(services));
    let target = target(descent, seed, stream);
    let group = group(descent, seed, size, target, stream);
    if group.is_empty() {
        return false;
    }
    for service in &group {
        descent.apply(*service, target);
    }
    make_room(descent, target, &group)
}

/// A service, rather one with traffic between nodes.
fn costly(descent: &Descent<'_>, stream: &mut ChaCha8Rng) -> ServiceIndex {
    let services = descent.problem().services().len();
    let mut service = 0;
    for _ in 0..8 {
        service = below(stream, services);
        let home = descent.evaluator().node(service);
        if descent.problem().links(service).iter().any(|link| descent.evaluator().node(link.peer) != home) {
            break;
        }
    }
    service
}

/// Where to: mostly to one that the service talks to, sometimes anywhere.
fn target(descent: &Descent<'_>, seed: ServiceIndex, stream: &mut ChaCha8Rng) -> NodeIndex {
    let links = descent.problem().links(seed);
    if links.is_empty() || below(stream, 4) == 0 {
        return below(stream, descent.problem().hosts().len());
    }
    descent.evaluator().node(links[below(stream, links.len())].peer)
}

/// The service and those around it, by traffic; only those that may be on the target and are not.
fn group(
    descent: &Descent<'_>,
    seed: ServiceIndex,
    size: usize,
    target: NodeIndex,
    stream: &mut ChaCha8Rng,
) -> Vec<ServiceIndex> {
    let problem = descent.problem();
    let (mut group, mut near) = (Vec::new(), vec![seed]);
    let mut next = 0;
    while next < near.len() && group.len() < size && near.len() < 4 * MOST {
        let service = near[next];
        next += 1;
        if problem.allows(service, target) && descent.evaluator().node(service) != target {
            group.push(service);
        }
        let links = problem.links(service);
        // A few of its peers, from a random one on.
        let first = below(stream, links.len());
        for step in 0..links.len().min(3) {
            let peer = links[(first + step) % links.len()].peer;
            if !near.contains(&peer) {
                near.push(peer);
            }
        }
    }
    group
}

/// Sends away from a node those that lose the least, until the rest has room.
fn make_room(descent: &mut Descent<'_>, node: NodeIndex, stay: &[ServiceIndex]) -> bool {
    while descent.evaluator().problem().objective().overload == crate::placement::Overload::Forbidden
        && !descent.evaluator().loads().is_within(node)
    {
        let members: Vec<ServiceIndex> = descent.members(node).to_vec();
        let mut best: Option<(f64, ServiceIndex, NodeIndex)> = None;
        for member in members.into_iter().filter(|member| !stay.contains(member)) {
            if let Some((lost, to)) = descent.refuge(member)
                && best.is_none_or(|(least, ..)| lost < least)
            {
                best = Some((lost, member, to));
            }
        }
        let Some((_, member, to)) = best else { return false };
        descent.apply(member, to);
    }
    true
}
