//! The CPU time of a process.

use anyhow::{Context as _, Result, bail};

/// What a process and its threads took so far: `utime` and `stime` of proc(5), in hundredths of a second.
///
/// # Errors
/// When there is no such process.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("reading {path}, for the CPU time of a process"))?;
    // The second field is a name in parentheses, which may hold anything; the third follows it.
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
        bail!(
            "reading {path}, for the CPU time of a process: its 14th and 15th field are no numbers"
        );
    };
    Ok((user + system) / 100.0)
}
