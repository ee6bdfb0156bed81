//! The venue of the bench: a process of its own, pinned beside the lane, and what is known of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, Instrument, InstrumentId, InstrumentTable};
use bot4_venue::account::Balance;
use bot4_venue::generator::Activity;
use bot4_venue::limits::LimitRules;
use bot4_venue::orders::OwnTrade;
use bot4_venue::store::Record;
use bot4_venue::symbol::SymbolSpec;
use bot4_venue::{Config, Out, Ready, Venue, VenueOptions};
use bot4_venues::binance::instruments::parse;
use bot4_venues::binance::orders;
use bot4_venues::binance::sign::{Credentials, Signer};
use bot4_venues::limits::RateLimits;

/// The venue's amounts have eight decimals, the engine's sixteen.
const E8: i128 = 100_000_000;
const SYMBOL: &str = "BTCUSDT";
/// A market that hardly moves: the bench is about orders.
const QUIET: Activity = Activity { steps_per_second: 20, levels: 300 };

/// An account by its venue's log.
#[derive(Debug, Default)]
pub struct Settled {
    /// What it holds, free and locked together.
    pub held: Vec<(AssetId, Amount)>,
    /// Orders that the venue took.
    pub orders: u64,
    /// Those of them that have not ended.
    pub open: u64,
    /// Fills.
    pub fills: u64,
    /// Bought less sold, in the venue's units of 10^-8.
    pub position: i128,
}

/// A venue that runs.
pub struct Site {
    /// Where it is, and its keys.
    pub ready: Ready,
    /// Its instruments.
    pub table: InstrumentTable,
    /// Its limits.
    pub limits: RateLimits,
    state: PathBuf,
    child: Child,
}

impl Site {
    /// Starts `command`, which must [`serve`], and reads where it is.
    ///
    /// # Errors
    /// When it does not start or its first line cannot be read.
    pub fn start(command: &mut Command) -> Result<Self, Box<dyn std::error::Error>> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let ready: Ready = serde_json::from_str(&line)?;
        let mut asked = Vec::new();
        orders::exchange_info(1, &[SYMBOL], &mut asked);
        let config = Config { limits: LimitRules::OPEN, ..Config::new(1, keyless()) };
        let mut twin = Venue::new(config, bot4_venue::store::Stored::default())?;
        twin.connect(1, "/ws-api/v3", 1).map_err(|status| format!("refused: {status}"))?;
        twin.on_text(1, &String::from_utf8_lossy(&asked), 1);
        let text = std::iter::from_fn(|| twin.poll_output()).find_map(|(_, out)| match out {
            Out::Text(text) => Some(text),
            _ => None,
        });
        let text = text.ok_or("no answer to exchangeInfo")?;
        let info = parse(text.as_str().as_bytes(), &[SYMBOL])?;
        let state = ready.ca.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { ready, table: info.table, limits: info.limits, state, child })
    }

    /// What is traded.
    ///
    /// # Panics
    /// Never: the table has one instrument.
    #[must_use]
    pub fn instrument(&self) -> &Instrument {
        self.table.get(InstrumentId(0)).expect("one instrument")
    }

    /// The market's price at its start, in the instrument's units.
    ///
    /// # Panics
    /// Never: the venue lists the symbol.
    #[must_use]
    pub fn price(&self) -> i64 {
        let specs = SymbolSpec::defaults();
        let spec = specs.iter().find(|spec| spec.name == SYMBOL).expect("it is listed");
        let decimals = u32::from(self.instrument().price_decimals);
        spec.start_price / 10i64.pow(8 - decimals)
    }

    /// What the account holds at the venue's first start.
    #[must_use]
    pub fn balances(&self) -> Vec<(AssetId, Amount)> {
        let all = Config::new(1, keyless()).balances.into_iter();
        let known = |(name, units): (String, i128)| {
            Some((self.table.find_asset(name.as_bytes())?, units * E8))
        };
        all.filter_map(known).collect()
    }

    /// The account as the venue's own log has it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn settled(&self) -> std::io::Result<Settled> {
        let log = std::fs::File::open(self.state.join("account.log"))?;
        let (mut held, mut orders) = (BTreeMap::new(), BTreeMap::new());
        let mut settled = Settled::default();
        for line in BufReader::new(log).lines() {
            let record: Record = serde_json::from_str(&line?).map_err(std::io::Error::other)?;
            settled.fills += record.trades.len() as u64;
            let signed = |t: &OwnTrade| i128::from(if t.buyer { t.qty } else { -t.qty });
            settled.position += record.trades.iter().map(signed).sum::<i128>();
            held.extend(record.balances);
            orders.extend(record.orders.into_iter().map(|o| (o.id, o.status.is_open())));
        }
        let known = |(name, b): (String, Balance)| {
            Some((self.table.find_asset(name.as_bytes())?, (b.free + b.locked) * E8))
        };
        settled.held = held.into_iter().filter_map(known).collect();
        settled.orders = orders.len() as u64;
        settled.open = orders.into_values().filter(|open| *open).count() as u64;
        Ok(settled)
    }

    /// The account's key.
    ///
    /// # Errors
    /// When the key file cannot be read.
    pub fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error>> {
        let text = std::fs::read_to_string(&self.ready.private_key)?;
        let signer = Signer::ed25519(&text).map_err(|error| error.to_string())?;
        Ok(Credentials::new(&self.ready.api_key, signer).map_err(|error| error.to_string())?)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An account that nobody logs on to.
fn keyless() -> bot4_venue::Credentials {
    bot4_venue::Credentials { api_key: "bench".to_owned(), public_key: [0; 32] }
}

/// The venue's process: serves until it is killed, pinned to `cpu`, its keys below `state`.
///
/// # Errors
/// When it cannot listen.
pub fn serve(cpu: Option<usize>, spin: bool, state: &Path) -> std::io::Result<()> {
    if let Some(id) = cpu {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
    let options = VenueOptions {
        activity: QUIET,
        limits: LimitRules::OPEN,
        spin,
        state_dir: Some(state.to_owned()),
        fresh: true,
        end_with_parent: Some(std::os::unix::process::parent_id()),
        ..VenueOptions::default()
    };
    let announce = |ready: &Ready| println!("{}", serde_json::to_string(ready).unwrap_or_default());
    bot4_venue::run(&options, &AtomicBool::new(false), announce)
}
