//! Answers from bytes that may be split anywhere.
//!
//! A body ends where RFC 9112 §6.3 says: by its status none, by chunks, by its length, or with the
//! connection. What two readers could take for two different things is refused.

use super::{CHUNK_LINE_LEN_MAX, HEAD_LEN_MAX, HEADERS_MAX, HttpError, INTERIM_MAX};

/// What was made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Bytes that belong to this answer; the others are not looked at.
    pub consumed: usize,
    /// The answer is complete.
    pub complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Status line and headers.
    Head,
    /// So many bytes of the body are missing.
    Body { left: u64 },
    /// The body lasts as long as the connection.
    ToEnd,
    /// The line that begins a chunk.
    ChunkLine,
    /// So many bytes of a chunk are missing.
    Chunk { left: u64 },
    /// The line end behind a chunk's data.
    ChunkEnd,
    /// Headers behind the last chunk, which nobody needs.
    Trailers,
    /// Nothing is missing.
    Complete,
}

/// Reads one answer after the other.
#[derive(Debug)]
pub struct ResponseDecoder {
    state: State,
    /// The head, and then lines of chunks and trailers.
    head: Vec<u8>,
    /// Length of the final head, which stays at the front of `head`.
    head_len: usize,
    body: Vec<u8>,
    body_len_max: usize,
    status: u16,
    /// Interim answers before this one.
    interim: u32,
    /// Bytes of trailers that were read and forgotten.
    trailers: usize,
    keeps: bool,
}

impl ResponseDecoder {
    /// A decoder for bodies of at most `body_len_max` bytes.
    #[must_use]
    pub fn new(body_len_max: usize) -> Self {
        Self {
            state: State::Head,
            head: Vec::with_capacity(2_048),
            head_len: 0,
            body: Vec::with_capacity(body_len_max.min(16 * 1024)),
            body_len_max,
            status: 0,
            interim: 0,
            trailers: 0,
            keeps: false,
        }
    }

    /// The next answer begins.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.body.clear();
        (self.head_len, self.status, self.keeps) = (0, 0, false);
        (self.interim, self.trailers) = (0, 0);
    }

    /// Nothing of an answer was read yet.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        matches!(self.state, State::Head) && self.head.is_empty() && self.interim == 0
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// [`HttpError`]: the connection is of no use any more.
    pub fn feed(&mut self, input: &[u8]) -> Result<Fed, HttpError> {
        let mut at = 0;
        while self.state != State::Complete && at < input.len() {
            at += self.step(&input[at..])?;
        }
        Ok(Fed { consumed: at, complete: self.state == State::Complete })
    }

    /// The peer will send no more. True when that completes the answer.
    ///
    /// # Errors
    /// [`HttpError::CutOff`] within an answer.
    pub fn end(&mut self) -> Result<bool, HttpError> {
        match self.state {
            State::ToEnd => {
                self.state = State::Complete;
                Ok(true)
            }
            State::Complete => Ok(true),
            _ if self.is_fresh() => Ok(false),
            _ => Err(HttpError::CutOff),
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The first header called `name`, whatever its letters' case, without blanks around it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut slots);
        head.parse(&self.head[..self.head_len]).ok()?;
        let found = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        core::str::from_utf8(found.value).ok().map(str::trim)
    }

    /// Another request may follow on this connection.
    #[must_use]
    pub const fn keeps_connection(&self) -> bool {
        self.keeps
    }

    /// One part of `input`, which is not empty; how much of it was taken.
    fn step(&mut self, input: &[u8]) -> Result<usize, HttpError> {
        match self.state {
            State::Head => self.take_head(input),
            State::Body { left } => {
                let n = self.take_body(input, left)?;
                let left = left - n as u64;
                self.state = if left == 0 { State::Complete } else { State::Body { left } };
                Ok(n)
            }
            State::ToEnd => self.take_body(input, u64::MAX),
            State::ChunkLine => self.take_chunk_line(input),
            State::Chunk { left } => {
                let n = self.take_body(input, left)?;
                let left = left - n as u64;
                self.state = if left == 0 { State::ChunkEnd } else { State::Chunk { left } };
                Ok(n)
            }
            State::ChunkEnd => self.take_chunk_end(input),
            State::Trailers => self.take_trailers(input),
            State::Complete => Ok(0),
        }
    }

    fn take_body(&mut self, input: &[u8], left: u64) -> Result<usize, HttpError> {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if self.body.len() + n > self.body_len_max {
            return Err(HttpError::BodyTooLong);
        }
        self.body.extend_from_slice(&input[..n]);
        Ok(n)
    }

    fn take_head(&mut self, input: &[u8]) -> Result<usize, HttpError> {
        let before = self.head.len();
        let taken = input.len().min(HEAD_LEN_MAX - before);
        self.head.extend_from_slice(&input[..taken]);
        // The blank line may straddle two pieces.
        let from = before.saturating_sub(3);
        let end = self.head[from..].windows(4).position(|w| w == b"\r\n\r\n");
        let Some(end) = end.map(|i| from + i + 4) else {
            let full = self.head.len() == HEAD_LEN_MAX;
            return if full { Err(HttpError::HeadTooLong) } else { Ok(taken) };
        };
        self.head.truncate(end);
        self.read_head()?;
        Ok(end - before)
    }

    fn read_head(&mut self) -> Result<(), HttpError> {
        let framing = framing_of(&self.head)?;
        if (100..200).contains(&framing.status) {
            self.interim += 1;
            if self.interim > INTERIM_MAX || framing.status == 101 {
                return Err(HttpError::BadInterim);
            }
            self.head.clear();
            return Ok(());
        }
        (self.status, self.keeps, self.head_len) = (framing.status, framing.keeps, self.head.len());
        self.state = match framing.body {
            Extent::Length(0) => State::Complete,
            Extent::Length(n) if n > self.body_len_max as u64 => {
                return Err(HttpError::BodyTooLong);
            }
            Extent::Length(left) => State::Body { left },
            Extent::Chunked => State::ChunkLine,
            Extent::ToEnd => State::ToEnd,
        };
        Ok(())
    }

    fn take_chunk_line(&mut self, input: &[u8]) -> Result<usize, HttpError> {
        let (n, line) = self.take_line(input, CHUNK_LINE_LEN_MAX, HttpError::BadChunk)?;
        if !line {
            return Ok(n);
        }
        let size = chunk_size(&self.head[self.head_len..]).ok_or(HttpError::BadChunk)?;
        self.head.truncate(self.head_len);
        let room = (self.body_len_max - self.body.len()) as u64;
        self.state = match size {
            0 => State::Trailers,
            n if n > room => return Err(HttpError::BodyTooLong),
            left => State::Chunk { left },
        };
        Ok(n)
    }

    fn take_chunk_end(&mut self, input: &[u8]) -> Result<usize, HttpError> {
        let (n, line) = self.take_line(input, 2, HttpError::BadChunk)?;
        if line {
            self.head.truncate(self.head_len);
            self.state = State::ChunkLine;
        }
        Ok(n)
    }

    /// Trailers are read up to their blank line and forgotten.
    fn take_trailers(&mut self, input: &[u8]) -> Result<usize, HttpError> {
        let room = HEAD_LEN_MAX - self.trailers;
        let (n, line) = self.take_line(input, room, HttpError::HeadTooLong)?;
        if line {
            let blank = self.head.len() == self.head_len + 2;
            self.trailers += self.head.len() - self.head_len;
            self.head.truncate(self.head_len);
            if blank {
                self.state = State::Complete;
            }
        }
        Ok(n)
    }

    /// Takes bytes up to a line's end (a carriage return and a line feed) behind the head. How
    /// many, and whether the line is complete.
    fn take_line(
        &mut self,
        input: &[u8],
        len_max: usize,
        too_long: HttpError,
    ) -> Result<(usize, bool), HttpError> {
        let held = self.head.len() - self.head_len;
        let found = input.iter().position(|b| *b == b'\n');
        let n = found.map_or(input.len(), |at| at + 1);
        if held + n > len_max {
            return Err(too_long);
        }
        self.head.extend_from_slice(&input[..n]);
        if found.is_some() && !self.head[self.head_len..].ends_with(b"\r\n") {
            return Err(HttpError::BadChunk);
        }
        Ok((n, found.is_some()))
    }
}

/// How long a body is.
enum Extent {
    Length(u64),
    Chunked,
    ToEnd,
}

struct Framing {
    status: u16,
    keeps: bool,
    body: Extent,
}

/// What a whole head says about what follows it.
fn framing_of(head: &[u8]) -> Result<Framing, HttpError> {
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut slots);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HttpError::TooManyHeaders),
        _ => return Err(HttpError::BadHead),
    }
    let (Some(status @ 100..=999), Some(version)) = (parsed.code, parsed.version) else {
        return Err(HttpError::BadHead);
    };
    let mut length: Option<u64> = None;
    let mut chunked = false;
    let mut keeps = version == 1;
    for header in parsed.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let n = decimal(value).ok_or(HttpError::BadLength)?;
            if length.replace(n).is_some_and(|other| other != n) {
                return Err(HttpError::BadLength);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::UnknownCoding);
            }
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("content-encoding") {
            if !value.eq_ignore_ascii_case(b"identity") {
                return Err(HttpError::Compressed);
            }
        } else if header.name.eq_ignore_ascii_case("connection") {
            let close = |word: &[u8]| word.trim_ascii().eq_ignore_ascii_case(b"close");
            keeps &= !value.split(|b| *b == b',').any(close);
        }
    }
    let body = match (status, chunked, length) {
        (_, true, Some(_)) => return Err(HttpError::AmbiguousLength),
        (100..=199 | 204 | 304, ..) => Extent::Length(0),
        (_, true, None) => Extent::Chunked,
        (_, false, Some(n)) => Extent::Length(n),
        (_, false, None) => Extent::ToEnd,
    };
    keeps &= !matches!(body, Extent::ToEnd);
    Ok(Framing { status, keeps, body })
}

/// A number of decimal digits alone.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The size that a whole line begins a chunk with.
fn chunk_size(line: &[u8]) -> Option<u64> {
    // The parser takes a line without a digit for the last chunk.
    if !line.first().is_some_and(u8::is_ascii_hexdigit) {
        return None;
    }
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((n, size))) if n == line.len() => Some(size),
        _ => None,
    }
}
