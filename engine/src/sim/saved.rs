//! Seeds that once found something: always run again.

use super::Options;

/// The list: `<seed> <steps>` a line, `#` starts a comment that says what it found.
const SEEDS: &str = include_str!("seeds.txt");

/// The saved runs.
///
/// # Panics
/// When a line of the list is not two numbers, which a test finds.
#[must_use]
pub fn seeds() -> Vec<Options> {
    let lines = SEEDS.lines().map(|l| l.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|l| !l.is_empty())
        .map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            match (numbers.next(), numbers.next()) {
                (Some(Ok(seed)), Some(Ok(steps))) => Options::swarm(seed, steps),
                _ => panic!("seeds.txt: `{line}` is not `<seed> <steps>`"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_can_be_read() {
        assert!(!super::seeds().is_empty());
    }
}
