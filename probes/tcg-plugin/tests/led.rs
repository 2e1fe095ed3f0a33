//! Which instructions that repeat themselves are counted by what leads to them.

use std::ops::Range;

use uklscope_tcg::led::{Elsewhere, Led, Repeating, Text, counted};
use uklscope_tcg::plan::Listed;

const BASE: u64 = 0xffff_ffff_8100_0000;

const REP_MOVSB: &[u8] = &[0xf3, 0xa4];
const MOV_ECX_EDX: &[u8] = &[0x89, 0xd1];
const MOV_ECX_MEMORY: &[u8] = &[0x8b, 0x0e];
const NOP: &[u8] = &[0x90];
const RET: &[u8] = &[0xc3];
const LED: Result<Repeating, Elsewhere> = Ok(Repeating::Last { led: true });
const NOT_LED: Result<Repeating, Elsewhere> = Ok(Repeating::Last { led: false });

/// Bytes at `BASE`, and instructions of theirs.
struct Image {
    bytes: Vec<u8>,
    instructions: Vec<Listed>,
}

impl Image {
    fn of(instructions: &[&[u8]]) -> Self {
        let mut address = BASE;
        let listed = instructions.iter().map(|one| {
            let mut bytes = [0; 16];
            bytes[..one.len()].copy_from_slice(one);
            let listed = Listed {
                address,
                bytes,
                size: one.len(),
            };
            address += one.len() as u64;
            listed
        });
        Self {
            instructions: listed.collect(),
            bytes: instructions.concat(),
        }
    }

    fn text(&self, range: Range<u64>) -> Option<Text> {
        let end = BASE + self.bytes.len() as u64;
        let start = range.start.max(BASE);
        let bytes = start..range.end.min(end).max(start);
        let [first, last] =
            [bytes.start, bytes.end].map(|at| usize::try_from(at - BASE).expect("short"));
        Some(Text {
            start,
            bytes: self.bytes[first..last].to_vec(),
        })
    }

    /// The block of these instructions is translated.
    fn translated(&self, led: &Led, block: Range<usize>) -> Result<Repeating, Elsewhere> {
        led.translated(&self.instructions[block], |range| self.text(range))
    }
}

#[test]
fn further_rounds_are_blocks_of_their_own() {
    let image = Image::of(&[MOV_ECX_EDX, REP_MOVSB, RET]);
    let led = Led::default();
    assert_eq!(image.translated(&led, 0..2), LED);
    assert_eq!(image.translated(&led, 1..2), LED);
    assert_eq!(image.translated(&led, 2..3), Ok(Repeating::None));
    let repeating = Repeating::Last { led: true };
    assert_eq!([1, 2, 3].map(|n| counted(n, repeating)), [0, 2, 3]);
    let repeating = Repeating::Last { led: false };
    assert_eq!([1, 2, 3].map(|n| counted(n, repeating)), [1, 2, 3]);
}

#[test]
fn a_block_that_ends_before_it_counts_it() {
    let image = Image::of(&[NOP, MOV_ECX_EDX, REP_MOVSB]);
    let led = Led::default();
    assert_eq!(image.translated(&led, 0..1), Ok(Repeating::None));
    assert_eq!(image.translated(&led, 0..2), Ok(Repeating::Next));
    assert_eq!(counted(2, Repeating::Next), 3);
    assert_eq!(
        image.translated(&led, 2..3),
        LED,
        "what comes is further rounds"
    );
    assert_eq!(image.translated(&led, 1..3), LED);
}

#[test]
fn seen_first_without_what_leads_to_it() {
    let image = Image::of(&[MOV_ECX_EDX, REP_MOVSB]);
    let led = Led::default();
    assert_eq!(image.translated(&led, 1..2), NOT_LED);
    assert_eq!(
        image.translated(&led, 0..2),
        NOT_LED,
        "QEMU has the block already"
    );
    assert_eq!(image.translated(&led, 0..1), Ok(Repeating::None));
}

#[test]
fn jumped_to() {
    let first = |jump: &[u8]| {
        let image = Image::of(&[MOV_ECX_EDX, REP_MOVSB, NOP, jump]);
        image.translated(&Led::default(), 0..2)
    };
    // Back over themselves and the NOP, to the REP; one byte less does not lead there.
    for jump in [
        &[0x75, 0xfb][..],
        &[0xeb, 0xfb],
        &[0xe3, 0xfb],
        &[0xe9, 0xf8, 0xff, 0xff, 0xff],
        &[0x0f, 0x84, 0xf7, 0xff, 0xff, 0xff],
        &[0xe8, 0xf8, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(first(jump), NOT_LED, "{jump:x?}");
        let mut beside = jump.to_vec();
        let offset = if jump.len() == 6 { 2 } else { 1 };
        beside[offset] += 1;
        assert_eq!(first(&beside), LED, "{beside:x?}");
    }
}

#[test]
fn what_only_looks_like_a_jump() {
    let mut before = vec![NOP; 300];
    // add %rsi,0x2(%rax); its last two bytes would jump to the REP.
    before.extend([&[0x48, 0x01, 0x70, 0x02], MOV_ECX_EDX, REP_MOVSB]);
    let image = Image::of(&before);
    assert_eq!(image.translated(&Led::default(), 300..303), LED);
    // jo, the same bytes.
    before[300] = &[0x70, 0x02];
    let image = Image::of(&before);
    assert_eq!(image.translated(&Led::default(), 301..303), NOT_LED);
}

#[test]
fn jumped_to_from_afar() {
    let image = Image::of(&[MOV_ECX_EDX, REP_MOVSB, NOP]);
    // A conditional jump, far away: nothing of it is in the text around.
    let mut far = Image::of(&[&[0x0f, 0x84, 0, 0, 0, 0]]).instructions;
    let from = BASE + (1 << 20);
    far[0].address = from;
    let offset = i32::try_from((BASE + 2) as i64 - (from + 6) as i64).expect("2 GB");
    far[0].bytes[2..6].copy_from_slice(&offset.to_le_bytes());
    let nothing = |_: Range<u64>| None;
    let led = Led::default();
    assert_eq!(led.translated(&far, nothing), Ok(Repeating::None));
    assert_eq!(image.translated(&led, 0..2), NOT_LED, "it was seen before");
    let led = Led::default();
    assert_eq!(image.translated(&led, 0..2), LED);
    assert_eq!(led.translated(&far, nothing), Err(Elsewhere), "too late");
}

#[test]
fn only_where_the_one_before_just_goes_on() {
    let call: &[u8] = &[0xe8, 0, 1, 0, 0];
    for (before, led) in [
        (MOV_ECX_EDX, LED),
        (&[0x31, 0xc0][..], LED),
        (&[0x48, 0x8d, 0x7d, 0xa0][..], LED),
        (&[0xb9, 9, 0, 0, 0][..], LED),
        (&[0xfb][..], LED),
        (MOV_ECX_MEMORY, LED),
        (&[0x49, 0x89, 0x1e][..], LED),
        (&[0x03, 0x0e][..], NOT_LED),
        (NOP, NOT_LED),
        (&[0x50][..], NOT_LED),
        (call, NOT_LED),
        (REP_MOVSB, NOT_LED),
        (&[0x74, 0][..], NOT_LED),
    ] {
        let image = Image::of(&[before, &[0xf3, 0x48, 0xab]]);
        assert_eq!(image.translated(&Led::default(), 0..2), led, "{before:x?}");
    }
}

#[test]
fn nothing_is_known_outside_of_the_image() {
    let image = Image::of(&[MOV_ECX_EDX, REP_MOVSB]);
    let mut block = image.instructions.clone();
    for listed in &mut block {
        listed.address -= BASE - 0x40_0000;
    }
    let text = |range| image.text(range);
    assert_eq!(Led::default().translated(&block, text), NOT_LED);
    assert_eq!(image.translated(&Led::default(), 0..2), LED);
}
