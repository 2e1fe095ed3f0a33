//! Perfetto's protobuf: a process for each run, a track below it for each kind of crossings.
//!
//! Timestamps are nanoseconds by the format: each stands for an instruction, which the description of
//! every run's track says.

mod proto;

use std::collections::HashMap;
use std::io::Write;

use prost::Message;

use self::proto::{
    DebugAnnotation, EventCategory, EventName, InternedData, ProcessDescriptor, Trace, TracePacket,
    TrackDescriptor, TrackEvent, Value,
};
use super::slices::{About, Slice, Track, tracks};
use super::{ExportError, Source};

const UNIT: &str = "The line is one of instructions: 1 ns is 1 instruction.";

/// All packets are of one writer.
const SEQUENCE: u32 = 1;

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let mut writer = Writer {
        out,
        names: HashMap::new(),
        categories: HashMap::new(),
        tracks: 0,
    };
    writer.packet(TracePacket {
        sequence_flags: Some(proto::INCREMENTAL_STATE_CLEARED),
        first_packet_on_sequence: Some(true),
        ..TracePacket::default()
    })?;
    let head = &source.recording.head;
    for (pid, (run, calls)) in (1..).zip(source.runs()) {
        let unit = match calls {
            Some(_) => "Each track is a task on a vCPU, the line that vCPU's clock.",
            None => "On a track each class of crossings stands once.",
        };
        let process = writer.track(TrackDescriptor {
            process: Some(ProcessDescriptor {
                pid: Some(pid),
                process_name: Some(format!("{} {}", head.image, run.mode)),
            }),
            description: Some(format!("{UNIT} {unit} Build ID {}.", head.build_id)),
            ..TrackDescriptor::default()
        })?;
        for track in tracks(run, calls) {
            let uuid = writer.track(TrackDescriptor {
                parent_uuid: Some(process),
                name: Some(track.name.clone()),
                ..TrackDescriptor::default()
            })?;
            writer.slices(&track, uuid)?;
        }
    }
    Ok(())
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// What was given a number so far.
    names: HashMap<String, u64>,
    categories: HashMap<String, u64>,
    tracks: u64,
}

impl Writer<'_> {
    /// A trace is its packets one after another: each is written as a trace of its own.
    fn packet(&mut self, packet: TracePacket) -> Result<(), ExportError> {
        let packet = TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            ..packet
        };
        let trace = Trace {
            packet: vec![packet],
        };
        self.out.write_all(&trace.encode_to_vec())?;
        Ok(())
    }

    fn track(&mut self, descriptor: TrackDescriptor) -> Result<u64, ExportError> {
        self.tracks += 1;
        let uuid = self.tracks;
        self.packet(TracePacket {
            track_descriptor: Some(TrackDescriptor {
                uuid: Some(uuid),
                ..descriptor
            }),
            ..TracePacket::default()
        })?;
        Ok(uuid)
    }

    fn slices(&mut self, track: &Track<'_>, uuid: u64) -> Result<(), ExportError> {
        // How deep the slices are that have begun, and where they end; the outermost first.
        let mut open: Vec<(usize, u64)> = Vec::new();
        track.slices(&mut |slice| {
            while let Some((_, end)) = open.pop_if(|(depth, _)| *depth >= slice.depth) {
                self.end(end, uuid)?;
            }
            open.push((slice.depth, slice.start + slice.length));
            self.begin(slice, uuid)
        })?;
        while let Some((_, end)) = open.pop() {
            self.end(end, uuid)?;
        }
        Ok(())
    }

    fn begin(&mut self, slice: &Slice<'_>, uuid: u64) -> Result<(), ExportError> {
        let category = slice
            .origin
            .map_or_else(|| "crossing".to_owned(), |origin| origin.to_string());
        let mut interned = InternedData::default();
        let (name_iid, new) = number(&mut self.names, slice.name);
        if new {
            interned.event_names.push(EventName {
                iid: Some(name_iid),
                name: Some(slice.name.to_owned()),
            });
        }
        let (category_iid, new) = number(&mut self.categories, &category);
        if new {
            interned.event_categories.push(EventCategory {
                iid: Some(category_iid),
                name: Some(category),
            });
        }
        self.packet(TracePacket {
            timestamp: Some(slice.start),
            interned_data: Some(interned),
            track_event: Some(TrackEvent {
                r#type: Some(proto::SLICE_BEGIN),
                track_uuid: Some(uuid),
                name_iid: Some(name_iid),
                category_iids: vec![category_iid],
                debug_annotations: annotations(&slice.about),
            }),
            sequence_flags: Some(proto::NEEDS_INCREMENTAL_STATE),
            ..TracePacket::default()
        })
    }

    fn end(&mut self, at: u64, uuid: u64) -> Result<(), ExportError> {
        self.packet(TracePacket {
            timestamp: Some(at),
            track_event: Some(TrackEvent {
                r#type: Some(proto::SLICE_END),
                track_uuid: Some(uuid),
                ..TrackEvent::default()
            }),
            ..TracePacket::default()
        })
    }
}

/// The number that stands for a text, from 1, and whether it is its first use.
fn number(numbers: &mut HashMap<String, u64>, text: &str) -> (u64, bool) {
    if let Some(number) = numbers.get(text) {
        return (*number, false);
    }
    let number = numbers.len() as u64 + 1;
    numbers.insert(text.to_owned(), number);
    (number, true)
}

fn annotations(about: &About<'_>) -> Vec<DebugAnnotation> {
    let all: Vec<(&str, Value)> = match about {
        About::Class(class) => {
            let phases = class.phases.named().into_iter();
            let phases = phases.map(|(name, count)| (name, Value::Uint(count)));
            let class = [
                ("class", Value::Text(class.id.clone())),
                ("count", Value::Uint(class.count)),
                ("instructions", Value::Uint(class.instructions)),
                ("exact", Value::Bool(class.exact)),
                ("min", Value::Uint(class.min)),
                ("max", Value::Uint(class.max)),
                ("interrupted", Value::Bool(class.interrupted)),
            ];
            class.into_iter().chain(phases).collect()
        }
        About::Call(span) => vec![
            ("instructions", Value::Uint(span.instructions)),
            ("returned", Value::Bool(span.returned)),
        ],
        About::Node(node) => {
            let file = node.file.clone().map(|file| ("file", Value::Text(file)));
            let counts = [
                ("own", Value::Uint(node.own)),
                ("calls", Value::Uint(node.calls)),
            ];
            counts.into_iter().chain(file).collect()
        }
    };
    let annotation = |(name, value): (&str, Value)| DebugAnnotation {
        name: Some(name.to_owned()),
        value: Some(value),
    };
    all.into_iter().map(annotation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::export::example::recording;

    #[test]
    fn every_slice_that_begins_ends_and_is_named_once() {
        let mut bytes = Vec::new();
        write(&Source::of(&recording()), &mut bytes).unwrap();
        let trace = Trace::decode(bytes.as_slice()).unwrap();
        let events = trace.packet.iter().filter_map(|packet| {
            let event = packet.track_event.as_ref()?;
            let at = packet.timestamp?;
            match event.r#type? {
                proto::SLICE_BEGIN => Some((at, event.name_iid?)),
                _ => Some((at, 0)),
            }
        });
        // 1 read, 2 the entry, 3 fdget, 4 the libc's function; 0 is an end.
        let expected = [
            (0, 1),
            (0, 2),
            (0, 3),
            (3, 0),
            (3, 4),
            (3, 3),
            (6, 0),
            (6, 3),
            (9, 0),
            (9, 0),
            (14, 0),
            (14, 0),
        ];
        assert_eq!(events.collect::<Vec<_>>(), expected);
        let names = trace.packet.iter().filter_map(|packet| {
            let interned = packet.interned_data.as_ref()?;
            interned.event_names.first()?.name.clone()
        });
        let expected = ["read", "entry_SYSCALL_64", "fdget", "a;b, \"c\""];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }
}
