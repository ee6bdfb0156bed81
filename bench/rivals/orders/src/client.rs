//! The client: tokio, tokio-tungstenite, serde_json.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bot4_bench::case::histogram;
use bot4_bench::order_path::Load;
use bot4_bench::order_path::site::Site;
use bot4_bench::plain_gate::{PlainGate, PlainOrder};
use bot4_types::{ClientId, OrderId, RunEpoch};
use bot4_venues::binance::orders::Encoder;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const SYMBOL: &str = "BTCUSDT";
/// The rival's intents begin this long after its session stands, as ours do.
const SETTLE: Duration = Duration::from_millis(200);

/// How a client is driven and how it journals.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Its name in the table.
    pub name: &'static str,
    /// The runtime is the one of `#[tokio::main]`: a worker for each CPU, none pinned, tasks go
    /// where there is room. Else it has one thread, pinned to a CPU of its own, as ours has.
    pub usual: bool,
    /// Intents are made by a task that never sleeps on the client's own thread: its best case.
    /// Else they come from another thread through a channel and wake the runtime.
    pub spins: bool,
    /// Each record goes to the kernel before its order: a killed process loses none, as ours.
    /// Else records stay in the buffer, and a killed process loses them.
    pub flushes: bool,
    /// All intents that wait are written before the kernel is called once for them, as ours; their
    /// records, too. Else each order is sent by itself, which is what `send` does.
    pub gathers: bool,
}

/// Pinned, woken by a channel; the others differ from it.
const WOKEN: Style = Style {
    name: "tokio; woken by a channel",
    usual: false,
    spins: false,
    flushes: true,
    gathers: false,
};
/// Pinned, and never sleeps.
const SPINNING: Style = Style { name: "tokio; spinning", spins: true, ..WOKEN };

/// The clients.
pub const STYLES: [Style; 5] = [
    Style { name: "tokio as #[tokio::main] has it", usual: true, ..WOKEN },
    WOKEN,
    SPINNING,
    Style { name: "tokio; spinning; gathers", gathers: true, ..SPINNING },
    Style {
        name: "tokio; spinning; records kept back",
        flushes: false,
        gathers: true,
        ..SPINNING
    },
];

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// An intent and when it was due.
struct Intent {
    id: u64,
    due: Instant,
}

/// One round of `load` by a client of `style` on `cpu`.
///
/// # Errors
/// When the venue cannot be reached or refuses.
pub fn round(
    site: &Site,
    load: Load,
    epoch: u32,
    cpu: Option<usize>,
    style: Style,
) -> Result<Histogram<u64>, Box<dyn std::error::Error>> {
    let played = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut builder = if style.usual {
                free()?;
                tokio::runtime::Builder::new_multi_thread()
            } else {
                if let Some(id) = cpu {
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                }
                tokio::runtime::Builder::new_current_thread()
            };
            builder.enable_all().build()?.block_on(play(site, load, epoch, style))
        });
        client.join()
    });
    played.map_err(|_| "the client panicked")?.map_err(|error| error.to_string().into())
}

/// The thread, and those that it makes, may run on every CPU that the system grants.
fn free() -> Result<(), Failure> {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    Ok(sched_setaffinity(None, &all)?)
}

async fn connect(site: &Site) -> Result<Socket, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&site.ready.ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = site.ready.api.trim_start_matches("wss://").split('/').next().unwrap_or("");
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("127.0.0.1")?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (socket, _) = tokio_tungstenite::client_async(&site.ready.api, tls).await?;
    Ok(socket)
}

/// Logs on and subscribes the account's events, as ours does.
async fn log_on(site: &Site, socket: &mut Socket) -> Result<(), Failure> {
    let credentials = site.credentials().map_err(|error| error.to_string())?;
    let mut encoder = Encoder::new(credentials, None);
    for step in 0..2 {
        let mut text = Vec::new();
        match step {
            0 => encoder.logon(1, unix_ms(), &mut text),
            _ => encoder.subscribe_user_data(2, unix_ms(), &mut text),
        }
        socket.send(Message::text(String::from_utf8(text)?)).await?;
        let answer = socket.next().await.ok_or("closed")??;
        let value: Value = serde_json::from_str(answer.to_text()?)?;
        if value["status"] != 200 {
            return Err(format!("refused: {value}").into());
        }
    }
    Ok(())
}

async fn play(
    site: &Site,
    load: Load,
    epoch: u32,
    style: Style,
) -> Result<Histogram<u64>, Failure> {
    let mut socket = connect(site).await?;
    log_on(site, &mut socket).await?;
    let (sink, stream) = socket.split();
    let price = site.price() as f64 / 10f64.powi(i32::from(site.instrument().price_decimals));
    let gate = Arc::new(PlainGate::of(SYMBOL, price));
    let answered = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn(read(stream, gate.clone(), answered.clone()));
    let (tx, rx) = mpsc::unbounded_channel();
    let from = Instant::now() + SETTLE;
    let made = Load { ..load };
    let thread = if style.spins {
        tokio::spawn(spin(tx, made, from));
        None
    } else {
        Some(std::thread::spawn(move || sleep(&tx, made, from)))
    };
    let folder = tempfile::tempdir()?;
    let journal = BufWriter::new(File::create(folder.path().join("journal"))?);
    let sender = Sender { sink, gate, journal, price, epoch, style, start: Instant::now() };
    let histogram = tokio::spawn(sender.run(rx, load.orders)).await??;
    for _ in 0..400 {
        if answered.load(Ordering::Relaxed) >= load.orders {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reader.abort();
    if let Some(thread) = thread {
        thread.join().map_err(|_| "the schedule panicked")?;
    }
    match answered.load(Ordering::Relaxed) {
        n if n >= load.orders => Ok(histogram),
        n => Err(format!("{n} of {} orders were taken", load.orders).into()),
    }
}

/// Intents by the clock, from the runtime's own thread.
async fn spin(tx: mpsc::UnboundedSender<Intent>, load: Load, from: Instant) {
    for id in 1..=load.orders {
        let due = due_of(id, load, from);
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        let _ = tx.send(Intent { id, due });
    }
}

/// The same from another thread. What the system's sleep is late is not the client's: an intent is
/// due when the thread has woken.
fn sleep(tx: &mpsc::UnboundedSender<Intent>, load: Load, from: Instant) {
    let mut woken = from;
    for id in 1..=load.orders {
        let due = due_of(id, load, from);
        if (id - 1).is_multiple_of(u64::from(load.burst)) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            woken = Instant::now();
        }
        let _ = tx.send(Intent { id, due: woken });
    }
}

fn due_of(id: u64, load: Load, from: Instant) -> Instant {
    from + Duration::from_nanos(load.pace_ns() * ((id - 1) / u64::from(load.burst)))
}

/// A message, as far as it is of use.
#[derive(Deserialize)]
struct Heard<'a> {
    status: Option<u16>,
    #[serde(borrow)]
    event: Option<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "e")]
    kind: &'a str,
    #[serde(rename = "X")]
    state: Option<&'a str>,
    #[serde(rename = "c")]
    client: Option<&'a str>,
}

/// What the journal keeps of an order.
#[derive(Serialize)]
struct Approved<'a> {
    at: f64,
    kind: &'a str,
    client: &'a str,
    symbol: &'a str,
    side: &'a str,
    price: f64,
    qty: f64,
}

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    method: &'a str,
    params: Params<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    new_client_order_id: &'a str,
    new_order_resp_type: &'a str,
    price: String,
    quantity: String,
    recv_window: u32,
    side: &'a str,
    symbol: &'a str,
    time_in_force: &'a str,
    timestamp: i64,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Reads answers and events; an order that ended frees what it held.
async fn read(mut stream: SplitStream<Socket>, gate: Arc<PlainGate>, answered: Arc<AtomicU64>) {
    while let Some(Ok(message)) = stream.next().await {
        let Ok(text) = message.to_text() else { continue };
        let Ok(heard) = serde_json::from_str::<Heard>(text) else { continue };
        if heard.status == Some(200) {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        let Some(event) = heard.event else { continue };
        let ended = matches!(event.state, Some("EXPIRED" | "FILLED" | "CANCELED"));
        if event.kind == "executionReport"
            && ended
            && let Some((_, order)) = event.client.and_then(|c| ClientId::parse(c.as_bytes()))
        {
            gate.end(order.0);
        }
    }
}

struct Sender {
    sink: SplitSink<Socket, Message>,
    gate: Arc<PlainGate>,
    journal: BufWriter<File>,
    price: f64,
    epoch: u32,
    style: Style,
    start: Instant,
}

impl Sender {
    async fn run(
        mut self,
        mut rx: mpsc::UnboundedReceiver<Intent>,
        orders: u64,
    ) -> Result<Histogram<u64>, Failure> {
        let mut spent = histogram();
        let mut left = orders;
        while left > 0 {
            let first = rx.recv().await.ok_or("no more intents")?;
            let mut due = vec![first.due];
            self.write(first.id).await?;
            while self.style.gathers
                && let Ok(next) = rx.try_recv()
            {
                due.push(next.due);
                self.write(next.id).await?;
            }
            if self.style.flushes {
                self.journal.flush()?;
            }
            self.sink.flush().await?;
            due.iter().for_each(|due| spent.saturating_record(due.elapsed().as_nanos() as u64));
            left -= due.len() as u64;
        }
        Ok(spent)
    }

    /// Checks, records and writes an order; [`run`](Self::run) then flushes the journal and, after
    /// it, the socket.
    async fn write(&mut self, id: u64) -> Result<(), Failure> {
        let buys = id & 1 == 0;
        let price = if buys { self.price * 0.995 } else { self.price * 1.005 };
        let price = (price * 100.0).round() / 100.0;
        let qty = 0.001;
        let at = self.start.elapsed().as_secs_f64();
        self.gate.place(&PlainOrder::new(id, SYMBOL, buys, price, qty, at))?;
        let client = ClientId::new(RunEpoch(self.epoch), OrderId(id));
        let (client, side) = (client.as_str(), if buys { "BUY" } else { "SELL" });
        let record = Approved { at, kind: "approved", client, symbol: SYMBOL, side, price, qty };
        serde_json::to_writer(&mut self.journal, &record)?;
        self.journal.write_all(b"\n")?;
        let params = Params {
            new_client_order_id: client,
            new_order_resp_type: "FULL",
            price: format!("{price:.2}"),
            quantity: format!("{qty:.5}"),
            recv_window: 1_000,
            side,
            symbol: SYMBOL,
            time_in_force: "IOC",
            timestamp: unix_ms(),
            kind: "LIMIT",
        };
        let request =
            serde_json::to_string(&Request { id: id + 2, method: "order.place", params })?;
        self.sink.feed(Message::text(request)).await?;
        Ok(())
    }
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}
