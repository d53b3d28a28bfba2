//! What fuzz targets give to the private parsers of this room: lines of the lab's control protocol.

use super::protocol::{ClientLine, HolderLine};

/// A line of a client or of a holder; what is read is written and read the same.
pub fn line(bytes: &[u8]) -> Result<(), String> {
    again::<ClientLine>(bytes)?;
    again::<HolderLine>(bytes)
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<(), String> {
    let Ok(line) = serde_json::from_slice::<T>(bytes) else { return Ok(()) };
    let text = |line: &T| serde_json::to_string(line).map_err(|error| error.to_string());
    let written = text(&line)?;
    let read = serde_json::from_str(&written).map_err(|error| format!("{written} cannot be read: {error}"))?;
    let twice = text(&read)?;
    if written == twice { Ok(()) } else { Err(format!("{written} is read again as {twice}")) }
}
