//! The book's pictures of the recording that is built in are what the program draws of it.
//!
//! `INSTA_UPDATE=always` writes them anew, as it does the pictures beside the tests.

use std::fs;
use std::path::Path;

#[expect(dead_code, reason = "tests of the other screens need the rest")]
mod stage;

use stage::Stage;

const SCREENS: &str = "docs/src/guide/screens.md";

/// The page, what the title of the picture's first panels has, the marked call and the keys that lead there.
const PICTURES: &[[&str; 4]] = &[
    [
        "README.md",
        "ladder of write: linux │ bypass",
        "write",
        "4 Tab m",
    ],
    [SCREENS, "crossings in linux: ", "write", "3"],
    [SCREENS, "path of syscall write", "write", "4"],
    [
        SCREENS,
        "ladder of write: linux │ bypass",
        "write",
        "4 Tab m",
    ],
    [SCREENS, "flame of getppid in linux", "getppid", "5 p"],
    [
        SCREENS,
        "butterfly of write: linux → bypass",
        "write",
        "5 d m",
    ],
];

/// The text between the fences of the picture with that title.
fn picture<'a>(page: &'a str, title: &str) -> Option<&'a str> {
    let blocks = page.split("```text\n").skip(1);
    let mut blocks = blocks.filter_map(|block| block.split("\n```\n").next());
    blocks.find(|block| {
        let mut lines = block.lines();
        lines.nth(1).is_some_and(|rule| rule.contains(title))
    })
}

#[test]
fn the_book_has_the_pictures_of_the_recording_that_is_built_in() {
    let rewrites = std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always");
    for [page, title, call, keys] in PICTURES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        let text = fs::read_to_string(&path).expect("a page of the book");
        let has = picture(&text, title).unwrap_or_else(|| panic!("{page} has no '{title}'"));
        let mut stage = Stage::built_in(80, 24);
        stage.mark(call);
        stage.keys(keys);
        let drawn = stage.text();
        assert!(
            drawn.contains(title),
            "{keys} show something else:\n{drawn}"
        );
        if rewrites && has != drawn {
            fs::write(&path, text.replacen(has, &drawn, 1)).expect("a page of the book");
        } else {
            assert_eq!(has, drawn, "{page}: INSTA_UPDATE=always writes it anew");
        }
    }
}
