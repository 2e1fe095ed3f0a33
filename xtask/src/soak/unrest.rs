//! What the churn beside the application tells on the console: kernel/init/churn.c.

/// `churn: available N slab N application N kB; processes N threads N signals N stops N wrong N`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) available_kib: i64,
    pub(super) slab_kib: i64,
    pub(super) application_kib: i64,
    pub(super) processes: u64,
    pub(super) threads: u64,
    pub(super) signals: u64,
    pub(super) stops: u64,
    /// Children and threads that did not end as they should.
    pub(super) wrong: u64,
}

/// All readings of a console.
#[must_use]
pub(super) fn readings(console: &str) -> Vec<Reading> {
    console.lines().filter_map(reading).collect()
}

fn reading(line: &str) -> Option<Reading> {
    let (_, rest) = line.split_once("churn: available ")?;
    let mut words = rest.split([' ', ';']).filter_map(|word| word.parse().ok());
    let mut number = || words.next();
    let signed = |number: u64| i64::try_from(number).ok();
    Some(Reading {
        available_kib: signed(number()?)?,
        slab_kib: signed(number()?)?,
        application_kib: signed(number()?)?,
        processes: number()?,
        threads: number()?,
        signals: number()?,
        stops: number()?,
        wrong: number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Reading, readings};

    #[test]
    fn a_line_of_the_churn_is_read_and_half_a_line_is_not() {
        let line = "churn: available 460000 slab 5000 application 7000 kB; \
                    processes 1 threads 8 signals 2 stops 3 wrong 0";
        let console = format!("init: x\r\n{line}\r\nchurn: available 4600");
        let expected = Reading {
            available_kib: 460_000,
            slab_kib: 5000,
            application_kib: 7000,
            processes: 1,
            threads: 8,
            signals: 2,
            stops: 3,
            wrong: 0,
        };
        assert_eq!(readings(&console), [expected]);
    }
}
