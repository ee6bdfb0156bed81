//! What the signal agent counts. Names are unique across agents, so sums by name stay meaningful.

/// Defines the table of names and the index of each.
macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident = $index:literal => $text:literal,)+) => {
        $($(#[$meta])* pub const $name: usize = $index;)+
        /// Names by index.
        pub const NAMES: &[&str] = &[$($text,)+];
        const _: () = { let mut i = 0; $(assert!($index == i); i += 1;)+ let _ = i; };
    };
}

counters! {
    /// Tops taken from the books.
    TOPS = 0 => "tops_in",
    /// Trades taken from the books.
    TRADES = 1 => "trades_in",
    /// Trades that the books had to drop.
    TRADES_MISSED = 2 => "trades_missed",
    /// Tops that were live but one-sided or crossed by their quotes: shown to nobody.
    TOPS_UNUSABLE = 3 => "tops_unusable",
    /// Times a book stopped being live.
    STALE = 4 => "books_gone_stale",
    /// Messages for an instrument that is not in the table.
    FOREIGN = 5 => "signal_foreign",
    /// New orders asked for.
    PLACES = 6 => "intents_placed",
    /// New orders that rest.
    QUOTES = 7 => "intents_quotes",
    /// New orders that take.
    TAKES = 8 => "intents_takes",
    /// Cancels asked for.
    CANCELS = 9 => "intents_cancels",
    /// Quotes whose cancel was confirmed while a new one waited.
    REPLACED = 10 => "quotes_replaced",
    /// Turns that took no market data, or wishes that waited, because the intents ring was full.
    BLOCKED_NO_ROOM = 11 => "blocked_no_room",
    /// Wishes refused because of phase, session, book or instrument.
    BLOCKED_CLOSED = 12 => "blocked_closed",
    /// Wishes that waited because an own order stood in the way.
    BLOCKED_SELF = 13 => "blocked_self",
    /// Wishes refused by the venue's filters.
    INVALID = 14 => "wishes_invalid",
    /// Wishes dropped because they had waited too long.
    WISHES_EXPIRED = 15 => "wishes_expired",
    /// Account messages taken.
    REPORTS = 16 => "account_in",
    /// Reports of orders that no slot holds any more (the last words of an ended order).
    REPORTS_LATE = 17 => "account_late",
    /// Fills seen.
    FILLS = 18 => "signal_fills",
    /// Intents that the gate refused.
    REFUSED = 19 => "intents_refused",
    /// Orders that the venue refused or that were never sent.
    REJECTED = 20 => "signal_rejected",
    /// Cancels sent again because nothing came back.
    CANCELS_AGAIN = 21 => "cancels_again",
    /// Timer rounds.
    TIMERS = 22 => "signal_timers",
    /// Times an instrument was closed for new orders.
    CLOSED = 23 => "instruments_closed",
    /// Stops that the touch crossed.
    STOPS_TRIGGERED = 24 => "stops_triggered",
    /// Positions too small to be closed: below a minimum of the venue.
    STOPS_DUST = 25 => "stops_dust",
    /// Wishes refused while a stop closes a position, or in the pause after it.
    BLOCKED_STOP = 26 => "blocked_stop",
    /// A stop closes what is held (gauge).
    FLATTENING = 27 => "flattening",
    /// Instruments that a stop has still to close (gauge).
    FLATTEN_LEFT = 28 => "flatten_left",
    /// Instruments of which less is held than the venue takes back (gauge).
    FLATTEN_DUST = 29 => "flatten_dust",
    /// Orders asked for to close what is held at a stop.
    FLATTEN_ORDERS = 30 => "flatten_orders",
    /// Amends asked for.
    AMENDS = 31 => "intents_amends",
    /// Amends that the venue made.
    AMENDED = 32 => "quotes_amended",
    /// Parent orders begun.
    PARENTS = 33 => "parents_begun",
    /// Parent orders that were not begun.
    PARENTS_REFUSED = 34 => "parents_refused",
    /// Parent orders alive (gauge).
    PARENTS_ALIVE = 35 => "parents_alive",
    /// Children of parent orders asked for.
    CHILDREN = 36 => "children_placed",
    /// Stops and targets that the venue triggered.
    STOPS_NATIVE = 37 => "stops_native",
    /// Stops and targets of strategies that went out from here.
    STOPS_ARMED = 38 => "stops_armed",
    /// Takes at a target from here.
    TARGETS_TAKEN = 39 => "targets_taken",
    /// Pairs of linked orders asked for.
    LINKS = 40 => "links",
    /// Pairs of linked orders of which both traded.
    LINKS_RACED = 41 => "links_raced",
    /// Native exits that were made smaller for want of balance.
    EXITS_CUT = 42 => "exits_cut",
}
