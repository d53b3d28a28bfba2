//! Large inputs that are easy to make and hard to read: memory and time stay in proportion.

use std::time::Duration;

use crate::{bounds, named};

/// Makes an input of about so many bytes.
type Make = Box<dyn Fn(usize) -> String>;

/// A repeated part between a beginning and an end.
fn repeated(start: impl Into<String>, part: &'static str, end: &'static str) -> Make {
    let start = start.into();
    Box::new(move |size| [&start, &part.repeat(size / part.len()), end].concat())
}

/// Numbered parts between a beginning and an end.
fn numbered(start: impl Into<String>, part: impl Fn(usize) -> String + 'static, end: &'static str) -> Make {
    let start = start.into();
    Box::new(move |size| {
        let mut text = start.clone();
        for number in 0.. {
            text.push_str(&part(number));
            if text.len() >= size {
                break;
            }
        }
        text + end
    })
}

/// Eight times the input may take little more than eight times the time, where that is enough to be told from noise.
fn check(inputs: &[(&str, &str, Make)]) {
    check_growth(inputs, (8_000, 64_000), 24);
}

/// The longer of two inputs may take so many times as long as the shorter one.
fn check_growth(inputs: &[(&str, &str, Make)], (short, long): (usize, usize), most: u32) {
    for (target, what, make) in inputs {
        let time = |size| {
            let input = make(size);
            println!("{target}: {what}, {} bytes", input.len());
            bounds::within(input.len(), || (named(target).run)(input.as_bytes()))
        };
        let (short, long) = (time(short), time(long));
        println!("{:>9.3} s of {target}: {what}", long.as_secs_f64());
        assert!(long < Duration::from_millis(100) || long < short * most, "{target}: {what}: {short:?}, then {long:?}");
    }
}

#[test]
fn large_graphs() {
    let node = |number| format!("node [ id {number} ]\n");
    let entity =
        |at: usize| ["<!ENTITY e", &at.to_string(), " \"", &format!("&e{};", at - 1).repeat(10), "\">"].concat();
    check(&[
        ("matrix_gml", "ampersands", repeated("graph [ node [ id 1 label \"", "&", "\" ] ]")),
        ("matrix_gml", "brackets", repeated("graph ", "[ a ", "")),
        ("matrix_gml", "nodes without edges", numbered("graph [\n", node, "]")),
        ("matrix_gml", "attributes", numbered("graph [ node [", |number| format!("a{number} {number} "), "] ]")),
        ("matrix_gml", "blank lines", repeated("graph [", "\n", "]")),
        ("matrix_gml", "comments", repeated("#", "\n#", "")),
        ("matrix_gml", "makers", repeated("", "Creator x\n", "graph [ ]")),
        ("matrix_graphml", "elements", repeated("<graphml>", "<a>", "")),
        ("matrix_graphml", "comments", repeated("<graphml><graph>", "<!-- -->", "</graph></graphml>")),
        (
            "matrix_graphml",
            "keys",
            numbered("<graphml>", |number| format!("<key id=\"{number}\"/>"), "<graph/></graphml>"),
        ),
        (
            "matrix_graphml",
            "nodes",
            numbered("<graphml><graph>", |number| format!("<node id=\"{number}\"/>\n"), "</graph></graphml>"),
        ),
        (
            "matrix_graphml",
            "entities in entities",
            repeated(
                format!(
                    "<!DOCTYPE x [<!ENTITY e0 \"aaaaaaaaaa\">{}]><graphml><graph><node id=\"&e19;\"/></graph></graphml>",
                    (1..20).map(entity).collect::<String>()
                ),
                "\n",
                "",
            ),
        ),
    ]);
}

#[test]
fn large_tables() {
    check(&[
        ("matrix_csv", "one line", repeated("", "0,", "0")),
        ("matrix_csv", "one column", repeated("", "0\n", "")),
        ("matrix_csv", "comments", repeated("", "# c\n", "0,1\n1,0\n")),
        ("matrix_csv", "units", repeated("", "# unit: ms\n", "")),
        ("matrix_csv", "blank lines between", repeated("0,1\n", "\n", "1,0\n")),
        ("matrix_csv", "an open quote", repeated("0,\"", "1\n", "")),
        ("matrix_csv", "quotes", repeated("a,", "\"", "")),
        ("matrix_csv", "a long cell", repeated("0,", "1", "\n1,0\n")),
        ("matrix_csv", "a long name", repeated("a,", "b", "\n0,1\n1,0\n")),
        ("matrix_json", "lists in lists", repeated("", "[", "")),
        ("matrix_json", "objects in objects", repeated("", "{\"names\":", "")),
        ("matrix_json", "empty rows", repeated("{\"names\":[\"a\"],\"delays_ns\":[", "[],", "[]]}")),
        ("matrix_json", "names", repeated("{\"names\":[", "\"a\",", "\"b\"],\"delays_ns\":[[0]]}")),
        ("matrix_json", "a long key", repeated("{\"", "k", "\":1}")),
        ("pairs", "strangers", numbered("", |number| format!("a{number},b{number},1\n"), "")),
        (
            "addresses",
            "addresses",
            numbered("", |number| format!("n,10.{}.{}.1\n", number / 256 % 256, number % 256), ""),
        ),
        ("trace", "paths", numbered("time,from,to,delay\n", |number| format!("{number},a{number},b,1\n"), "")),
        ("trace", "one path", numbered("time,from,to,delay\n", |number| format!("{},a,b,1\n", 100_000 - number), "")),
        (
            "schedule",
            "steps",
            numbered("apiVersion: longhaul/v1\ntimeline:\n", |n| format!("- {{at: {n}, matrix: a}}\n"), ""),
        ),
        ("schedule", "lists in lists", repeated("apiVersion: longhaul/v1\ntimeline: ", "[", "")),
        ("ping", "targets", numbered("", |number| format!("t{number} : 1\n"), "")),
        ("ping", "replies", repeated("PING b (10.0.0.2)\n", "64 bytes from b: time=1 ms\n", "")),
        ("ping", "open brackets", repeated("", "[", "")),
        ("tcconfig", "objects in objects", repeated("", "{\"a\":", "")),
        ("tcconfig", "keys with escapes", numbered("{", |number| format!("\"\\u0061{number}\":{{}},"), "\"z\":{}}")),
        (
            "tcconfig",
            "rules",
            numbered(
                "{\"e\":{\"outgoing\":{",
                |number| format!("\"network=10.{}.{}.0/24\":{{\"delay\":1}},\n", number / 256, number % 256),
                "\"network=0.0.0.0/0\":{}}}}",
            ),
        ),
    ]);
}

/// Each node has a delay to every other: twice the nodes, four times the paths.
#[test]
fn large_tables_of_nodes() {
    let inputs: [(&str, &str, Make); 2] = [
        ("pairs", "a star", numbered("", |number| format!("hub,n{number},1\n"), "")),
        ("cities", "cities", numbered("", |number| format!("c{number},1,1\n"), "")),
    ];
    check_growth(&inputs, (8_000, 16_000), 3 * 4);
}

#[test]
fn large_documents() {
    const HEAD: &str = "apiVersion: longhaul/v1\nmatrix: net.csv\n";
    let lists = |at: usize| {
        let below = format!("*b{}", at - 1);
        [
            format!("b{at}: &b{at} ["),
            vec![below; 10].join(", "),
            "]
"
            .to_owned(),
        ]
        .concat()
    };
    let bomb: String = (1..20).map(lists).collect();
    check(&[
        ("impairments", "rules", repeated(format!("{HEAD}paths:\n"), "- {from: a*, loss: 1%}\n", "")),
        (
            "impairments",
            "aliases of aliases",
            repeated(format!("{HEAD}b0: &b0 [x, x, x, x, x, x, x, x, x, x]\n{bomb}paths: *b19\n"), "\n", ""),
        ),
        ("impairments", "merges", repeated(format!("{HEAD}defaults: &d {{loss: 1%}}\npaths:\n"), "- {<<: *d}\n", "")),
        ("impairments", "lists in lists", repeated(format!("{HEAD}paths: "), "[", "")),
        ("impairments", "objects in objects", repeated(format!("{HEAD}paths: "), "{a: ", "")),
        ("impairments", "deeper and deeper", numbered(HEAD, |depth| format!("{}a:\n", " ".repeat(depth)), "")),
        ("impairments", "a long text", repeated(format!("{HEAD}defaults: {{loss: "), "5", "}\n")),
        ("impairments", "a long key", repeated(HEAD, "k", ": 1\n")),
        ("impairments", "documents", repeated(HEAD, "---\n", "")),
        ("impairments", "anchors", numbered(format!("{HEAD}paths:\n"), |number| format!("- &a{number} {{}}\n"), "")),
        ("selector", "a long text", repeated("10.0.0.1 ", "t", "")),
        ("request", "lists in lists", repeated("{\"id\":1,\"request\":", "[", "")),
        (
            "request",
            "paths",
            repeated(
                "{\"id\":1,\"request\":{\"apply\":{\"backend\":\"auto\",\"row\":{\"exclusions\":[],\"paths\":[",
                "{\"selectors\":[],\"impairment\":{\"delay\":1}},",
                "{\"selectors\":[],\"impairment\":{\"delay\":1}}]}}}}",
            ),
        ),
        ("session", "one line", repeated("", "x", "")),
        ("session", "a name without end", repeated("{\"id\":1,\"request\":\"", "x", "\"}")),
        ("session", "cancellations", numbered("", |number| format!("{{\"cancel\":{number}}}\n"), "")),
        ("session", "empty lines", repeated("", "\n", "")),
    ]);
}
