//! The simulated venue as an agent: the other end of the memory network.

use bot4_lanes::{Agent, Fault, Probe};
use bot4_types::instrument::Amount;
use bot4_types::{Nanos, Wall};
use bot4_venue::exchange::Exchange;
use bot4_venue::store::Stored;
use bot4_venue::venue::MarketSource;
use bot4_venue::{Config, Credentials, MemoryServer, Out, Venue};
use bot4_venues::binance::instruments::{ExchangeInfo, parse};
use bot4_venues::binance::orders;
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::amount;
use super::swarm::Swarm;

/// The account's keys.
pub struct Keys {
    /// The key's name.
    pub api_key: String,
    /// The private key as text.
    pub private_key: String,
}

/// The venue. See the module.
pub struct VenueAgent {
    network: Network,
    server: MemoryServer<MemoryServerStream>,
    wall: Wall,
    /// Its newest time: an exchange's own clock stands still rather than going back.
    newest_unix_ns: u64,
}

impl VenueAgent {
    /// A venue on `network` whose market follows from `seed` and whose faults from `swarm`, and
    /// the keys it accepts.
    ///
    /// # Errors
    /// When the key or the venue cannot be made.
    pub fn new(
        seed: u64,
        swarm: &Swarm,
        network: &Network,
        wall: Wall,
    ) -> Result<(Self, Keys), String> {
        let (credentials, keys) = keys(seed)?;
        let server = MemoryServer::new(venue(seed, swarm, credentials)?);
        Ok((Self { network: network.clone(), server, wall, newest_unix_ns: 0 }, keys))
    }

    /// Its wall clock steps by `ms`.
    pub fn step_wall(&mut self, ms: i64) {
        self.wall.origin_unix_ns += ms * 1_000_000;
    }

    /// The exchange, for the checkers.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        self.server.venue().exchange()
    }

    /// What the venue's exchangeInfo says of `symbols`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn exchange_info(
        seed: u64,
        swarm: &Swarm,
        symbols: &[String],
        wall: Wall,
    ) -> Result<ExchangeInfo, String> {
        // A venue of its own is asked, so that the question leaves no trace in the run's.
        let mut asked = venue(seed, swarm, keys(seed)?.0)?;
        let now = wall.unix_ns(Nanos::ZERO).unsigned_abs();
        let wanted: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let mut request = Vec::new();
        orders::exchange_info(1, &wanted, &mut request);
        let refused = |status| format!("the venue refused the connection with {status}");
        asked.connect(1, "/ws-api/v3", now).map_err(refused)?;
        asked.on_text(1, &String::from_utf8_lossy(&request), now);
        while let Some((_, out)) = asked.poll_output() {
            if let Out::Text(text) = out {
                return parse(text.as_str().as_bytes(), &wanted).map_err(|e| e.to_string());
            }
        }
        Err("the venue did not answer exchangeInfo".to_owned())
    }

    /// Free and locked together, by asset name.
    #[must_use]
    pub fn balances(&self) -> Vec<(String, Amount)> {
        let assets = self.exchange().account.assets();
        assets.iter().map(|(name, b)| (name.clone(), amount(b.free + b.locked))).collect()
    }
}

impl Agent for VenueAgent {
    fn role(&self) -> &'static str {
        "venue"
    }

    fn work(&mut self, now: Nanos, _probe: &mut Probe) -> Result<usize, Fault> {
        let unix_ns = self.wall.unix_ns(now).unsigned_abs().max(self.newest_unix_ns);
        self.newest_unix_ns = unix_ns;
        while let Some(stream) = self.network.accept() {
            self.server.add_stream(stream, unix_ns);
        }
        self.server.cycle(unix_ns);
        Ok(1)
    }
}

fn venue(seed: u64, swarm: &Swarm, credentials: Credentials) -> Result<Venue, String> {
    let config = Config {
        market: MarketSource::Generated(swarm.activity),
        limits: swarm.limits,
        crossed_answer_in: swarm.crossed_answer_in,
        script: swarm.script.clone(),
        ..Config::new(seed, credentials)
    };
    Venue::new(config, Stored::default()).map_err(|e| format!("the simulated venue: {e}"))
}

/// A key pair that follows from the seed: a simulation keeps no secrets.
fn keys(seed: u64) -> Result<(Credentials, Keys), String> {
    let mut rng = bot4_types::rng::SplitMix64::new(seed);
    let mut secret = [0u8; 32];
    for chunk in secret.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    // PKCS#8 version 1 of an Ed25519 seed (RFC 8410, section 10.3): a fixed head, then the seed.
    const HEAD: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let der = [HEAD.as_slice(), &secret].concat();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        .map_err(|e| format!("the simulator's key: {e}"))?;
    let mut public_key = [0; 32];
    public_key.copy_from_slice(pair.public_key().as_ref());
    let api_key = "S".repeat(64);
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(&der);
    let private_key = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Ok((Credentials { api_key: api_key.clone(), public_key }, Keys { api_key, private_key }))
}
