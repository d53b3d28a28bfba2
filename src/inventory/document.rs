//! The inventory as it is written: every field with its place in the file, nothing checked yet but its type.

use serde::Deserialize;
use serde_saphyr::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) api_version: Spanned<String>,
    pub(super) testbed: Spanned<String>,
    pub(super) ssh_command: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) defaults: Defaults,
    pub(super) hosts: Spanned<Vec<HostEntry>>,
}

/// What holds for every host that says nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Defaults {
    pub(super) user: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) ssh_options: Vec<Spanned<String>>,
    pub(super) agent: Option<Spanned<String>>,
    pub(super) sudo: Option<bool>,
    pub(super) interface: Option<Spanned<String>>,
}

/// One host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct HostEntry {
    pub(super) name: Spanned<String>,
    pub(super) ssh: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) ssh_options: Vec<Spanned<String>>,
    pub(super) agent: Option<Spanned<String>>,
    pub(super) sudo: Option<bool>,
    pub(super) interface: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) addresses: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) networks: Vec<Spanned<String>>,
}
