//! **longhaul** puts the nodes of one machine as far apart as a delay matrix says, and proves by measurement that they are.
//!
//! The flow goes one way only:
//!
//! ```text
//! matrix ─► shaping (desired kernel state) ─► tc (apply) ─► measure ─► report
//!                     pure                     adapter      adapter     pure
//! ```
//!
//! - [`wording`]: pure; how messages repeat foreign text.
//! - [`yaml`]: pure; what is read from YAML keeps its place in the file.
//! - [`units`], [`topology`], [`matrix`]: what is asked for. They import nothing above them.
//! - [`inventory`]: pure; the hosts of a testbed and how ssh reaches them.
//! - [`parameters`]: pure; what policies let their users set.
//! - [`balance`]: pure; which instance of a service gets the next request.
//! - [`placement`]: pure; which node each service runs on.
//! - [`sim`]: pure; virtual time: events, seeded streams, servers, a network from a matrix.
//! - [`shaping`]: pure; a node's row becomes the desired state, two states become the operations between them.
//! - [`timeline`]: pure; what every path does from which instant on, as one change of a row per step and node.
//! - [`intended`]: pure; a matrix or an impairment file becomes what each path is to do.
//! - [`netlink`]: the kernel's configuration protocol: sockets, batches, links and addresses.
//! - [`tc`]: the port `TrafficControl` and its adapters: netem by netlink, the user-space delay line, a fake.
//! - [`measure`]: what is: probe schedule (pure), kernel-stamped probes, comparison with the intention (pure).
//! - [`agent`]: what runs on a node: the session protocol.
//! - [`testbed`]: where nodes live: the lab of network namespaces.
//! - [`serving`]: HTTP servers with watched clients, for the two below.
//! - [`workload`]: when requests come and how long each takes (pure); synthetic services, and load that does not wait for answers.
//! - [`proxy`]: the balancer of a node, around [`balance`].
//! - [`experiment`]: plans, trials and runs; one room for each kind of experiment.
//! - [`report`]: pure; tables, plots and files of a run.
//! - [`cli`]: one file per subcommand; builds the adapters.

/// What tests in here and in tests/ share calls the library by its name.
#[cfg(test)]
extern crate self as longhaul;

pub mod agent;
pub mod balance;
pub mod cli;
pub mod experiment;
pub mod intended;
pub mod inventory;
pub mod matrix;
pub mod measure;
pub mod netlink;
pub mod parameters;
pub mod placement;
pub mod proxy;
pub mod report;
pub mod serving;
pub mod shaping;
pub mod sim;
pub mod tc;
pub mod testbed;
pub mod timeline;
pub mod topology;
pub mod units;
pub mod wording;
pub mod workload;
pub mod yaml;
