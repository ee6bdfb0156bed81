//! Seeds that once found something: always run again.

use super::Options;

/// The list: `<seed> <steps>` or `<seed> session` a line. Behind that stands what was drawn, too:
/// `parents` that were worked, `kinds` of orders that are not plain. `#` starts a comment that says
/// what it found.
const SEEDS: &str = include_str!("seeds.txt");

/// The saved runs.
///
/// # Panics
/// When a line of the list is not of this form, which a test finds.
#[must_use]
pub fn seeds() -> Vec<Options> {
    let lines = SEEDS.lines().map(|l| l.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|l| !l.is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse().ok();
            let options = match words[..] {
                [seed, "session", ..] => number(seed).map(Options::session),
                [seed, steps, ..] => {
                    number(seed).zip(number(steps)).map(|(seed, steps)| Options::swarm(seed, steps))
                }
                _ => None,
            };
            let has = |word| words.iter().skip(2).any(|w| *w == word);
            let (parents, kinds) = (has("parents"), has("kinds"));
            let options = options.map(|options| Options { parents, kinds, ..options });
            options.unwrap_or_else(|| panic!("seeds.txt: `{line}` is not as it says at its top"))
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
