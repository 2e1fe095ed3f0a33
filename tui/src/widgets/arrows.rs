//! Arrows from jumps to where they go, in columns left of a list's rows.

/// A jump from a row to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    pub from: usize,
    pub to: usize,
}

impl Jump {
    fn first(self) -> usize {
        self.from.min(self.to)
    }

    fn last(self) -> usize {
        self.from.max(self.to)
    }
}

/// The columns for the rows from `top`, each `lanes + 1` wide. A short jump stands inside a long
/// one; what finds no lane is left out.
#[must_use]
pub fn columns(jumps: &[Jump], top: usize, height: usize, lanes: usize) -> Vec<String> {
    let bottom = top + height;
    let mut seen: Vec<Jump> = jumps
        .iter()
        .copied()
        .filter(|jump| jump.first() < bottom && jump.last() >= top)
        .collect();
    seen.sort_by_key(|jump| (jump.last() - jump.first(), jump.from));
    let mut taken: Vec<Vec<Jump>> = vec![Vec::new(); lanes];
    let mut cells = vec![vec![' '; lanes + 1]; height];
    for jump in seen {
        let free = |lane: &Vec<Jump>| {
            lane.iter()
                .all(|other| other.last() < jump.first() || jump.last() < other.first())
        };
        // The inmost lane is the last column before the rows.
        let Some(lane) = taken.iter().position(free) else {
            continue;
        };
        taken[lane].push(jump);
        draw(&mut cells, jump, top, lanes - 1 - lane);
    }
    cells
        .into_iter()
        .map(|row| row.into_iter().collect())
        .collect()
}

fn draw(cells: &mut [Vec<char>], jump: Jump, top: usize, column: usize) {
    let visible = jump.first().max(top)..=jump.last();
    for row in visible {
        let Some(line) = cells.get_mut(row - top) else {
            break;
        };
        let end = row == jump.from || row == jump.to;
        line[column] = match line[column] {
            _ if end && row == jump.first() => '┌',
            _ if end => '└',
            '─' => '┼',
            _ => '│',
        };
        if !end {
            continue;
        }
        let last = line.len() - 1;
        for cell in &mut line[column + 1..last] {
            *cell = match *cell {
                '│' | '┼' => '┼',
                '┌' | '└' => '├',
                _ => '─',
            };
        }
        line[last] = match (line[last], row == jump.to) {
            ('▸', _) | (_, true) => '▸',
            _ => '─',
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_jump_stands_inside_a_long_one() {
        let jumps = [Jump { from: 0, to: 4 }, Jump { from: 3, to: 1 }];
        assert_eq!(
            columns(&jumps, 0, 5, 2),
            ["┌──", "│┌▸", "││ ", "│└─", "└─▸"]
        );
        assert_eq!(columns(&jumps, 2, 2, 2), ["││ ", "│└─"]);
        assert_eq!(columns(&[], 0, 1, 2), ["   "]);
    }

    proptest! {
        #[test]
        fn every_row_has_its_columns(
            ends in prop::collection::vec((0usize..40, 0usize..40), 0..12),
            top in 0usize..40, height in 0usize..20, lanes in 1usize..4,
        ) {
            let jumps: Vec<Jump> = ends.into_iter().map(|(from, to)| Jump { from, to }).collect();
            let rows = columns(&jumps, top, height, lanes);
            prop_assert_eq!(rows.len(), height);
            prop_assert!(rows.iter().all(|row| row.chars().count() == lanes + 1));
        }
    }
}
