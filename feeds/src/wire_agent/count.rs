//! What a wire agent counts.

/// Declares the counters once: places and names cannot come apart.
macro_rules! counts {
    ($($(#[$doc:meta])* $place:ident = $name:literal,)*) => {
        /// Places of the counters in [`NAMES`].
        #[derive(Clone, Copy, Debug)]
        pub enum Count {
            $($(#[$doc])* $place,)*
        }

        /// Names of the counters in reports.
        pub const NAMES: &[&str] = &[$($name,)*];
    };
}

counts! {
    /// Messages sent on to the parser.
    Messages = "messages",
    /// Their bytes.
    Bytes = "bytes",
    /// Those of them that the kernel stamped when they came.
    KernelStamped = "kernel_stamped",
    /// Receive calls that brought bytes.
    Recvs = "recvs",
    /// Turns in which reading stopped for want of room or of a slot.
    Backpressured = "backpressured",
    /// Connections dropped because what was received waited too long.
    DroppedBacklog = "dropped_backlog",
    /// Connections started, both kinds.
    Connects = "connects",
    /// Stream connections started after the first was lost.
    Reconnects = "reconnects",
    /// `LineUp` frames.
    LineUps = "line_ups",
    /// `LineDown` frames.
    LineDowns = "line_downs",
    /// Time without a stream connection since the first, milliseconds.
    StaleMs = "stale_ms",
    /// Notices of the venue that a server goes away.
    ShutdownNotices = "shutdown_notices",
    /// Connections renewed in order, before the venue cuts them.
    Renewals = "renewals",
    /// Connections replaced without a gap.
    Handovers = "handovers",
    /// Instruments subscribed again for a fresh snapshot.
    Resubscribes = "resubscribes",
    /// Requests of the books.
    Resyncs = "resyncs",
    /// Snapshot requests sent.
    SnapshotsRequested = "snapshots_requested",
    /// Messages on the snapshot connection.
    SnapshotsReceived = "snapshots_received",
    /// Pings sent.
    Pings = "pings",
    /// Pongs received.
    Pongs = "pongs",
    /// Pings of the venue answered.
    PingsAnswered = "pings_answered",
    /// Last round trip of a ping, nanoseconds (gauge).
    RttNs = "rtt_ns",
    /// Free slots (gauge).
    SlotsFree = "slots_free",
    /// Age of the oldest message that the parser has not given back, microseconds (gauge).
    BacklogUs = "backlog_us",
    /// Messages that no slot can hold.
    Oversize = "oversize",
    /// Connections that did not open.
    ErrorsConnect = "errors_connect",
    /// TLS and certificate errors.
    ErrorsTls = "errors_tls",
    /// Upgrades refused by the venue.
    ErrorsRefused = "errors_refused",
    /// Connections given up for silence.
    ErrorsSilent = "errors_silent",
    /// Connections closed by the venue.
    ErrorsClosed = "errors_closed",
    /// Violations of HTTP or WebSocket.
    ErrorsProtocol = "errors_protocol",
    /// Other errors of open connections.
    ErrorsIo = "errors_io",
}
