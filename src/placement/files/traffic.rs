//! Traffic in CSV: `from,to,request,response` in bytes over a window, or `from,to,stress`, which counts both ways.

use std::collections::BTreeMap;

use super::Wrong;
use crate::placement::problem::{Edge, Service};
use crate::units::scaled_decimal;
use crate::wording::excerpt;
use crate::yaml::Spot;

/// Units that `# unit:` can name, in bytes.
const UNITS: [(&str, u64); 6] =
    [("B", 1), ("bytes", 1), ("kB", 1000), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

/// Which columns there are.
#[derive(Debug, Clone, Copy)]
enum Columns {
    /// Bytes there and bytes back.
    Directions,
    /// Half of both together.
    Stress,
}

pub(super) fn edges(bytes: &[u8], services: &[Service]) -> Result<Vec<Edge>, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|_| (Spot::FILE, "the file is no UTF-8 text".to_owned()))?;
    let by_name: BTreeMap<&str, usize> =
        services.iter().enumerate().map(|(place, service)| (service.name.as_str(), place)).collect();
    let (mut unit, mut columns, mut edges) = (1, None, Vec::new());
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let at = |column: usize| Spot::At { line: number as u64 + 1, column: column as u64 + 1 };
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix('#') {
            if let Some(name) = comment.trim().strip_prefix("unit:") {
                unit = unit_of(name.trim()).ok_or_else(|| wrong_unit(at(0), name.trim()))?;
            }
        } else if !trimmed.is_empty() {
            let fields = fields(line);
            match columns {
                None => columns = Some(header(&fields).ok_or_else(|| wrong_header(at(0), trimmed))?),
                Some(columns) => {
                    let edge = edge(&fields, columns, unit, &by_name);
                    edges.push(edge.map_err(|(column, message)| (at(column), message))?);
                }
            }
        }
    }
    if columns.is_none() {
        return Err((Spot::FILE, "the file is empty; its first line is `from,to,request,response`".to_owned()));
    }
    Ok(edges)
}

fn unit_of(name: &str) -> Option<u64> {
    UNITS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

fn wrong_unit(spot: Spot, name: &str) -> Wrong {
    (spot, format!("`{}` is no unit of traffic; write bytes, KB, MB or GB", excerpt(name)))
}

fn wrong_header(spot: Spot, line: &str) -> Wrong {
    let message = "the first line names the columns: write `from,to,request,response` or `from,to,stress`";
    (spot, format!("{message}, not `{}`", excerpt(line)))
}

/// Fields, each with the column that it begins at, from 0, in letters.
fn fields(line: &str) -> Vec<(usize, &str)> {
    let mut column = 0;
    let split = line.split([',', ';', '\t']);
    let field = |field| {
        let begins: usize = column;
        column += str::chars(field).count() + 1;
        let blanks = field.len() - field.trim_start().len();
        (begins + blanks, field.trim())
    };
    split.map(field).collect()
}

fn header(fields: &[(usize, &str)]) -> Option<Columns> {
    let names: Vec<&str> = fields.iter().map(|(_, name)| *name).collect();
    match names.as_slice() {
        ["from", "to", "request", "response"] => Some(Columns::Directions),
        ["from", "to", "stress"] => Some(Columns::Stress),
        _ => None,
    }
}

fn edge(
    fields: &[(usize, &str)],
    columns: Columns,
    unit: u64,
    by_name: &BTreeMap<&str, usize>,
) -> Result<Edge, (usize, String)> {
    let service = |(column, name): (usize, &str)| {
        let found = by_name.get(name).copied();
        found.ok_or_else(|| (column, format!("there is no service `{}` in the file of services", excerpt(name))))
    };
    let amount = |(column, text): (usize, &str)| {
        let bytes =
            scaled_decimal(text, unit).and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes < 1 << 53);
        bytes.ok_or_else(|| (column, format!("`{}` is no amount of traffic; write a number from 0 on", excerpt(text))))
    };
    let (from, to, request, response) = match (columns, fields) {
        (Columns::Directions, [from, to, request, response]) => {
            (service(*from)?, service(*to)?, amount(*request)?, amount(*response)?)
        }
        (Columns::Stress, [from, to, stress]) => (service(*from)?, service(*to)?, amount(*stress)?, amount(*stress)?),
        _ => return Err((0, format!("{} fields, and the first line names another number", fields.len()))),
    };
    if from == to {
        return Err((
            fields[1].0,
            format!("`{}` sends to itself; leave the line out, it costs nothing", excerpt(fields[1].1)),
        ));
    }
    Ok(Edge { from, to, request, response })
}
