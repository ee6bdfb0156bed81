//! What was asked of a running engine from outside, as evidence: who, when, what, why, and whether
//! it was done.
//!
//! It is no input: what an act changes goes to risk as a command, which the journal holds apart. A
//! text that does not fit one record goes on in the next ones, in order, cut between characters.

use crate::log::{BODY_MAX, Body, Reader, Writer};

/// Bytes of a name, filled up with zeros.
const NAME: usize = 16;
/// Bytes of text in one record.
pub const TEXT_MAX: usize = BODY_MAX - (16 + 8 + 4 + 4 + 2 * NAME + 3);

/// Who asked for what, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActAbout {
    /// The act's own number; zero where it carried none.
    pub nonce: u128,
    /// When it was asked for by the asker's word, Unix ms; zero where it said nothing.
    pub asked_ms: i64,
    /// The user that asked.
    pub uid: u32,
    /// The process that asked; zero where the kernel does not say.
    pub pid: u32,
    /// What.
    act: [u8; NAME],
    /// `done`, or why not.
    outcome: [u8; NAME],
}

impl ActAbout {
    /// An act by its name and its outcome's; longer names are cut at 16 bytes.
    #[must_use]
    pub fn new((uid, pid): (u32, u32), nonce: u128, asked_ms: i64, names: [&str; 2]) -> Self {
        let [act, outcome] = names.map(|name| {
            let mut field = [0; NAME];
            let n = name.len().min(NAME);
            field[..n].copy_from_slice(&name.as_bytes()[..n]);
            field
        });
        Self { nonce, asked_ms, uid, pid, act, outcome }
    }

    /// The act's name.
    #[must_use]
    pub fn act_text(&self) -> String {
        text_of(&self.act)
    }

    /// The outcome's name.
    #[must_use]
    pub fn outcome_text(&self) -> String {
        text_of(&self.outcome)
    }

    /// The act with `text` in as many parts as it takes, 255 at most; one at least.
    #[must_use]
    pub fn parts(&self, text: &str) -> Vec<ActPart> {
        let mut pieces = Vec::new();
        let mut rest = text;
        loop {
            let mut at = rest.len().min(TEXT_MAX);
            while !rest.is_char_boundary(at) {
                at -= 1;
            }
            let (piece, more) = rest.split_at(at);
            pieces.push(piece);
            rest = more;
            if rest.is_empty() || pieces.len() == usize::from(u8::MAX) {
                break;
            }
        }
        let parts = pieces.len() as u8;
        let part = |(n, piece): (usize, &&str)| {
            let mut bytes = [0; TEXT_MAX];
            bytes[..piece.len()].copy_from_slice(piece.as_bytes());
            ActPart { about: *self, part: n as u8 + 1, parts, len: piece.len() as u8, bytes }
        };
        pieces.iter().enumerate().map(part).collect()
    }
}

fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// One record of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActPart {
    /// Who, when, what.
    pub about: ActAbout,
    /// Which part, from 1.
    pub part: u8,
    /// Of how many.
    pub parts: u8,
    len: u8,
    bytes: [u8; TEXT_MAX],
}

impl ActPart {
    /// Its piece of the text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.len).min(TEXT_MAX)]).into_owned()
    }
}

impl Body for ActPart {
    fn write(&self, w: &mut Writer<'_>) {
        let ActAbout { nonce, asked_ms, uid, pid, act, outcome } = &self.about;
        w.i128(*nonce as i128);
        w.i64(*asked_ms);
        w.u32(*uid);
        w.u32(*pid);
        w.bytes(act);
        w.bytes(outcome);
        w.u8(self.part);
        w.u8(self.parts);
        w.u8(self.len);
        w.bytes(&self.bytes[..usize::from(self.len).min(TEXT_MAX)]);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let (nonce, asked_ms) = (r.i128()? as u128, r.i64()?);
        let (uid, pid) = (r.u32()?, r.u32()?);
        let mut name = || -> Option<[u8; NAME]> {
            let mut field = [0; NAME];
            for byte in &mut field {
                *byte = r.u8()?;
            }
            Some(field)
        };
        let (act, outcome) = (name()?, name()?);
        let about = ActAbout { nonce, asked_ms, uid, pid, act, outcome };
        let (part, parts, len) = (r.u8()?, r.u8()?, r.u8()?);
        let mut bytes = [0; TEXT_MAX];
        for byte in bytes.get_mut(..usize::from(len))? {
            *byte = r.u8()?;
        }
        Some(Self { about, part, parts, len, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogEntry, LogKind};
    use crate::time::Nanos;
    use proptest::prelude::*;

    fn about() -> ActAbout {
        ActAbout::new((1_000, 77), u128::MAX - 1, 1_700_000_000_000, ["limits_reload", "done"])
    }

    #[test]
    fn a_short_act_is_one_record() {
        let parts = about().parts("");
        assert_eq!((parts.len(), parts[0].part, parts[0].parts), (1, 1, 1));
        assert_eq!(about().act_text(), "limits_reload");
        let cut = ActAbout::new((0, 0), 0, 0, ["a_name_that_is_too_long", "done"]);
        assert_eq!(cut.act_text().len(), NAME);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_records(text in "\\PC{0,900}") {
            let mut read = String::new();
            for (n, part) in about().parts(&text).iter().enumerate() {
                let entry = LogEntry::new(LogKind::Act, Nanos(1), |w| part.write(w));
                let mut r = Reader::over(entry.body());
                let back = ActPart::read(&mut r).expect("its own bytes");
                prop_assert_eq!(&back, part);
                prop_assert!(r.rest().is_empty());
                prop_assert_eq!((usize::from(back.part), back.about), (n + 1, about()));
                read.push_str(&back.text());
            }
            prop_assert_eq!(read, text);
        }
    }
}
