//! A recorded stream of any venue: lines with their times, read from a file or from memory.
//!
//! Lines are told apart by content: `<receive ns> <JSON>`, `<ns> < or > <JSON>` (lines sent by
//! the client are skipped), bare JSON, and `{"recv_ns","url","body"}`. A line without a receive
//! time has the time that its message states, or the time of the line before. The file is read as
//! a stream, never held in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Lines of a recording.
pub type Lines = Box<dyn Iterator<Item = io::Result<String>> + Send>;
/// Opens the lines again from the beginning.
pub type Reopen = Box<dyn Fn() -> io::Result<Lines> + Send>;

/// One recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was received, Unix ns; never before the line before it.
    pub at_ns: u64,
    /// The message, byte for byte.
    pub json: String,
}

/// A recording that can be read any number of times.
pub struct Tape {
    reopen: Reopen,
    first_ns: u64,
}

impl Tape {
    /// A file, plain or `.gz`.
    ///
    /// # Errors
    /// If it cannot be read or holds no message.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        Self::new(Box::new(move || file_lines(&path)))
    }

    /// The same over lines in memory.
    ///
    /// # Errors
    /// As [`Tape::open`].
    pub fn from_lines(lines: Vec<String>) -> io::Result<Self> {
        Self::new(Box::new(move || Ok(Box::new(lines.clone().into_iter().map(Ok)))))
    }

    fn new(reopen: Reopen) -> io::Result<Self> {
        let mut first_ns = None;
        for line in TapeLines::new(reopen()?) {
            let at_ns = line?.at_ns;
            first_ns = Some(at_ns);
            // A first line without a time is played together with the first one that has one.
            if at_ns > 0 {
                break;
            }
        }
        let first_ns =
            first_ns.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line"))?;
        Ok(Self { reopen, first_ns })
    }

    /// The lines from the beginning.
    ///
    /// # Errors
    /// If the file cannot be opened again.
    pub fn lines(&self) -> io::Result<TapeLines> {
        Ok(TapeLines::new((self.reopen)()?))
    }

    /// Time of the first line that has one.
    #[must_use]
    pub fn first_ns(&self) -> u64 {
        self.first_ns
    }
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("first_ns", &self.first_ns).finish_non_exhaustive()
    }
}

/// Lines in file order, with times that never go back.
pub struct TapeLines {
    lines: Lines,
    number: u64,
    at_ns: u64,
}

impl TapeLines {
    /// Over these lines.
    #[must_use]
    pub fn new(lines: Lines) -> Self {
        Self { lines, number: 0, at_ns: 0 }
    }

    /// Number of the line that came last, counted from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    fn line(&mut self, line: &str) -> Result<Option<Line>, &'static str> {
        let Some(start) = line.find('{') else {
            return if line.trim().is_empty() { Ok(None) } else { Err("no JSON object") };
        };
        let (head, json) = line.split_at(start);
        if head.contains('>') {
            return Ok(None);
        }
        let head = head.trim().trim_end_matches('<').trim();
        let json = json.trim_end();
        let own_time = if head.is_empty() { stated_ns(json) } else { head.parse().ok() };
        if !head.is_empty() && own_time.is_none() {
            return Err("the receive time is not a number");
        }
        self.at_ns = self.at_ns.max(own_time.unwrap_or(0));
        Ok(Some(Line { at_ns: self.at_ns, json: json.to_owned() }))
    }
}

impl Iterator for TapeLines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            match self.line(&line) {
                Ok(None) => {}
                Ok(Some(line)) => return Some(Ok(line)),
                Err(what) => {
                    let what = format!("line {}: {what}", self.number);
                    return Some(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
            }
        }
    }
}

fn file_lines(path: &Path) -> io::Result<Lines> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let compressed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read + Send> = if compressed {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Ok(Box::new(BufReader::with_capacity(1 << 16, reader).lines()))
}

/// The time that a message states itself, in the ways of the venues.
fn stated_ns(json: &str) -> Option<u64> {
    let number = |key: &str, unit_ns: u64| {
        let (_, rest) = json.split_once(key)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()?.checked_mul(unit_ns)
    };
    if json.starts_with(r#"{"recv_ns":"#) {
        return number(r#""recv_ns":"#, 1);
    }
    let text = |key| {
        let (_, rest) = json.split_once(key)?;
        rfc3339_ns(rest.split('"').next()?)
    };
    number(r#""E":"#, 1_000_000)
        .or_else(|| number(r#""ts":"#, 1_000_000))
        .or_else(|| number(r#""ts":""#, 1_000_000))
        .or_else(|| text(r#""timestamp":""#))
}

/// Unix ns of `2023-07-30T15:29:58.343415Z`.
fn rfc3339_ns(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=2500).contains(&year) || !(1..=12).contains(&month) || fraction.len() > 9 {
        return None;
    }
    // Days before the year, counted from March so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    let scale = 10_u64.pow(9 - fraction.len() as u32);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000_000 + fraction.parse::<u64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_formats_are_told_apart() {
        let text = "7 {\"a\":1}\n8 > {\"b\":1}\n9 < {\"c\":1}\n\n{\"ts\":\"12\"}\n{\"none\":1}\n\
                    {\"recv_ns\":13000000,\"url\":\"x\",\"body\":{}}\n{\"ts\":14}\n";
        let tape = Tape::from_lines(text.lines().map(str::to_owned).collect()).unwrap();
        let times: Vec<u64> = tape.lines().unwrap().map(|line| line.unwrap().at_ns).collect();
        assert_eq!(times, [7, 9, 12_000_000, 12_000_000, 13_000_000, 14_000_000]);
        assert_eq!(tape.first_ns(), 7);
        let bad = |text: &str| {
            let tape = Tape::from_lines(vec!["1 {}".to_owned(), text.to_owned()]).unwrap();
            tape.lines().unwrap().last().unwrap().unwrap_err().to_string()
        };
        assert_eq!(bad("hello"), "line 2: no JSON object");
        assert_eq!(bad("x1 {}"), "line 2: the receive time is not a number");
        assert!(Tape::from_lines(Vec::new()).is_err());
    }

    #[test]
    fn stated_times_are_read() {
        let ns = rfc3339_ns("2026-08-09T21:05:48.854840045Z");
        assert_eq!(ns, Some(1_786_309_548_854_840_045));
        assert_eq!(rfc3339_ns("2000-02-29T00:00:00Z"), Some(951_782_400_000_000_000));
        assert_eq!(rfc3339_ns("yesterday"), None);
    }
}
