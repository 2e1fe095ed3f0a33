use proptest::prelude::*;

use super::*;

fn stop(payload: &str) -> Result<Stop, ReplyError> {
    Stop::decode(payload.as_bytes())
}

#[test]
fn stops_as_stubs_send_them() {
    let check = |payload: &str, cause, thread: Option<&str>| {
        let thread = thread.map(|text| ThreadId::decode(text.as_bytes()).unwrap());
        assert_eq!(stop(payload).unwrap(), Stop { cause, thread }, "{payload}");
    };
    // QEMU 7.2: a breakpoint, an interrupt, the greeting of one that attaches, watchpoints.
    check("T05thread:p01.01;", StopCause::Signal(5), Some("p1.1"));
    check("T02thread:p01.02;", StopCause::Signal(2), Some("p1.2"));
    check("T02thread:01;", StopCause::Signal(2), Some("1"));
    let watch = |kind, addr| StopCause::Watch {
        kind,
        addr: Addr(addr),
    };
    check(
        "T05thread:p01.01;watch:ffffffff82a05000;",
        watch(TrapKind::Write, 0xffff_ffff_82a0_5000),
        Some("p1.1"),
    );
    check(
        "T05thread:p01.01;rwatch:10;",
        watch(TrapKind::Read, 16),
        Some("p1.1"),
    );
    check(
        "T05thread:p01.01;awatch:10;",
        watch(TrapKind::Access, 16),
        Some("p1.1"),
    );
    check("W00", StopCause::Exited(0), None);
    check("X09;process:1", StopCause::Killed(9), None);
    check("S05", StopCause::Signal(5), None);
    // gdbserver: registers and the core come along.
    check(
        "T0506:0*,;07:10;thread:p1.1;core:3;",
        StopCause::Signal(5),
        Some("p1.1"),
    );
}

#[test]
fn what_is_no_stop_is_refused() {
    assert_eq!(stop(""), Err(ReplyError::Unsupported));
    assert_eq!(stop("E22"), Err(ReplyError::Refused("22".to_owned())));
    for payload in ["OK", "T", "Tzz", "T05thread", "T05thread:-;", "T05watch:;"] {
        assert!(
            matches!(stop(payload), Err(ReplyError::Unexpected { .. })),
            "{payload}"
        );
    }
}

#[test]
fn features_are_read_with_their_values() {
    let supported = Supported::decode(
        b"PacketSize=1000;qXfer:features:read+;vContSupported+;multiprocess+;QNonStop-",
    )
    .unwrap();
    assert_eq!(supported.packet_size, Some(0x1000));
    assert!(supported.has("multiprocess"));
    assert!(supported.has("qXfer:features:read"));
    for absent in ["QNonStop", "ReverseStep", "QStartNoAckMode"] {
        assert!(!supported.has(absent), "{absent}");
    }
    assert_eq!(Supported::decode(b"").unwrap(), Supported::default());
}

#[test]
fn registers_may_be_unavailable() {
    assert_eq!(
        register_bytes(b"00xxff").unwrap(),
        [Some(0), None, Some(0xff)]
    );
    assert!(register_bytes(b"0x").is_err());
    assert!(register_bytes(b"000").is_err());
}

#[test]
fn lists_and_parts_and_output() {
    let ids = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| ThreadId::decode(text.as_bytes()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        threads(b"mp01.01,p01.02").unwrap(),
        Some(ids(&["p1.1", "p1.2"]))
    );
    assert_eq!(threads(b"l").unwrap(), None);
    assert!(threads(b"m").is_err());
    assert_eq!(part(b"m<a>").unwrap(), (&b"<a>"[..], true));
    assert_eq!(part(b"l").unwrap(), (&b""[..], false));
    assert_eq!(part(b"E00"), Err(ReplyError::Refused("00".to_owned())));
    assert_eq!(
        Monitor::decode(b"O6869").unwrap(),
        Monitor::Output(b"hi".to_vec())
    );
    assert_eq!(Monitor::decode(b"OK").unwrap(), Monitor::Done);
    let flags = step_flag_names(b"ENABLE=1,NOIRQ=2,NOTIMER=4").unwrap();
    assert_eq!(flags[2], ("NOTIMER".to_owned(), 4));
    assert_eq!(number(b"0x7").unwrap(), 7);
    assert_eq!(number(b"0").unwrap(), 0);
}

#[test]
fn memory_must_have_the_length_asked_for() {
    assert_eq!(bytes(b"0102", Some(2)).unwrap(), [1, 2]);
    assert!(bytes(b"0102", Some(3)).is_err());
    assert_eq!(
        bytes(b"E14", Some(3)),
        Err(ReplyError::Refused("14".to_owned()))
    );
}

proptest! {
    #[test]
    fn any_payload_is_taken(payload: Vec<u8>) {
        decode_any(&payload);
    }

    /// Closer to what a stub sends than plain bytes are.
    #[test]
    fn any_text_like_a_stop_is_taken(payload in "[TSWXEO][0-9a-fx]{0,2}([a-z]{1,6}:?[p0-9a-f.-]{0,4};?){0,4}") {
        decode_any(payload.as_bytes());
    }

    #[test]
    fn a_thread_survives(process: Option<u64>, thread: u64) {
        let id = ThreadId { process, thread };
        prop_assert_eq!(ThreadId::decode(id.to_string().as_bytes()), Some(id));
    }
}
