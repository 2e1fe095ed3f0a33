//! `uklscope doctor ADDR`: what the stub there makes of each feature of the protocol.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use debugger::session::target::{Endpoint, Finding, Target};
use serde::Serialize;

const SCHEMA: u32 = 1;

/// For each answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Document {
    schema: u32,
    stub: String,
    findings: Vec<Finding>,
}

/// Tries each feature and prints what came of it. The machine is left running, or before its first
/// instruction where it stood there.
///
/// # Errors
/// When no stub answers there.
pub fn run(address: &str, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let tried = || format!("looking at the stub at {address}");
    let endpoint: Endpoint = address.parse().with_context(tried)?;
    let mut target = Target::connect(&endpoint, PATIENCE).with_context(tried)?;
    let findings = target.verdicts().with_context(tried)?;
    if target.is_at_reset().with_context(tried)? {
        target.hand_over();
    } else {
        target.detach().with_context(tried)?;
    }
    print(address, findings, json, out)
}

fn print(
    address: &str,
    findings: Vec<Finding>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if json {
        let document = Document {
            schema: SCHEMA,
            stub: address.to_owned(),
            findings,
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    let width = findings.iter().map(|finding| finding.feature.len()).max();
    let width = width.unwrap_or(0);
    for finding in &findings {
        let (feature, verdict) = (&finding.feature, finding.verdict.name());
        writeln!(out, "{verdict:<9} {feature:<width$} {}", finding.found)?;
    }
    Ok(())
}
