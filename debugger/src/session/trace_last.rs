//! Keeps the last records of a run in memory, and hands them on at its end.

use std::collections::VecDeque;

use crate::trace::recording::Chunk;
use crate::trace::records::Recorder;
use crate::trace::sites::SiteTable;

#[derive(Debug)]
pub(super) struct Last {
    /// Whole pieces are let go as long as so many are left.
    most: usize,
    records: usize,
    pieces: VecDeque<Piece>,
    table: SiteTable,
}

#[derive(Debug)]
struct Piece {
    head: Chunk<'static>,
    records: Vec<u64>,
}

impl Last {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            records: 0,
            pieces: VecDeque::new(),
            table: SiteTable::default(),
        }
    }

    pub(super) fn hand_on(self, to: &mut dyn Recorder) {
        to.begin(&self.table);
        for piece in &self.pieces {
            to.take(Chunk {
                records: &piece.records,
                ..piece.head
            });
        }
    }
}

impl Recorder for Last {
    fn begin(&mut self, table: &SiteTable) {
        self.table = table.clone();
    }

    fn take(&mut self, chunk: Chunk<'_>) {
        self.records += chunk.records.len();
        let mut buffer = Vec::new();
        while let Some(first) = self.pieces.front()
            && self.records - first.records.len() >= self.most
        {
            self.records -= first.records.len();
            buffer = self
                .pieces
                .pop_front()
                .map_or(buffer, |piece| piece.records);
        }
        buffer.clear();
        buffer.extend(chunk.records);
        let head = Chunk {
            records: &[],
            ..chunk
        };
        self.pieces.push_back(Piece {
            head,
            records: buffer,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<u64>);

    impl Recorder for Seen {
        fn begin(&mut self, _table: &SiteTable) {}

        fn take(&mut self, chunk: Chunk<'_>) {
            assert_eq!(chunk.clock, chunk.records[0], "its own head");
            self.0.extend(chunk.records);
        }
    }

    #[test]
    fn the_last_records_are_kept_in_whole_pieces() {
        let mut last = Last::new(5);
        for first in [0, 3, 6, 9] {
            let records = [first, first + 1, first + 2];
            last.take(Chunk {
                vcpu: 0,
                sequence: first,
                clock: first,
                lost: 0,
                records: &records,
            });
        }
        let mut seen = Seen::default();
        last.hand_on(&mut seen);
        assert_eq!(seen.0, [6, 7, 8, 9, 10, 11]);
    }
}
