//! Reading recordings without the venue's code, and comparing them line by line.

use std::io::Read;
use std::path::Path;

/// The messages of a recording, without their receive times.
pub fn lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text.lines().map(|line| line[line.find('{').unwrap()..].to_owned()).collect()
}

/// Line by line equal; says where they part.
pub fn assert_same(ours: &[&String], recorded: &[&String]) {
    for (n, (a, b)) in ours.iter().zip(recorded).enumerate() {
        assert_eq!(a, b, "line {n}");
    }
    assert_eq!(ours.len(), recorded.len());
}
