//! What a launch.json says → a session. Its options are those of `uklscope exec`.

use clap::Parser;
use debugger::event::{Event, Run};
use serde_json::{Map, Value, json};

use super::adapter::{Adapter, Reply};
use super::debuggee::Debuggee;
use super::message::{Refusal, Request};
use crate::batch::session::Opened;

/// Options of launch that are given as words of the command line.
const OPTIONS: &[(&str, &str)] = &[
    ("mode", "--mode"),
    ("smp", "--smp"),
    ("accel", "--accel"),
    ("calls", "--calls"),
    ("from", "--from"),
    ("append", "--append"),
    ("kernel", "--kernel"),
    ("vmlinux", "--vmlinux"),
    ("initrd", "--initrd"),
    ("force", "--force"),
    ("profile", "--profile"),
    ("recordWire", "--record-wire"),
];

const OF_ATTACH: &[&str] = &["vmlinux", "force", "profile", "recordWire"];

/// What stands for the target itself, and what is for this adapter.
const OWN: &[&str] = &["image", "replay", "address", "args", "stopOnEntry"];

/// What editors write there for themselves.
const OF_EDITORS: &[&str] = &[
    "type",
    "request",
    "name",
    "noDebug",
    "restart",
    "program",
    "cwd",
    "env",
    "console",
    "presentation",
    "preLaunchTask",
    "postDebugTask",
    "internalConsoleOptions",
    "debugServer",
    "serverReadyAction",
    "suppressMultipleSessionWarning",
    "linux",
    "osx",
    "windows",
];

#[derive(Debug, Parser)]
#[command(name = "launch", no_binary_name = true)]
struct Line {
    #[command(flatten)]
    on: Opened,
}

impl Adapter<'_> {
    pub(super) fn launch(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let options: Map<String, Value> = request.arguments()?;
        let target = launched(&options)?;
        let allowed: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
        self.open(request, target, &options, &allowed)
    }

    pub(super) fn attach(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let options: Map<String, Value> = request.arguments()?;
        let Some(address) = options.get("address").and_then(Value::as_str) else {
            return Err(Refusal::new(
                "attaching",
                "no address is given",
                "give \"address\": \"host:port\" of a gdb stub, or the path of its UNIX socket",
            ));
        };
        self.open(request, Some(address), &options, OF_ATTACH)
    }

    fn open(
        &mut self,
        asked: &Request,
        target: Option<&str>,
        options: &Map<String, Value>,
        allowed: &[&str],
    ) -> Result<Reply, Refusal> {
        let request = asked.command.as_str();
        if self.debuggee.is_some() {
            return Err(Refusal::new(
                request,
                "something is debugged already",
                "disconnect first",
            ));
        }
        for name in unknown(options, allowed) {
            let line = format!("{request}: '{name}' is no option of it, and passed over");
            self.out.say("important", &line);
        }
        let words = words(target, options, allowed)?;
        let line = Line::try_parse_from(&words).map_err(|error| usage(request, &error))?;
        let handle = line
            .on
            .open()
            .map_err(|error| Refusal(format!("{error:#}")))?;
        let flag = |name: &str| options.get(name).and_then(Value::as_bool);
        let stops_first = flag("stopOnEntry").unwrap_or(!flag("noDebug").unwrap_or(false));
        self.debuggee = Some(Debuggee::new(handle, stops_first));
        let name = target.unwrap_or("the kernel");
        self.progress_starts(&format!("Opening {name}"), Some(asked.seq), false);
        let opened = self.wait_for(|event| match event {
            Event::Run(Run::Stopped(_)) => Some(Ok(())),
            Event::Run(Run::Ended(why)) => Some(Err(why.clone())),
            _ => None,
        });
        self.progress_ends();
        let opened = opened?;
        if let Err(why) = opened {
            self.debuggee = None;
            return Err(Refusal(why));
        }
        self.session()?.is_open = true;
        if options.contains_key("replay") {
            let able = json!({"capabilities": {"supportsStepBack": true}});
            self.out.event("capabilities", able);
        }
        self.out.event("initialized", json!({}));
        Ok(Reply::Body(Value::Null))
    }

    pub(super) fn configuration_done(&mut self, _: &Request) -> Result<Reply, Refusal> {
        match self.session()?.stops_first {
            true => Ok(Reply::Stands(Value::Null)),
            false => Ok(Reply::Run(
                Value::Null,
                debugger::command::Command::Continue,
            )),
        }
    }
}

/// What is to be launched; none where the kernel's files are given.
fn launched(options: &Map<String, Value>) -> Result<Option<&str>, Refusal> {
    let given = |name| options.get(name).filter(|value| !value.is_null());
    match (given("image"), given("replay")) {
        (Some(_), Some(_)) => Err(Refusal::new(
            "launching",
            "an image and a replay are given",
            "give one of \"image\" and \"replay\"",
        )),
        (Some(image), None) => text_of("image", image).map(Some),
        (None, Some(replay)) => text_of("replay", replay).map(Some),
        (None, None) if given("vmlinux").is_some() => Ok(None),
        (None, None) => Err(Refusal::new(
            "launching",
            "neither an image nor a replay is given",
            "give \"image\", the name or the folder of an image, or \"replay\", the folder of a recorded run",
        )),
    }
}

fn text_of<'a>(name: &str, value: &'a Value) -> Result<&'a str, Refusal> {
    value.as_str().ok_or_else(|| wrong(name, "a text"))
}

/// As they would be typed.
fn words(
    target: Option<&str>,
    options: &Map<String, Value>,
    allowed: &[&str],
) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    for (name, flag) in OPTIONS.iter().filter(|(name, _)| allowed.contains(name)) {
        match options.get(*name) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => words.push((*flag).to_owned()),
            Some(value) => words.push(format!("{flag}={}", word(name, value)?)),
        }
    }
    words.extend(target.map(str::to_owned));
    if let Some(given) = options.get("args").filter(|_| allowed.contains(&"append")) {
        let list = given
            .as_array()
            .ok_or_else(|| wrong("args", "a list of words"))?;
        words.push("--".to_owned());
        for one in list {
            words.push(word("args", one)?);
        }
    }
    Ok(words)
}

fn word(name: &str, value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(wrong(name, "a text or a number")),
    }
}

fn wrong(name: &str, wanted: &str) -> Refusal {
    Refusal::new(
        format!("reading the option {name}"),
        format!("it is not {wanted}"),
        format!("write {wanted}"),
    )
}

fn unknown<'a>(
    options: &'a Map<String, Value>,
    allowed: &'a [&str],
) -> impl Iterator<Item = &'a String> {
    options.keys().filter(|name| {
        let name = name.as_str();
        !(allowed.contains(&name)
            || OWN.contains(&name)
            || OF_EDITORS.contains(&name)
            || name.starts_with("__"))
    })
}

/// What is wrong, without the command line's own account of how it is used.
fn usage(request: &str, error: &clap::Error) -> Refusal {
    let text = error.render().to_string();
    let found = text.split("\n\n").next().unwrap_or_default();
    let found = found.trim_start_matches("error: ");
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    Refusal::new(
        request,
        found,
        "the options are those of 'uklscope exec --help', without the dashes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(options) => options,
            _ => Map::new(),
        }
    }

    #[test]
    fn options_are_words_of_the_command_line() {
        let given = options(json!({
            "type": "uklscope", "mode": "bypass", "smp": 2, "force": true, "args": ["7"], "__id": 1,
        }));
        let allowed: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
        let found = words(Some("syscalls"), &given, &allowed).unwrap();
        assert_eq!(
            found,
            ["--mode=bypass", "--smp=2", "--force", "syscalls", "--", "7"]
        );
        let line = Line::try_parse_from(&found).unwrap();
        assert_eq!(line.on.boot.smp, 2);
        assert_eq!(line.on.boot.app_args, ["7"]);
        assert_eq!(unknown(&given, &allowed).count(), 0);
    }

    #[test]
    fn one_target_is_launched() {
        let told = |value| match launched(&options(value)) {
            Ok(target) => target.unwrap_or("the kernel").to_owned(),
            Err(refusal) => refusal.0,
        };
        for (given, expected) in [
            (json!({"image": "redis"}), "redis"),
            (json!({"replay": "run", "image": null}), "run"),
            (
                json!({"vmlinux": "vmlinux", "kernel": "bzImage"}),
                "the kernel",
            ),
            (
                json!({"image": "redis", "replay": "run"}),
                "launching: an image and a replay are given; give one of \"image\" and \"replay\"",
            ),
            (
                json!({"image": 7}),
                "reading the option image: it is not a text; write a text",
            ),
            (
                json!({"mode": "ukl"}),
                "launching: neither an image nor a replay is given; give \"image\", the name or the folder of an image, or \
                 \"replay\", the folder of a recorded run",
            ),
        ] {
            assert_eq!(told(given), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_a_sentence() {
        let given = options(json!({"mode": "fast", "modes": "ukl"}));
        let allowed = ["mode"];
        let found = words(Some("syscalls"), &given, &allowed).unwrap();
        let error = Line::try_parse_from(&found).unwrap_err();
        let told = usage("launch", &error).0;
        assert!(told.starts_with("launch: invalid value 'fast'"), "{told}");
        assert_eq!(unknown(&given, &allowed).collect::<Vec<_>>(), ["modes"]);
        let list = options(json!({"mode": ["ukl"]}));
        assert!(words(None, &list, &allowed).is_err());
        let none = Line::try_parse_from(Vec::<String>::new()).unwrap_err();
        assert!(
            usage("launch", &none).0.contains("required"),
            "{}",
            usage("launch", &none).0
        );
    }
}
