//! What gdb tells of the variables at a stop.

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::link::Endpoint;

use super::super::unwind::gdb::Gdb as Process;
use super::{Frame, Told};
use debugger::symbols::stem;

/// Of each frame its name and its variables, those of inner blocks first.
const SCRIPT: &str = r#"
import gdb, json

SCALARS = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_CHAR)

def told(symbol, frame):
    try:
        value = symbol.value(frame)
        if value.is_optimized_out:
            return ['no', 'optimized out']
        plain = value.type.strip_typedefs()
        if plain.code in SCALARS:
            return ['value', '%#x' % (int(value) & ((1 << 8 * plain.sizeof) - 1))]
        if value.address is not None:
            return ['value', 'at %#x' % int(value.address)]
        return ['some', '']
    except (gdb.error, ValueError) as error:
        return ['no', str(error)]

def uklscope_frames(most):
    frames = []
    frame = gdb.newest_frame()
    while frame is not None and len(frames) < most:
        variables = []
        try:
            block = frame.block()
        except RuntimeError:
            block = None
        while block is not None and not block.is_global and not block.is_static:
            own = [s for s in block if (s.is_variable or s.is_argument)]
            variables += [[s.name] + told(s, frame) for s in reversed(own)]
            if block.function is not None:
                break
            block = block.superblock
        frames.append([frame.name() or '?', variables])
        frame = frame.older()
    print('FRAMES ' + json.dumps(frames))
"#;

pub(super) struct Gdb {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Gdb {
    pub(super) fn start(image: &Image, mode: Mode) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("frames.py");
        std::fs::write(&script, SCRIPT)?;
        let mut process = Process::start(image, mode)?;
        process.ask(&format!("source {}\n", script.display()))?;
        Ok(Self {
            process,
            _folder: folder,
        })
    }

    /// The stub must have no other client.
    pub(super) fn frames(&mut self, endpoint: &Endpoint, most: usize) -> Result<Vec<Frame>> {
        let Endpoint::Unix(socket) = endpoint else {
            bail!("QEMU has no stub on a socket");
        };
        let lines = self.process.ask(&format!(
            "target remote {}\npython uklscope_frames({most})\ndisconnect\n",
            socket.display()
        ))?;
        let said = lines
            .iter()
            .find_map(|line| Some(line.split_once("FRAMES ")?.1));
        let said = said.with_context(|| format!("gdb told no frames: {}", lines.join(" ")))?;
        type Variables = Vec<(String, String, String)>;
        let frames: Vec<(String, Variables)> = serde_json::from_str(said)?;
        let frame = |(function, variables): (String, Variables)| Frame {
            function: stem(&function).to_owned(),
            variables: variables
                .into_iter()
                .map(|(name, kind, text)| {
                    let told = match kind.as_str() {
                        "value" => Told::Value(text),
                        "some" => Told::Some,
                        _ => Told::No(text),
                    };
                    (name, told)
                })
                .collect(),
        };
        Ok(frames.into_iter().map(frame).collect())
    }
}
