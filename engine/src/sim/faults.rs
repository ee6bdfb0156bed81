//! What goes wrong besides the venue's script: the network, the scheduler, the journal's disk and
//! the clocks, at drawn moments.

use std::collections::{BTreeMap, VecDeque};

use bot4_types::Nanos;
use bot4_venue::script;
use bot4_wire::transport::memory::Network;

use super::disk::MemoryDisk;

/// Every kind of fault that a run can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The order connection is reset.
    CutOrder,
    /// It is reset in the step that sent an order: the order does not arrive.
    CutOnSend,
    /// It is reset after the venue has read an order and before its answer is read.
    CutAfterSend,
    /// A market or snapshot connection is reset.
    CutMarket,
    /// The order connection carries nothing for a while.
    StallOrder,
    /// A market or snapshot connection carries nothing for a while.
    StallMarket,
    /// New connections are refused for a while.
    Refuse,
    /// A wire, parse or book agent stands still.
    StarveFront,
    /// Signal, risk, execution or journal stands still.
    StarveBack,
    /// The venue stands still.
    StarveVenue,
    /// An order's answer is lost.
    LoseAck,
    /// An order's answer is a 500.
    FailAck,
    /// A report is lost.
    LoseReport,
    /// A report comes twice.
    RepeatReport,
    /// A depth update is lost.
    LoseDepth,
    /// A depth update comes twice.
    RepeatDepth,
    /// Market connections are open and silent.
    Silent,
    /// Answers are late.
    DelayAcks,
    /// All connections end.
    DropAll,
    /// The venue says that it will go away.
    ShutdownNotice,
    /// The order connection is reset while approved orders wait for their record in the journal,
    /// which stands still for it.
    CutOnWait,
    /// Everything stands still and time goes on: a paused machine.
    Pause,
    /// The venue's wall clock steps forward or back.
    WallStep,
    /// The journal's disk is late, for less than the journal's patience.
    DiskSlow,
    /// It is late for longer: the engine halts.
    DiskSilent,
    /// A sync fails: the engine halts.
    DiskFails,
    /// Nothing more can be made on it for a while: the engine halts if it needs to.
    DiskFull,
    /// A report comes after those that followed it.
    LateReport,
    /// The last reports are told again.
    ReplayReports,
    /// No event of the account is told for a while; answers are.
    Deaf,
    /// No request is answered for a while; events are told.
    Mute,
    /// The address is banned for a while.
    Ban,
    /// An open order is gone, and nobody is told.
    SilentCancel,
    /// Another program on the account trades, or lets an order rest: the engine stops trading.
    Foreign,
}

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::CutOrder,
        Self::CutOnSend,
        Self::CutAfterSend,
        Self::CutMarket,
        Self::StallOrder,
        Self::StallMarket,
        Self::Refuse,
        Self::StarveFront,
        Self::StarveBack,
        Self::StarveVenue,
        Self::LoseAck,
        Self::FailAck,
        Self::LoseReport,
        Self::RepeatReport,
        Self::LoseDepth,
        Self::RepeatDepth,
        Self::Silent,
        Self::DelayAcks,
        Self::DropAll,
        Self::ShutdownNotice,
        Self::CutOnWait,
        Self::Pause,
        Self::WallStep,
        Self::DiskSlow,
        Self::DiskSilent,
        Self::DiskFails,
        Self::DiskFull,
        Self::LateReport,
        Self::ReplayReports,
        Self::Deaf,
        Self::Mute,
        Self::Ban,
        Self::SilentCancel,
        Self::Foreign,
    ];

    /// Its name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CutOrder => "cut_order",
            Self::CutOnSend => "cut_on_send",
            Self::CutAfterSend => "cut_after_send",
            Self::CutMarket => "cut_market",
            Self::StallOrder => "stall_order",
            Self::StallMarket => "stall_market",
            Self::Refuse => "refuse",
            Self::StarveFront => "starve_front",
            Self::StarveBack => "starve_back",
            Self::StarveVenue => "starve_venue",
            Self::LoseAck => "lose_ack",
            Self::FailAck => "fail_ack",
            Self::LoseReport => "lose_report",
            Self::RepeatReport => "repeat_report",
            Self::LoseDepth => "lose_depth",
            Self::RepeatDepth => "repeat_depth",
            Self::Silent => "silent",
            Self::DelayAcks => "delay_acks",
            Self::DropAll => "drop_all",
            Self::ShutdownNotice => "shutdown_notice",
            Self::CutOnWait => "cut_on_wait",
            Self::Pause => "pause",
            Self::WallStep => "wall_step",
            Self::DiskSlow => "disk_slow",
            Self::DiskSilent => "disk_silent",
            Self::DiskFails => "disk_fails",
            Self::DiskFull => "disk_full",
            Self::LateReport => "late_report",
            Self::ReplayReports => "replay_reports",
            Self::Deaf => "deaf",
            Self::Mute => "mute",
            Self::Ban => "ban",
            Self::SilentCancel => "silent_cancel",
            Self::Foreign => "foreign",
        }
    }

    /// The kind of a fault in the venue's script, if the swarm draws it.
    #[must_use]
    pub const fn of_script(fault: &script::Fault) -> Option<Self> {
        use script::Fault as F;
        Some(match fault {
            F::DropConnections => Self::DropAll,
            F::Silent(_) => Self::Silent,
            F::LoseDepth(_) => Self::LoseDepth,
            F::RepeatDepth(_) => Self::RepeatDepth,
            F::ShutdownNotice => Self::ShutdownNotice,
            F::DelayAcks(_) => Self::DelayAcks,
            F::LoseAck => Self::LoseAck,
            F::FailAck => Self::FailAck,
            F::LoseReport => Self::LoseReport,
            F::RepeatReport => Self::RepeatReport,
            F::LateReport(_) => Self::LateReport,
            F::ReplayReports => Self::ReplayReports,
            F::Deaf(_) => Self::Deaf,
            F::Mute(_) => Self::Mute,
            F::Ban(_) => Self::Ban,
            F::SilentCancel => Self::SilentCancel,
            F::ForeignTrade(_) | F::ForeignOrder(_) => Self::Foreign,
            _ => return None,
        })
    }
}

/// Silence of the disk from which on the fault is one that halts the engine.
pub const SILENCE: Nanos = Nanos(bot4_journal::agent::STALL_NS_MAX);

/// A fault of the network, the scheduler, the disk or a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// See [`Kind::CutOrder`].
    CutOrder,
    /// See [`Kind::CutOnSend`].
    CutOnSend,
    /// See [`Kind::CutAfterSend`].
    CutAfterSend,
    /// See [`Kind::CutMarket`]; the number picks one.
    CutMarket(u64),
    /// For how long.
    StallOrder(Nanos),
    /// Which and for how long.
    StallMarket(u64, Nanos),
    /// For how long.
    Refuse(Nanos),
    /// Which agent and for how long.
    Starve(&'static str, Nanos),
    /// How long the journal stands still at most.
    CutOnWait(Nanos),
    /// For how long.
    Pause(Nanos),
    /// By how many milliseconds.
    WallStep(i64),
    /// For how long; see [`Kind::DiskSlow`] and [`Kind::DiskSilent`].
    DiskLate(Nanos),
    /// See [`Kind::DiskFails`].
    DiskFails,
    /// For how long.
    DiskFull(Nanos),
}

/// What only the floor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// This agent does not work until then.
    Hold(&'static str, Nanos),
    /// Time passes in which nobody works.
    Pause(Nanos),
    /// The venue's wall clock steps by so many milliseconds.
    WallStep(i64),
}

impl Fault {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::CutOrder => Kind::CutOrder,
            Self::CutOnSend => Kind::CutOnSend,
            Self::CutAfterSend => Kind::CutAfterSend,
            Self::CutMarket(_) => Kind::CutMarket,
            Self::StallOrder(_) => Kind::StallOrder,
            Self::StallMarket(..) => Kind::StallMarket,
            Self::Refuse(_) => Kind::Refuse,
            Self::Starve("venue", _) => Kind::StarveVenue,
            Self::Starve(role, _) if ["signal", "risk", "execution", "journal"].contains(role) => {
                Kind::StarveBack
            }
            Self::Starve(..) => Kind::StarveFront,
            Self::CutOnWait(_) => Kind::CutOnWait,
            Self::Pause(_) => Kind::Pause,
            Self::WallStep(_) => Kind::WallStep,
            Self::DiskLate(span) if *span < SILENCE => Kind::DiskSlow,
            Self::DiskLate(_) => Kind::DiskSilent,
            Self::DiskFails => Kind::DiskFails,
            Self::DiskFull(_) => Kind::DiskFull,
        }
    }
}

/// A cut that waits for its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    OnSend,
    AfterSend,
    /// An order was sent; the venue has not worked since.
    AfterVenue,
    OnWait,
}

/// Lets the drawn faults strike.
pub struct FaultDriver {
    network: Network,
    disk: MemoryDisk,
    due: VecDeque<(Nanos, Fault)>,
    script: VecDeque<script::Timed>,
    /// What ends when.
    ends: Vec<(Nanos, End)>,
    armed: Option<Armed>,
    /// Connections by who made them, newest last.
    order_conns: Vec<usize>,
    market_conns: Vec<usize>,
    known: usize,
    /// How often each kind struck.
    pub struck: BTreeMap<Kind, u64>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Unstall(usize),
    Admit,
    DiskAnswers,
    DiskHasRoom,
}

impl FaultDriver {
    /// A driver over `network` and `disk`; `script` is performed by the venue and only counted
    /// here.
    #[must_use]
    pub fn new(
        network: Network,
        disk: MemoryDisk,
        due: Vec<(Nanos, Fault)>,
        script: Vec<script::Timed>,
    ) -> Self {
        Self {
            network,
            disk,
            due: due.into(),
            script: script.into(),
            ends: Vec::new(),
            armed: None,
            order_conns: Vec::new(),
            market_conns: Vec::new(),
            known: 0,
            struck: BTreeMap::new(),
        }
    }

    /// After a step of `role`: notes its connections and, with `sent` new orders in it or so many
    /// `waiting`, lets the armed cut strike.
    pub fn after(&mut self, role: &str, sent: usize, waiting: usize) {
        let connects = self.network.connects();
        for index in self.known..connects {
            let execution = role == "execution";
            if execution { &mut self.order_conns } else { &mut self.market_conns }.push(index);
        }
        self.known = connects;
        self.armed = match self.armed {
            Some(Armed::OnSend) if sent > 0 => self.strike_armed(Kind::CutOnSend),
            Some(Armed::AfterSend) if sent > 0 => Some(Armed::AfterVenue),
            Some(Armed::AfterVenue) if role == "venue" => self.strike_armed(Kind::CutAfterSend),
            Some(Armed::OnWait) if waiting > 0 => self.strike_armed(Kind::CutOnWait),
            same => same,
        };
    }

    fn strike_armed(&mut self, kind: Kind) -> Option<Armed> {
        self.cut_order();
        self.count(kind);
        None
    }

    /// Lets strike what is due; `act` does what only the floor can.
    pub fn strike(&mut self, now: Nanos, act: &mut dyn FnMut(Act)) {
        self.end_due(now);
        while self.script.front().is_some_and(|t| t.at_ns <= now.0) {
            let Some(timed) = self.script.pop_front() else { return };
            if let Some(kind) = Kind::of_script(&timed.fault) {
                self.count(kind);
            }
        }
        while self.due.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, fault)) = self.due.pop_front() else { return };
            self.perform(fault, now, act);
        }
    }

    /// No further fault; what lasts ends.
    pub fn calm_down(&mut self) {
        self.due.clear();
        self.armed = None;
        self.disk.trouble(|trouble| trouble.sync_fails = false);
        self.end_due(Nanos::MAX);
    }

    /// Ends every connection and lets none come up: nothing new arrives.
    pub fn sever(&mut self) {
        self.network.refuse(true);
        (0..self.known).for_each(|index| self.network.cut(index));
    }

    fn perform(&mut self, fault: Fault, now: Nanos, act: &mut dyn FnMut(Act)) {
        match fault {
            Fault::CutOrder => self.cut_order(),
            Fault::CutOnSend => return self.armed = Some(Armed::OnSend),
            Fault::CutAfterSend => return self.armed = Some(Armed::AfterSend),
            Fault::CutMarket(n) => {
                if let Some(index) = newest(&self.market_conns, n) {
                    self.network.cut(index);
                }
            }
            Fault::StallOrder(span) => self.stall(self.order_conns.last().copied(), now + span),
            Fault::StallMarket(n, span) => self.stall(newest(&self.market_conns, n), now + span),
            Fault::Refuse(span) => {
                self.network.refuse(true);
                self.ends.push((now + span, End::Admit));
            }
            Fault::Starve(role, span) => act(Act::Hold(role, now + span)),
            Fault::CutOnWait(span) => {
                act(Act::Hold("journal", now + span));
                return self.armed = Some(Armed::OnWait);
            }
            Fault::Pause(span) => act(Act::Pause(span)),
            Fault::WallStep(ms) => act(Act::WallStep(ms)),
            Fault::DiskLate(span) => {
                self.disk.trouble(|trouble| trouble.slow = true);
                self.ends.push((now + span, End::DiskAnswers));
            }
            Fault::DiskFails => self.disk.trouble(|trouble| trouble.sync_fails = true),
            Fault::DiskFull(span) => {
                self.disk.trouble(|trouble| trouble.full = true);
                self.ends.push((now + span, End::DiskHasRoom));
            }
        }
        self.count(fault.kind());
    }

    fn cut_order(&self) {
        if let Some(index) = self.order_conns.last() {
            self.network.cut(*index);
        }
    }

    fn stall(&mut self, index: Option<usize>, until: Nanos) {
        if let Some(index) = index {
            self.network.stall(index, true);
            self.ends.push((until, End::Unstall(index)));
        }
    }

    fn end_due(&mut self, now: Nanos) {
        let (network, disk) = (&self.network, &self.disk);
        self.ends.retain(|(at, end)| {
            if *at > now {
                return true;
            }
            match end {
                End::Unstall(index) => network.stall(*index, false),
                End::Admit => network.refuse(false),
                End::DiskAnswers => disk.trouble(|trouble| trouble.slow = false),
                End::DiskHasRoom => disk.trouble(|trouble| trouble.full = false),
            }
            false
        });
    }

    fn count(&mut self, kind: Kind) {
        *self.struck.entry(kind).or_default() += 1;
    }
}

/// One of the newest four connections: two wire agents have two each.
fn newest(conns: &[usize], pick: u64) -> Option<usize> {
    let recent = &conns[conns.len().saturating_sub(4)..];
    recent.get(pick as usize % recent.len().max(1)).copied()
}
