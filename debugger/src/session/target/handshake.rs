//! The first questions to a stub: what it can do, what its registers are, which vCPUs there are.

use std::sync::Arc;

use crate::event::Vcpu;
use crate::gdb::description::Description;
use crate::gdb::reply::{self, ReplyError, Stop, Supported};
use crate::gdb::request::Request;

use super::{Documents, Target, TargetError, refused};

/// More than any target description has.
const LONGEST_DOCUMENT: usize = 1 << 20;

impl Target {
    pub(super) fn handshake(&mut self) -> Result<(), TargetError> {
        self.supported = self.ask_decoded(&Request::Supported, Supported::decode)?;
        if self.supported.has("QStartNoAckMode") {
            self.ask_decoded(&Request::StartNoAck, reply::ok)?;
            self.client.stop_acknowledging();
        }
        self.memory.set_chunk(self.supported.packet_size);
        let stop = self.ask_decoded(&Request::StopReason, Stop::decode)?;
        self.description = Arc::new(self.read_description()?);
        let actions = self.ask(&Request::ResumeActions)?;
        // `vCont;c;C;s;S`
        self.vcont = actions.split(|byte| *byte == b';').any(|word| word == b"s");
        self.read_threads()?;
        self.take_stop(&stop, None);
        self.reported.insert(self.last_stop.vcpu);
        self.read_step_flags()
    }

    pub(super) fn read_threads(&mut self) -> Result<(), TargetError> {
        let mut threads = Vec::new();
        let mut request = Request::FirstThreads;
        while let Some(more) = self.ask_decoded(&request, reply::threads)? {
            threads.extend(more);
            request = Request::NextThreads;
        }
        if threads.is_empty() {
            return Err(TargetError::NoSuchVcpu(Vcpu(0), 0));
        }
        self.threads = threads;
        Ok(())
    }

    fn read_description(&mut self) -> Result<Description, TargetError> {
        if !self.supported.has("qXfer:features:read") {
            let request = Request::Features {
                annex: "target.xml".to_owned(),
                offset: 0,
                len: 0,
            };
            return Err(refused(&request, ReplyError::Unsupported));
        }
        let target_xml = self.read_document("target.xml")?;
        let mut documents = Documents::from([("target.xml".to_owned(), target_xml.clone())]);
        let mut broken = None;
        let description = Description::parse(&target_xml, &mut |annex| {
            let read = self.read_document(annex);
            if let Ok(text) = &read {
                documents.insert(annex.to_owned(), text.clone());
            }
            read.map_err(|error| match error {
                TargetError::Reply { source, .. } => source.to_string(),
                other => {
                    let text = other.to_string();
                    broken = Some(other);
                    text
                }
            })
        });
        match broken {
            Some(error) => Err(error),
            None => {
                self.documents = Arc::new(documents);
                Ok(description?)
            }
        }
    }

    fn read_document(&mut self, annex: &str) -> Result<String, TargetError> {
        // `l` or `m` comes before the bytes, and escapes may double them.
        let len = self
            .supported
            .packet_size
            .unwrap_or(0x400)
            .clamp(64, 0x1_0000)
            - 5;
        let mut document = Vec::new();
        loop {
            let request = Request::Features {
                annex: annex.to_owned(),
                offset: u64::try_from(document.len()).unwrap_or(u64::MAX),
                len,
            };
            let payload = self.ask(&request)?;
            let (part, more) = reply::part(&payload).map_err(|source| refused(&request, source))?;
            document.extend(part);
            if !more || part.is_empty() || document.len() > LONGEST_DOCUMENT {
                return Ok(String::from_utf8_lossy(&document).into_owned());
            }
        }
    }
}
