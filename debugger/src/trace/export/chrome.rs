//! Chrome's trace events as JSON (Perfetto, speedscope, `chrome://tracing`): complete events, `"ph":"X"`.
//!
//! `ts` and `dur` are microseconds by the format: each stands for an instruction, which `otherData` says.

use std::io::Write;

use serde_json::{Value, json};

use super::slices::{About, Slice, tracks};
use super::{ExportError, Source};

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let recording = source.recording;
    let head = json!({
        "unit": "instructions: 1 µs of ts and dur is 1 instruction",
        "image": recording.head.image,
        "build_id": recording.head.build_id,
        "written_by": format!("uklscope {}", recording.head.tool),
    });
    // A line for each event: it is read by people and tools of lines as well.
    write!(
        out,
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{head},\n\"traceEvents\":["
    )?;
    let mut before = "\n";
    let mut put = |event: Value| -> Result<(), ExportError> {
        write!(out, "{before}{event}")?;
        before = ",\n";
        Ok(())
    };
    for (pid, (run, calls)) in (1..).zip(source.runs()) {
        put(named("process_name", pid, 0, &run.mode.to_string()))?;
        for (tid, track) in (1..).zip(tracks(run, calls)) {
            put(named("thread_name", pid, tid, &track.name))?;
            track.slices(&mut |slice| put(event(slice, pid, tid)))?;
        }
    }
    out.write_all(b"\n]}\n")?;
    Ok(())
}

fn named(what: &str, pid: u32, tid: u32, name: &str) -> Value {
    json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}})
}

fn event(slice: &Slice<'_>, pid: u32, tid: u32) -> Value {
    let (category, args) = match slice.about {
        About::Class(class) => (
            "crossing".to_owned(),
            json!({
                "class": class.id, "count": class.count, "instructions": class.instructions, "exact": class.exact,
                "min": class.min, "max": class.max, "interrupted": class.interrupted, "phases": class.phases,
            }),
        ),
        About::Call(span) => (
            slice.origin.unwrap_or_default().to_string(),
            json!({"instructions": span.instructions, "entered": span.entered, "returned": span.returned}),
        ),
        // speedscope writes arguments behind every name: a function has none.
        About::Node(node) => (node.origin.to_string(), json!({})),
    };
    json!({
        "ph": "X", "name": slice.name, "cat": category, "pid": pid, "tid": tid,
        "ts": slice.start, "dur": slice.length, "args": args,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::export::example::recording;

    #[test]
    fn what_is_called_lies_in_its_caller() {
        let mut bytes = Vec::new();
        write(&Source::of(&recording()), &mut bytes).unwrap();
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let events = file["traceEvents"].as_array().unwrap();
        let slices = events.iter().filter(|event| event["ph"] == "X");
        let slices: Vec<(&str, u64, u64)> = slices
            .map(|slice| {
                let number = |of: &str| slice[of].as_u64().unwrap();
                (slice["name"].as_str().unwrap(), number("ts"), number("dur"))
            })
            .collect();
        let expected = [
            ("read", 0, 14),
            ("entry_SYSCALL_64", 0, 14),
            ("fdget", 0, 3),
            ("a;b, \"c\"", 3, 6),
            ("fdget", 3, 3),
            ("fdget", 6, 3),
        ];
        assert_eq!(slices, expected);
        assert_eq!(events[2]["args"]["count"], 10);
    }
}
