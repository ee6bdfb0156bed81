//! `instruments.json` beside the blocks of a capture: what its frames are read with.
//!
//! A venue's snapshot answers name an instrument by its place in the recorder's table, and
//! decimals come from the venue's list; a capture without this file can only be guessed at.

use std::io;
use std::path::Path;

use bot4_types::{ConnId, Instrument, InstrumentId, InstrumentTable, Price, Qty, Shards, Symbol};
use bot4_venues::registry::Venue;
use serde::{Deserialize, Serialize};

/// The file's name.
pub const FILE: &str = "instruments.json";
const VERSION: u32 = 1;
/// Highest connection number that is believed.
const CONNS_MAX: u16 = 255;

/// What a capture was recorded with.
#[derive(Clone, Debug)]
pub struct CaptureInstruments {
    /// The venue.
    pub venue: Venue,
    /// Which connections carry which instrument; one book lane.
    pub shards: Shards,
    /// Levels a side that the books are cut to; zero: not cut.
    pub depth_max: usize,
    /// The instruments, in the order of their ids.
    pub table: InstrumentTable,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    venue: String,
    depth_max: usize,
    instruments: Vec<Row>,
}

/// Prices and quantities in units of the instrument's decimals.
#[derive(Serialize, Deserialize)]
struct Row {
    symbol: String,
    /// The connections that carry it, one or two.
    conns: Vec<u16>,
    base: String,
    quote: String,
    price_decimals: u8,
    qty_decimals: u8,
    tick: i64,
    lot: i64,
    price_min: i64,
    price_max: i64,
    qty_min: i64,
    qty_max: i64,
}

impl CaptureInstruments {
    /// Writes the file into `dir`; a capture that goes on keeps its instruments.
    ///
    /// # Errors
    /// What the disk says; [`io::ErrorKind::AlreadyExists`] when the folder holds a capture of
    /// other instruments, whose frames could not be told from these.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_string_pretty(&self.to_file()).map_err(io::Error::other)?;
        match std::fs::read_to_string(&path) {
            Ok(old) if old == text => return Ok(()),
            Ok(_) if bot4_capture::is_capture(dir) => {
                let what = format!("{} names other instruments", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            _ => {}
        }
        let half = dir.join(".instruments.json.new");
        std::fs::write(&half, text)?;
        std::fs::rename(half, path)
    }

    /// Reads the file beside the capture `path`: its folder, or one of its files. `None`: there
    /// is none.
    ///
    /// # Errors
    /// What the disk says, or what is wrong with the file.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let dir = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
        let path = dir.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let wrong = |what: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
        };
        let file: File = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        Self::of_file(&file).map(Some).map_err(wrong)
    }

    fn to_file(&self) -> File {
        let name = |id| self.table.asset_name(id).to_owned();
        let row = |i: &Instrument| Row {
            symbol: i.symbol.as_str().to_owned(),
            conns: self.shards.lines_of(i.id).iter().map(|conn| conn.0).collect(),
            base: name(i.base),
            quote: name(i.quote),
            price_decimals: i.price_decimals,
            qty_decimals: i.qty_decimals,
            tick: i.tick,
            lot: i.lot,
            price_min: i.price_min.0,
            price_max: i.price_max.0,
            qty_min: i.qty_min.0,
            qty_max: i.qty_max.0,
        };
        File {
            version: VERSION,
            venue: self.venue.name().to_owned(),
            depth_max: self.depth_max,
            instruments: self.table.all().iter().map(row).collect(),
        }
    }

    fn of_file(file: &File) -> Result<Self, String> {
        if file.version != VERSION {
            return Err(format!("version {} is not known", file.version));
        }
        let venue = Venue::from_name(&file.venue).ok_or("an unknown venue")?;
        let mut table = InstrumentTable::new();
        for row in &file.instruments {
            let wrong = |what: &str| format!("`{}`: {what}", row.symbol);
            let symbol = Symbol::new(&row.symbol).ok_or_else(|| wrong("no symbol"))?;
            let mut i = Instrument::bare(InstrumentId(0), symbol, row.price_decimals);
            let mut asset = |name: &str| {
                let name = Symbol::new(name).ok_or_else(|| wrong("no asset"))?;
                table.asset(name).map_err(|e| wrong(&format!("{e:?}")))
            };
            (i.base, i.quote) = (asset(&row.base)?, asset(&row.quote)?);
            i.qty_decimals = row.qty_decimals;
            (i.tick, i.lot) = (row.tick, row.lot);
            (i.price_min, i.price_max) = (Price(row.price_min), Price(row.price_max));
            (i.qty_min, i.qty_max) = (Qty(row.qty_min), Qty(row.qty_max));
            table.push_for_books(i).map_err(|e| wrong(&format!("{e:?}")))?;
        }
        let shards = shards_of(&file.instruments)?;
        Ok(Self { venue, shards, depth_max: file.depth_max, table })
    }
}

/// The shards of rows whose connections are told, on one book lane.
fn shards_of(rows: &[Row]) -> Result<Shards, String> {
    let mut shards = Shards::round_robin(rows.len(), 1, 1);
    let last = rows.iter().flat_map(|row| &row.conns).max().copied().unwrap_or(0);
    if last > CONNS_MAX {
        return Err(format!("connection {last} is beyond {CONNS_MAX}"));
    }
    (0..=last).for_each(|conn| shards.put_conn(ConnId(conn), 0));
    for (k, row) in rows.iter().enumerate() {
        let conns: Vec<ConnId> = row.conns.iter().copied().map(ConnId).collect();
        let sound = match conns.as_slice() {
            [_] => true,
            [a, b] => a != b,
            _ => false,
        };
        if !sound {
            return Err(format!("`{}`: one connection, or two different ones", row.symbol));
        }
        shards.put_lines(InstrumentId(k as u16), &conns);
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> CaptureInstruments {
        let mut table = InstrumentTable::new();
        for name in ["BTCUSDT", "ETHUSDT"] {
            let symbol = Symbol::new(name).expect("short");
            let mut i = Instrument::bare(InstrumentId(0), symbol, 2);
            (i.qty_decimals, i.tick, i.lot, i.qty_max) = (5, 10, 3, Qty(1_000));
            i.base = table.asset(Symbol::new(&name[..3]).expect("short")).expect("room");
            i.quote = table.asset(Symbol::new("USDT").expect("short")).expect("room");
            table.push(i).expect("room");
        }
        let shards = Shards::two_lines(2, 1, 1);
        CaptureInstruments { venue: Venue::Binance, shards, depth_max: 25, table }
    }

    #[test]
    fn instruments_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(CaptureInstruments::read(dir.path()).expect("readable").is_none());
        let written = example();
        written.write(dir.path()).expect("written");
        let file = dir.path().join("capture-000001.b4c");
        for path in [dir.path(), &file] {
            let read = CaptureInstruments::read(path).expect("readable").expect("there");
            assert_eq!((read.venue, read.depth_max), (Venue::Binance, 25));
            let lines = |of: &CaptureInstruments| of.shards.lines_of(InstrumentId(1)).to_vec();
            assert_eq!(lines(&read), lines(&written));
            assert_eq!(read.table.all(), written.table.all());
            assert_eq!(read.table.asset_name(read.table.all()[1].base), "ETH");
        }
    }

    #[test]
    fn a_capture_keeps_its_instruments() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = example();
        first.write(dir.path()).expect("written");
        let other = CaptureInstruments { shards: Shards::round_robin(2, 1, 1), ..example() };
        other.write(dir.path()).expect("nothing is captured yet");
        std::fs::write(dir.path().join("capture-000001.b4c"), b"B4CP").expect("written");
        other.write(dir.path()).expect("the same");
        let error = first.write(dir.path()).expect_err("others");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn damage_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let later = r#"{"version":2,"venue":"binance","depth_max":0,"instruments":[]}"#;
        for text in ["", "{}", later] {
            std::fs::write(dir.path().join(FILE), text).expect("written");
            let error = CaptureInstruments::read(dir.path()).expect_err("wrong").to_string();
            assert!(error.contains(FILE), "{error}");
        }
    }
}
