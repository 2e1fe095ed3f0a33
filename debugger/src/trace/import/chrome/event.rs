//! One trace event, and the list of them, read without a tree of all values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::slices::Said;
use super::Read;
use crate::trace::timeline::Entered;

/// The members that matter; those not there are empty.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) ph: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) cat: Cow<'a, str>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    dur: Option<&'a RawValue>,
    #[serde(borrow)]
    pid: Option<&'a RawValue>,
    #[serde(borrow)]
    tid: Option<&'a RawValue>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// What arguments say of names and of our own crossings; they may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Args {
    pub(super) name: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) instructions: Option<u64>,
    pub(super) entered: Option<Entered>,
}

impl Args {
    pub(super) fn told(&self) -> Option<Said> {
        Some(Said::Instructions(self.instructions?, self.entered?))
    }
}

/// Process and thread, as they are written: `1`, `"main"`.
pub(super) type Ids<'a> = (&'a str, &'a str);

impl<'a> Event<'a> {
    /// In nanoseconds.
    pub(super) fn ts(&self) -> Option<i64> {
        self.ts.and_then(nanos)
    }

    pub(super) fn dur(&self) -> Option<i64> {
        self.dur.and_then(nanos)
    }

    pub(super) fn ids(&self) -> Ids<'a> {
        let id = |raw: Option<&'a RawValue>| raw.map_or("0", |raw| raw.get().trim_matches('"'));
        (id(self.pid), id(self.tid))
    }

    pub(super) fn args(&self) -> Args {
        let args = self.args.map(|raw| serde_json::from_str(raw.get()));
        args.and_then(Result::ok).unwrap_or_default()
    }
}

/// Of a number of microseconds, which some write as a text.
fn nanos(micros: &RawValue) -> Option<i64> {
    let text = micros.get().trim_matches('"');
    if let Ok(whole) = text.parse::<i64>() {
        return whole.checked_mul(1000);
    }
    let nanos = (text.parse::<f64>().ok()? * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "it was looked at")]
    (nanos.abs() < i64::MAX as f64).then_some(nanos as i64)
}

/// The whole file.
pub(super) struct Top<'r, 'a>(pub(super) &'r mut Read<'a>);

struct Events<'r, 'a>(&'r mut Read<'a>);

impl<'de> Visitor<'de> for Top<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of trace events, or an object with traceEvents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Events(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "traceEvents" => map.next_value_seed(Events(self.0))?,
                "otherData" => self.0.written_by(&map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Events<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of trace events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.listed = true;
        while let Some(event) = seq.next_element::<Event<'de>>()? {
            self.0.take(event);
        }
        Ok(())
    }
}
