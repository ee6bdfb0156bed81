//! What travels over an engine's control socket: one JSON line each way, then the end.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use bot4_types::{ActAbout, ActPart, RiskCommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::ANSWER_WITHIN;
use super::commands::CommandText;
use super::orders::OrderText;
use super::refusal::{Refused, Why};

/// Longest request in bytes, its newline included.
pub const REQUEST_LEN_MAX: usize = 4 * 1024;
/// Longest reason in characters: it goes into logs and a file.
pub const REASON_LEN_MAX: usize = 500;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it goes.
    Status,
    /// No new orders, cancel what is open, stay up.
    Kill {
        /// Why, for whoever looks later.
        reason: String,
        /// Close what is held, too.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        flatten: bool,
    },
    /// Trade again.
    Resume {
        /// Why it is safe.
        reason: String,
    },
    /// What the venue says of an instrument's base asset holds: it trades again.
    AcceptBalance {
        /// Which instrument.
        symbol: String,
        /// Why it is safe.
        reason: String,
    },
    /// Another control mode; it outlives the run where it is tighter than the configuration's.
    Mode {
        /// Its name.
        mode: String,
        /// Why.
        reason: String,
    },
    /// Close circuit breakers.
    BreakerReset {
        /// Whose: `all`, `venue`, `strategy:1`, or a symbol.
        scope: String,
        /// Why what opened them is mended.
        reason: String,
    },
    /// Begin a parent order.
    Order {
        /// Which.
        order: Box<OrderText>,
        /// Why.
        reason: String,
    },
    /// Hold, resume or cancel a parent order.
    OrderAct {
        /// Its name.
        id: String,
        /// `pause`, `resume` or `cancel`.
        action: String,
        /// Why.
        reason: String,
    },
    /// A command on orders.
    OrderCommand {
        /// Which.
        command: Box<CommandText>,
        /// Why.
        reason: String,
    },
    /// All parent orders and commands that are known.
    OrderList,
    /// Write the latency histograms now.
    LatencyDump,
    /// Read `[risk]` of the configuration file anew: what is tighter holds at once.
    LimitsReload {
        /// Why what is looser may hold, too; without it that waits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// End the journal's current segment and begin the next.
    JournalRotate {
        /// Why.
        reason: String,
    },
}

impl Request {
    /// It changes nothing.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Status | Self::OrderList)
    }

    /// Its name in the journal and on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Kill { .. } => "kill",
            Self::Resume { .. } => "resume",
            Self::AcceptBalance { .. } => "accept_balance",
            Self::Mode { .. } => "mode",
            Self::BreakerReset { .. } => "breaker_reset",
            Self::Order { .. } => "order",
            Self::OrderAct { .. } => "order_act",
            Self::OrderCommand { .. } => "order_command",
            Self::OrderList => "order_list",
            Self::LatencyDump => "latency_dump",
            Self::LimitsReload { .. } => "limits_reload",
            Self::JournalRotate { .. } => "journal_rotate",
        }
    }

    /// Why it is asked for, by the asker's word.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Status | Self::OrderList | Self::LatencyDump => "",
            Self::LimitsReload { reason } => reason.as_deref().unwrap_or_default(),
            Self::Kill { reason, .. }
            | Self::Resume { reason }
            | Self::AcceptBalance { reason, .. }
            | Self::Mode { reason, .. }
            | Self::BreakerReset { reason, .. }
            | Self::Order { reason, .. }
            | Self::OrderAct { reason, .. }
            | Self::OrderCommand { reason, .. }
            | Self::JournalRotate { reason } => reason,
        }
    }

    /// What it is about, for the journal; empty where its name says all.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Self::Kill { flatten: true, .. } => "flatten".to_owned(),
            Self::AcceptBalance { symbol, .. } => symbol.clone(),
            Self::Mode { mode, .. } => mode.clone(),
            Self::BreakerReset { scope, .. } => scope.clone(),
            Self::Order { order, .. } => {
                format!("{} {} {} {}", order.algo, order.side, order.size, order.symbol)
            }
            Self::OrderAct { id, action, .. } => format!("{action} {id}"),
            Self::OrderCommand { command, .. } => {
                let of = command.of.as_deref().unwrap_or(&command.symbol);
                format!("{} {of}", command.kind)
            }
            _ => String::new(),
        }
    }
}

/// What an asker may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See.
    Read,
    /// See and act.
    #[default]
    Act,
}

/// An act's own number and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Never used before.
    pub nonce: u128,
    /// Unix time in ms.
    pub at_ms: i64,
    /// How long its asker waits for the answer, ms. Later it is void: who heard nothing takes it
    /// for not done.
    pub for_ms: Option<u32>,
}

impl Stamp {
    /// A number that nobody can guess, at `at_ms`, for as long as this program's commands wait.
    /// None without the system's randomness.
    #[must_use]
    pub fn fresh(at_ms: i64) -> Option<Self> {
        use ring::rand::SecureRandom as _;
        let mut bytes = [0; 16];
        ring::rand::SystemRandom::new().fill(&mut bytes).ok()?;
        let for_ms = u32::try_from(ANSWER_WITHIN.as_millis()).ok();
        Some(Self { nonce: u128::from_le_bytes(bytes), at_ms, for_ms })
    }
}

/// A stamp on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StampText {
    nonce: String,
    at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    for_ms: Option<u32>,
}

/// Longest name of whom a request is passed on for, characters.
const VIA_LEN_MAX: usize = 80;

/// A request with what says who asks. On the wire these are fields beside those of the request:
/// `"role"`, `"via"` and `"stamp": {"nonce": "16 to 32 hexadecimal digits", "at_ms": ms,
/// "for_ms": ms, if it likes}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// What its asker may do.
    pub role: Role,
    /// Whom it is passed on for.
    pub via: Option<String>,
    /// Its number and time; acts need them.
    pub stamp: Option<Stamp>,
}

impl Asked {
    /// `request` and no more.
    #[must_use]
    pub const fn of(request: Request) -> Self {
        Self { request, role: Role::Act, via: None, stamp: None }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(line: &[u8]) -> Result<Self, Refused> {
        let wrong = |what: String| Refused::new(Why::NoRequest, format!("not a request: {what}"));
        let value: Value = serde_json::from_slice(line).map_err(|e| wrong(e.to_string()))?;
        let Value::Object(mut fields) = value else {
            return Err(wrong("write a JSON object".to_owned()));
        };
        let mut take = |name: &str| fields.remove(name).filter(|v| !v.is_null());
        let (role, via, stamp) = (take("role"), take("via"), take("stamp"));
        let read = |e: serde_json::Error| wrong(e.to_string());
        let role = role.map(serde_json::from_value).transpose().map_err(read)?;
        let via: Option<String> = via.map(serde_json::from_value).transpose().map_err(read)?;
        let stamp: Option<StampText> =
            stamp.map(serde_json::from_value).transpose().map_err(read)?;
        let stamp = stamp.map(|text| text.stamp()).transpose().map_err(wrong)?;
        let request = serde_json::from_value(Value::Object(fields)).map_err(read)?;
        let plain = |text: String| -> String {
            text.chars().filter(|c| !c.is_control()).take(VIA_LEN_MAX).collect()
        };
        Ok(Self { request, role: role.unwrap_or_default(), via: via.map(plain), stamp })
    }

    /// Whom it is passed on for, as a mark before the journal's text; empty for nobody.
    #[must_use]
    pub fn mark(&self) -> String {
        self.via.as_ref().map(|via| format!("[{via}] ")).unwrap_or_default()
    }

    /// As a line.
    ///
    /// # Errors
    /// None that can come of these values.
    pub fn write(&self) -> serde_json::Result<Vec<u8>> {
        let mut value = serde_json::to_value(&self.request)?;
        if self.role == Role::Read {
            value["role"] = serde_json::to_value(self.role)?;
        }
        if let Some(via) = &self.via {
            value["via"] = via.as_str().into();
        }
        if let Some(Stamp { nonce, at_ms, for_ms }) = self.stamp {
            let nonce = format!("{nonce:032x}");
            value["stamp"] = serde_json::to_value(StampText { nonce, at_ms, for_ms })?;
        }
        let mut line = serde_json::to_vec(&value)?;
        line.push(b'\n');
        Ok(line)
    }
}

impl StampText {
    fn stamp(&self) -> Result<Stamp, String> {
        let digits = self.nonce.bytes().all(|b| b.is_ascii_hexdigit());
        let sound = digits && (16..=32).contains(&self.nonce.len());
        let nonce = u128::from_str_radix(&self.nonce, 16).ok().filter(|_| sound);
        let nonce = nonce.ok_or("stamp.nonce: write 16 to 32 hexadecimal digits")?;
        Ok(Stamp { nonce, at_ms: self.at_ms, for_ms: self.for_ms })
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What was refused and the mend; absent when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was refused, as one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The engine's status after the request.
    pub status: Value,
    /// Parent orders and commands: all of them, or the name of the one that is begun.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub orders: Value,
    /// A dump of the latency histograms: its file and its lines.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub dump: Value,
}

/// What came of a reading of the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsTold {
    /// The act's number, hexadecimal; empty where nobody asked by one.
    pub nonce: String,
    /// `taken`, `partly` (what is looser waits for a reason), `unchanged` or `refused`.
    pub outcome: String,
    /// Keys that are looser than what holds, and wait.
    pub looser: Vec<String>,
    /// Keys that hold from the next start on only.
    pub fixed: Vec<String>,
    /// All of it as a sentence.
    pub text: String,
}

impl LimitsTold {
    /// The sentence for who reads what a run tells: a warning where the file's limits do not hold.
    #[must_use]
    pub fn sentence(&self) -> String {
        let wait = matches!(self.outcome.as_str(), "partly" | "refused");
        format!("{}{}", if wait { "warning: " } else { "" }, self.text)
    }
}

/// What goes from the thread that serves people to the control lane.
#[derive(Clone, Debug)]
pub enum ForControl {
    /// To risk.
    Risk(RiskCommand),
    /// Into the journal.
    Evidence(Vec<ActPart>),
    /// Read the limits anew.
    Limits {
        /// Why looser ones may hold.
        reason: Option<String>,
        /// Who asks, for the journal.
        by: ActAbout,
        /// Whom it is passed on for, as a mark; empty for nobody.
        mark: String,
    },
}

/// What the newest reading of the limits came to. The lock is held for an assignment or a copy.
type LimitsBoard = Arc<Mutex<LimitsTold>>;

/// The end of whoever serves people. Cheap to clone.
#[derive(Clone)]
pub struct Sayer {
    to: Sender<ForControl>,
    limits: LimitsBoard,
}

/// The control lane's end.
pub struct Hearer {
    from: Receiver<ForControl>,
    limits: LimitsBoard,
}

/// From whoever serves people to the control lane.
#[must_use]
pub fn channel() -> (Sayer, Hearer) {
    let (to, from) = std::sync::mpsc::channel();
    let limits = LimitsBoard::default();
    (Sayer { to, limits: limits.clone() }, Hearer { from, limits })
}

impl Sayer {
    /// Says it. False: the run is ending and nobody hears it.
    #[must_use]
    pub fn say(&self, what: ForControl) -> bool {
        self.to.send(what).is_ok()
    }

    /// What the newest reading of the limits came to.
    #[must_use]
    pub fn limits(&self) -> LimitsTold {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Hearer {
    /// What was said next, if anything was.
    #[must_use]
    pub fn hear(&self) -> Option<ForControl> {
        self.from.try_recv().ok()
    }

    /// Tells what a reading of the limits came to.
    pub fn told(&self, limits: LimitsTold) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

/// `reason` as it is kept: one line, not empty, not longer than [`REASON_LEN_MAX`].
///
/// # Errors
/// What is wrong with it.
pub fn checked_reason(reason: &str) -> Result<String, String> {
    let plain: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    if plain.is_empty() {
        return Err("the reason is empty: say in a few words what you saw".to_owned());
    }
    let length = plain.chars().count();
    if length > REASON_LEN_MAX {
        return Err(format!("the reason has {length} characters; {REASON_LEN_MAX} are enough"));
    }
    Ok(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_and_unknown_ones_do_not() {
        let kill = Request::Kill { reason: "line cut".to_owned(), flatten: false };
        let text = serde_json::to_string(&kill).expect("JSON");
        assert_eq!(text, r#"{"do":"kill","reason":"line cut"}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).expect("read"), kill);
        let flatten = Request::Kill { reason: "line cut".to_owned(), flatten: true };
        let text = serde_json::to_string(&flatten).expect("JSON");
        assert_eq!(serde_json::from_str::<Request>(&text).expect("read"), flatten);
        for bad in [r#"{"do":"dance"}"#, r#"{"do":"kill"}"#, "7", "[]"] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_asks_stands_beside_what_is_asked() {
        let line = br#"{"do":"mode","mode":"manual","reason":"x","role":"read","via":"page\n",
            "stamp":{"nonce":"00ff00ff00ff00ff","at_ms":5,"for_ms":7}}"#;
        let asked = Asked::read(line).expect("a request");
        assert_eq!((asked.role, asked.via.as_deref()), (Role::Read, Some("page")));
        let stamp = Stamp { nonce: 0x00ff_00ff_00ff_00ff, at_ms: 5, for_ms: Some(7) };
        assert_eq!(asked.stamp, Some(stamp));
        assert_eq!((asked.request.name(), asked.request.about().as_str()), ("mode", "manual"));
        let again = Asked::read(&asked.write().expect("a line")).expect("a request");
        assert_eq!(again, asked);
        for bad in [
            r#"{"do":"status","role":"god"}"#,
            r#"{"do":"status","stamp":{"nonce":"12","at_ms":5}}"#,
            r#"{"do":"status","stamp":{"nonce":"00ff00ff00ff00ff","at_ms":5,"for_ms":-1}}"#,
            r#"{"do":"status","stamp":{"nonce":"+0ff00ff00ff00fz","at_ms":5}}"#,
            r#"{"do":"kill","reason":"x","who":"me"}"#,
            r#"{"do":"status"} {}"#,
        ] {
            assert_eq!(Asked::read(bad.as_bytes()).expect_err(bad).why, Why::NoRequest);
        }
    }

    #[test]
    fn reasons_are_one_short_line() {
        assert_eq!(checked_reason(" a\nb "), Ok("a b".to_owned()));
        assert!(checked_reason(" \t").is_err());
        assert!(checked_reason(&"x".repeat(REASON_LEN_MAX + 1)).is_err());
    }
}
