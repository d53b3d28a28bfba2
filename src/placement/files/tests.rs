//! Tests: files that are read, and what is said of those that are wrong.

use super::{Files, Source};
use crate::matrix::{self, ReadOptions};
use crate::placement::problem::Draft;

const MATRIX: &str = "# unit: ms\n,n1,n2,n3\nn1,0,3,8\nn2,8,0,4\nn3,4,12,0\n";
const NODES: &str = "apiVersion: longhaul/v1\nnodes:\n  n3: {capacity: {cpu: 4, memory: 16Gi}, used: {cpu: 500m}}\n  n1: {capacity: {cpu: 2}}\n";
const SERVICES: &str = "apiVersion: longhaul/v1\nrequests: {cpu: 150m}\nservices:\n  web: {}\n  db: {requests: {cpu: 1, memory: 64Mi}, nodes: [n3]}\n";
const TRAFFIC: &str = "# unit: KB\nfrom,to,request,response\nweb,db,1.5,20\n";
const CURRENT: &str = "apiVersion: longhaul/v1\nplacement:\n  web: n1\n";

fn draft(traffic: &str, nodes: &str, services: &str, current: &str) -> Result<Draft, String> {
    let options = ReadOptions::default();
    let matrix = matrix::parse("m.csv", MATRIX.as_bytes(), options).expect("a matrix");
    let source = |name, text: &'static str| Source { name, bytes: text.as_bytes() };
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let files = Files {
        traffic: source("t.csv", keep(traffic)),
        nodes: source("n.yaml", keep(nodes)),
        services: source("s.yaml", keep(services)),
        current: Some(source("c.yaml", keep(current))),
    };
    files.draft(&matrix).map_err(|error| error.to_string())
}

#[test]
fn files_become_a_draft_by_names() {
    let draft = draft(TRAFFIC, NODES, SERVICES, CURRENT).expect("a draft");
    let names: Vec<&str> = draft.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["cpu", "memory"]);
    assert_eq!(
        (draft.hosts[0].capacity.as_slice(), draft.hosts[0].used.as_slice()),
        (&[4000, 16 << 30][..], &[500, 0][..])
    );
    assert_eq!(draft.hosts[1].capacity, [2000, 0]);
    // The nodes are in the order of their file, not of the matrix.
    let ms: Vec<f64> = draft.delays.iter().map(|delay| delay.as_millis_f64()).collect();
    assert_eq!(ms.map_to_whole(), [0, 4, 8, 0]);
    let (web, db) = (&draft.services[0], &draft.services[1]);
    assert_eq!((web.demand.as_slice(), web.allowed.as_deref(), web.current), (&[150, 0][..], None, Some(1)));
    assert_eq!(
        (db.demand.as_slice(), db.allowed.as_deref(), db.current),
        (&[1000, 64 << 20][..], Some(&[0][..]), None)
    );
    assert_eq!((draft.edges[0].request, draft.edges[0].response), (1500, 20_000));
}

trait Whole {
    fn map_to_whole(&self) -> Vec<i64>;
}

impl Whole for Vec<f64> {
    #[allow(clippy::cast_possible_truncation)]
    fn map_to_whole(&self) -> Vec<i64> {
        self.iter().map(|number| *number as i64).collect()
    }
}

#[test]
fn stress_counts_both_ways() {
    let draft = draft("from,to,stress\nweb,db,7\n", NODES, SERVICES, CURRENT).expect("a draft");
    assert_eq!((draft.edges[0].request, draft.edges[0].response), (7, 7));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let traffic = |text: &str| draft(text, NODES, SERVICES, CURRENT).expect_err("wrong");
    let nodes = |text: &str| draft(TRAFFIC, text, SERVICES, CURRENT).expect_err("wrong");
    let services = |text: &str| draft(TRAFFIC, NODES, text, CURRENT).expect_err("wrong");
    let current = |text: &str| draft(TRAFFIC, NODES, SERVICES, text).expect_err("wrong");
    for (said, wanted) in [
        (traffic(""), "t.csv: the file is empty; its first line is `from,to,request,response`"),
        (
            traffic("web,db,1\n"),
            "t.csv:1:1: the first line names the columns: write `from,to,request,response` or `from,to,stress`, not `web,db,1`",
        ),
        (traffic("from,to,stress\nweb, dbx,1\n"), "t.csv:2:6: there is no service `dbx` in the file of services"),
        (traffic("from,to,stress\nweb,db,-1\n"), "t.csv:2:8: `-1` is no amount of traffic; write a number from 0 on"),
        (traffic("from,to,stress\nweb,db\n"), "t.csv:2:1: 2 fields, and the first line names another number"),
        (
            traffic("from,to,stress\nweb,web,1\n"),
            "t.csv:2:5: `web` sends to itself; leave the line out, it costs nothing",
        ),
        (traffic("# unit: miles\n"), "t.csv:1:1: `miles` is no unit of traffic; write bytes, KB, MB or GB"),
        (
            nodes("apiVersion: longhaul/v1\nnodes:\n  n9: {capacity: {cpu: 4}}\n"),
            "n.yaml:3:3: the delay matrix has no node `n9`; it has n1, n2, n3",
        ),
        (
            nodes("apiVersion: longhaul/v1\nnodes:\n  n1: {capacity: {cpu: lots}}\n"),
            "n.yaml:3:24: `lots` is no amount of cpu; write for example 150m, 2 or 64Mi",
        ),
        (
            nodes("apiVersion: longhaul/v2\nnodes: {}\n"),
            "n.yaml:1:13: apiVersion is `longhaul/v2`; this longhaul reads longhaul/v1",
        ),
        (
            services("apiVersion: longhaul/v1\nservices:\n  web: {requests: {gpu: 1}}\n"),
            "s.yaml:3:20: no node has any `gpu`, which web wants; nodes have cpu, memory",
        ),
        (
            services("apiVersion: longhaul/v1\nservices:\n  web: {nodes: [n2]}\n"),
            "s.yaml:3:17: there is no node `n2` in the file of nodes",
        ),
        (
            services("apiVersion: longhaul/v1\nservices:\n  web: {nodes: []}\n"),
            "s.yaml:3:16: `web` is allowed on no node; name some, or leave `nodes` out",
        ),
        (
            current("apiVersion: longhaul/v1\nplacement: {cache: n1}\n"),
            "c.yaml:2:13: there is no service `cache` in the file of services",
        ),
    ] {
        assert_eq!(said, wanted);
    }
}
