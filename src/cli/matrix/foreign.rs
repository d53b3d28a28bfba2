//! Matrices in several files that know nodes by name and address: of tcconfig and of ping.

use std::path::Path;

use super::files::bytes_of;
use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::matrix::generate::parse_pairs;
use crate::matrix::{
    AddressList, DelayMatrix, PingLog, ReadOptions, parse_pings, parse_table, parse_tcconfig, read_bytes, to_tcconfig,
};
use crate::testbed::lab::addressing;
use crate::topology::NodeName;

/// Formats that cannot be told by their content, or that need several files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ForeignFormat {
    /// JSON of tcconfig, one NAME=FILE for each host
    Tcconfig,
    /// Logs of ping, fping or hping: NAME=FILE for the log of a host, or FROM,TO=FILE for that of a pair
    Ping,
    /// A table of regions with gaps, in any order of rows
    Table,
    /// A list of pairs, such as `from,to,there` lines
    Pairs,
}

/// Reads the files and makes one matrix of them.
pub(super) fn read(
    format: ForeignFormat,
    inputs: &[String],
    addresses: Option<&Path>,
    options: ReadOptions,
) -> anyhow::Result<DelayMatrix> {
    match format {
        ForeignFormat::Tcconfig => {
            let mut files = Vec::new();
            for input in inputs {
                let (name, file) = named(input)?;
                files.push((name.parse::<NodeName>()?, file.to_owned(), read_bytes(Path::new(file))?));
            }
            let names: Vec<NodeName> = files.iter().map(|(name, ..)| name.clone()).collect();
            Ok(parse_tcconfig(&files, &address_list(addresses, &names)?, options)?)
        }
        ForeignFormat::Ping => {
            let logs = inputs.iter().map(|input| log(input)).collect::<anyhow::Result<Vec<PingLog>>>()?;
            let mut names: Vec<NodeName> = Vec::new();
            for name in logs.iter().flat_map(|log| std::iter::once(&log.from).chain(&log.to)) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            Ok(parse_pings(&logs, &address_list(addresses, &names)?, options)?)
        }
        ForeignFormat::Table => {
            let [file] = inputs else { bail!("--from table: give one file, not {}", inputs.len()) };
            Ok(parse_table(file, &bytes_of(Path::new(file))?, options)?)
        }
        ForeignFormat::Pairs => {
            let [file] = inputs else { bail!("--from pairs: give one file, not {}", inputs.len()) };
            Ok(parse_pairs(file, &bytes_of(Path::new(file))?, options)?.generate()?)
        }
    }
}

/// The row of a node as a file of tcconfig.
pub(super) fn row(
    matrix: &DelayMatrix,
    node: Option<&str>,
    addresses: Option<&Path>,
    device: &str,
) -> anyhow::Result<String> {
    let node = node.context("--to tcconfig: say whose row it is with --node NAME; a file holds what one host does")?;
    let from = matrix.names().iter().position(|name| name.as_str() == node);
    let from = from.with_context(|| format!("--node: there is no node `{node}` in the matrix"))?;
    Ok(to_tcconfig(matrix, from, &address_list(addresses, matrix.names())?, device)?)
}

fn log(input: &str) -> anyhow::Result<PingLog> {
    let (names, file) = named(input)?;
    let (from, to) = match names.split_once(',') {
        Some((from, to)) => (from, Some(to.parse()?)),
        None => (names, None),
    };
    Ok(PingLog { from: from.parse()?, to, file: file.to_owned(), bytes: read_bytes(Path::new(file))? })
}

fn named(input: &str) -> anyhow::Result<(&str, &str)> {
    input.split_once('=').with_context(|| format!("`{input}` does not say whose file it is; write NAME={input}"))
}

/// The list in a file, or else the addresses that these nodes would have in a lab.
fn address_list(file: Option<&Path>, names: &[NodeName]) -> anyhow::Result<AddressList> {
    if let Some(file) = file {
        return Ok(AddressList::parse(&file.display().to_string(), &read_bytes(file)?)?);
    }
    let both = |node: crate::topology::Node| node.addresses().map(|own| (node.name.clone(), own)).collect::<Vec<_>>();
    Ok(AddressList::new(addressing::nodes(names).into_iter().flat_map(both).collect()))
}
