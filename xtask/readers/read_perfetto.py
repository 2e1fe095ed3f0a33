"""What Perfetto's published schema reads in a trace: the slices of each track as JSON.

Usage: python3 read_perfetto.py FILE

A field that the schema does not have, a slice that ends before it began, or one that never ends is an error.
"""

import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema


def known(message):
    strangers = [field.field_number for field in UnknownFieldSet(message)]
    if strangers:
        sys.exit(f"{message.DESCRIPTOR.full_name} has no field {strangers}")
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if hasattr(value, "__len__") else [value]:
                known(part)


trace = schema.Trace()
with open(sys.argv[1], "rb") as file:
    trace.ParseFromString(file.read())
if not trace.packet:
    sys.exit("the trace has no packet")

tracks, names, slices = {}, {}, 0
for packet in trace.packet:
    known(packet)
    for event_name in packet.interned_data.event_names:
        names[event_name.iid] = event_name.name
    if packet.HasField("track_descriptor"):
        descriptor = packet.track_descriptor
        tracks[descriptor.uuid] = {
            "process": descriptor.process.process_name or tracks[descriptor.parent_uuid]["process"],
            "name": descriptor.name,
            "description": descriptor.description,
            "open": [],
            "last": 0,
            "outermost": {},
        }
    if packet.HasField("track_event"):
        event, track = packet.track_event, tracks[packet.track_event.track_uuid]
        if packet.timestamp < track["last"]:
            sys.exit(f"the track {track['name']} goes back to {packet.timestamp}")
        track["last"] = packet.timestamp
        if event.type == schema.TrackEvent.TYPE_SLICE_BEGIN:
            slices += 1
            track["open"].append((packet.timestamp, names[event.name_iid]))
        elif event.type == schema.TrackEvent.TYPE_SLICE_END:
            began, name = track["open"].pop()
            if not track["open"]:
                outermost = track["outermost"]
                outermost[name] = outermost.get(name, 0) + packet.timestamp - began
for track in tracks.values():
    if track["open"]:
        sys.exit(f"on the track {track['name']} slices have no end: {track['open']}")
print(json.dumps({
    "slices": slices,
    "description": next(track["description"] for track in tracks.values()),
    "tracks": [
        {"process": track["process"], "name": track["name"], "outermost": track["outermost"]}
        for track in tracks.values()
        if track["name"]
    ],
}))
