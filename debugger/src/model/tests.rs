use super::*;
use crate::event::{Run, Stop, StopReason, Vcpu, Work};
use crate::known::Known;

fn stopped() -> Event {
    Event::Run(Run::Stopped(Stop::new(
        StopReason::Step,
        Vcpu(0),
        Default::default(),
    )))
}

const BACKTRACE: Command = Command::Backtrace { limit: None };

#[test]
fn a_panel_asks_once_a_stop() {
    let mut model = Model::default();
    assert!(!model.is_due(Topic::Backtrace, &BACKTRACE), "not started");
    model.apply(stopped());
    assert!(model.is_due(Topic::Backtrace, &BACKTRACE));
    let id = model.ask(Topic::Backtrace, &BACKTRACE);
    assert!(!model.is_due(Topic::Backtrace, &BACKTRACE), "under way");
    model.apply(Event::Answer(id, Ok(Answer::Backtrace(Vec::new()))));
    assert!(!model.is_due(Topic::Backtrace, &BACKTRACE), "known");
    assert!(model.is_fresh(&model.frames));

    model.apply(Event::Run(Run::Running));
    assert!(!model.is_due(Topic::Backtrace, &BACKTRACE), "it runs");
    assert!(!model.is_fresh(&model.frames));
    model.apply(stopped());
    assert!(model.is_due(Topic::Backtrace, &BACKTRACE), "a new stop");
}

#[test]
fn a_running_target_is_asked_at_each_pulse_what_memory_alone_tells() {
    let space = Command::Space { expression: None };
    let mut model = Model::default();
    model.apply(Event::Pulse);
    assert!(!model.is_live(), "nothing runs");
    model.apply(stopped());
    model.apply(Event::Run(Run::Running));
    assert!(
        !model.is_due(Topic::Space, &space),
        "whether it can is not known"
    );
    for _ in 0..2 {
        model.apply(Event::Pulse);
        assert!(model.is_live() && model.is_due(Topic::Space, &space));
        assert!(!model.is_due(Topic::Backtrace, &BACKTRACE));
        let id = model.ask(Topic::Space, &space);
        model.apply(Event::Answer(id, Ok(Answer::Space(Vec::new()))));
        assert!(!model.is_due(Topic::Space, &space));
        assert!(model.is_fresh(&model.regions) && !model.is_fresh(&model.frames));
    }
    model.apply(stopped());
    assert!(!model.is_live() && !model.is_fresh(&model.regions));
}

#[test]
fn only_the_newest_wish_of_a_topic_is_sent() {
    let list = |count| Command::List {
        location: None,
        count,
    };
    let mut model = Model::default();
    model.apply(stopped());
    let id = model.ask(Topic::Source, &list(1));
    assert!(!model.is_due(Topic::Source, &list(2)));
    model.apply(Event::Answer(id, Ok(Answer::Done("no source".to_owned()))));
    assert!(model.is_due(Topic::Source, &list(2)));
    assert_eq!(model.source.value, Known::no("no source"));
}

#[test]
fn an_answer_nobody_asked_for_changes_nothing() {
    let mut model = Model::default();
    let answer = Ok(Answer::Backtrace(Vec::new()));
    model.apply(Event::Answer(RequestId(7), answer));
    assert_eq!(model.frames.value, Known::Asked);
}

#[test]
fn a_failed_wish_tells_why() {
    let mut model = Model::default();
    model.apply(stopped());
    let id = model.ask(
        Topic::Registers,
        &Command::Info(crate::command::Info::Registers),
    );
    let failure = Failure::new("reading registers", "the stub is gone", "attach again");
    model.apply(Event::Answer(id, Err(failure)));
    assert_eq!(
        model.registers.value,
        Known::no("reading registers: the stub is gone; attach again")
    );
}

#[test]
fn a_command_of_the_users_makes_panels_ask_again() {
    let mut model = Model::default();
    model.apply(stopped());
    let id = model.ask(Topic::Backtrace, &BACKTRACE);
    model.apply(Event::Answer(id, Ok(Answer::Backtrace(Vec::new()))));
    let frame = Command::Frame { n: 3 };
    let id = model.ask(Topic::Typed, &frame);
    assert_eq!(model.requests.waiting().collect::<Vec<_>>(), [&frame]);
    model.apply(Event::Answer(id, Ok(Answer::Done(String::new()))));
    assert_eq!(model.selected_frame, 3);
    assert!(model.is_due(Topic::Backtrace, &BACKTRACE));
    model.apply(stopped());
    assert_eq!(model.selected_frame, 0);
}

#[test]
fn a_step_makes_panels_ask_once() {
    let mut model = Model::default();
    model.apply(stopped());
    let step = model.ask(Topic::Typed, &Command::StepInstruction { count: 1 });
    model.apply(Event::Run(Run::Running));
    model.apply(stopped());
    let id = model.ask(Topic::Backtrace, &BACKTRACE);
    let Event::Run(Run::Stopped(stop)) = stopped() else {
        panic!("a stop");
    };
    model.apply(Event::Answer(step, Ok(Answer::Stopped(stop))));
    model.apply(Event::Answer(id, Ok(Answer::Backtrace(Vec::new()))));
    assert!(!model.is_due(Topic::Backtrace, &BACKTRACE));
    assert!(model.requests.is_quiet());
}

#[test]
fn work_is_shown_until_it_is_finished() {
    let work = |name: &str, finished| {
        Event::Work(Work {
            name: name.to_owned(),
            done: 1,
            total: 2,
            finished,
        })
    };
    let mut model = Model::default();
    model.apply(work("indexing", false));
    model.apply(work("booting", false));
    model.apply(work("booting", true));
    assert_eq!(
        model.works.latest().map(|work| work.name.as_str()),
        Some("indexing")
    );
    model.apply(work("indexing", true));
    assert_eq!(model.works.count(), 0);
}
