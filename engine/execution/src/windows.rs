//! The limits of venues that count requests of each kind in short rolling windows, kept on this
//! side: a request that would be refused for its rate is not sent. Cancels have windows of their
//! own, so that neither kind takes from the other; one that does not fit goes in the next window.

use std::collections::VecDeque;

use bot4_types::InstrumentId;

use crate::gateway::Act;
use crate::requests::Purpose;

/// What a venue grants in one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    /// Length of the windows, ms.
    pub window_ms: i64,
    /// New orders and, apart from them, as many cancels; of each instrument or of all, see
    /// [`Windows::new`].
    pub orders: u32,
    /// New orders of all instruments together; zero for no such limit.
    pub orders_all: u32,
    /// Questions about orders, and about fills.
    pub questions: u32,
    /// Questions for balances.
    pub balances: u32,
}

/// Of a kind of question, one in this many is kept for those that doubt asks.
const RESERVE_PART: u32 = 4;

/// At most so many in any window of this length, wherever it begins. Zero: no such limit.
#[derive(Clone, Debug)]
struct Rolling {
    window_ms: i64,
    most: u32,
    /// When those of the present window were, oldest first.
    times_ms: VecDeque<i64>,
}

impl Rolling {
    fn new(window_ms: i64, most: u32) -> Self {
        Self { window_ms, most, times_ms: VecDeque::with_capacity(most as usize) }
    }

    /// There is room for one more that leaves `reserve`.
    fn fits(&mut self, reserve: u32, now_ms: i64) -> bool {
        while self.times_ms.front().is_some_and(|at| now_ms - at >= self.window_ms) {
            self.times_ms.pop_front();
        }
        self.most == 0
            || (self.times_ms.len() as u64) < u64::from(self.most.saturating_sub(reserve))
    }

    /// Counts one. A clock that steps back counts it where it was.
    fn spend(&mut self, now_ms: i64) {
        if self.most > 0 {
            let last = self.times_ms.back().copied().unwrap_or(i64::MIN);
            self.times_ms.push_back(now_ms.max(last));
        }
    }

    /// The venue grants `most` and has counted `used` of them: what it has beyond the own count is
    /// as young as can be.
    fn observe(&mut self, most: u32, used: u32, now_ms: i64) {
        self.most = most;
        self.fits(0, now_ms);
        for _ in self.times_ms.len()..used as usize {
            self.spend(now_ms);
        }
    }
}

/// The windows.
#[derive(Debug)]
pub(crate) struct Windows {
    /// New orders, by instrument where each has its own.
    orders: Vec<Rolling>,
    /// Cancels, likewise.
    cancels: Vec<Rolling>,
    all: Rolling,
    status: (Rolling, u32),
    fills: (Rolling, u32),
    balances: Rolling,
}

impl Windows {
    /// Nothing spent, with windows of orders for each of so many `instruments`; one for all: 1.
    pub fn new(granted: &Granted, instruments: usize) -> Self {
        let window = |limit| Rolling::new(granted.window_ms, limit);
        let asked = (window(granted.questions), granted.questions / RESERVE_PART);
        Self {
            orders: vec![window(granted.orders); instruments.max(1)],
            cancels: vec![window(granted.orders); instruments.max(1)],
            all: window(granted.orders_all),
            status: asked.clone(),
            fills: asked,
            balances: window(granted.balances),
        }
    }

    /// Counts `act` if it fits; else counts nothing and says so.
    pub fn permits(&mut self, act: &Act<'_>, now_ms: i64) -> bool {
        match act {
            Act::Place(instrument) => self.place(instrument.id, now_ms),
            Act::Amend(named) => self.place(named.instrument.id, now_ms),
            Act::Cancel(named) => self.cancel(named.instrument.id, now_ms),
            Act::Ask(purpose, leisure) => self.ask(purpose, *leisure, now_ms),
        }
    }

    /// The venue told how many new orders it grants in a window, and how many are left of the
    /// present one.
    pub fn observe(&mut self, most: u32, left: u32, now_ms: i64) {
        for orders in &mut self.orders {
            orders.observe(most, most.saturating_sub(left), now_ms);
        }
    }

    fn place(&mut self, instrument: InstrumentId, now_ms: i64) -> bool {
        let at = if self.orders.len() > 1 { instrument.index() } else { 0 };
        let Some(orders) = self.orders.get_mut(at) else { return true };
        if !orders.fits(0, now_ms) || !self.all.fits(0, now_ms) {
            return false;
        }
        orders.spend(now_ms);
        self.all.spend(now_ms);
        true
    }

    fn cancel(&mut self, instrument: InstrumentId, now_ms: i64) -> bool {
        let at = if self.cancels.len() > 1 { instrument.index() } else { 0 };
        let Some(cancels) = self.cancels.get_mut(at) else { return true };
        let fits = cancels.fits(0, now_ms);
        if fits {
            cancels.spend(now_ms);
        }
        fits
    }

    fn ask(&mut self, purpose: &Purpose, leisure: bool, now_ms: i64) -> bool {
        let (window, reserve) = match purpose {
            Purpose::Status(_) | Purpose::ListOpen(_) => (&mut self.status.0, self.status.1),
            Purpose::FillsOf(_) | Purpose::FillsAfter(..) => (&mut self.fills.0, self.fills.1),
            Purpose::Balances => (&mut self.balances, 0),
            _ => return true,
        };
        if !window.fits(if leisure { reserve } else { 0 }, now_ms) {
            return false;
        }
        window.spend(now_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Named;
    use bot4_types::{ClientId, Instrument, OrderId, RunEpoch, Symbol};

    const GRANTED: Granted =
        Granted { window_ms: 2_000, orders: 3, orders_all: 5, questions: 8, balances: 1 };

    fn instrument(n: u16) -> Instrument {
        Instrument::bare(InstrumentId(n), Symbol::new("A").expect("short"), 2)
    }

    fn placed(windows: &mut Windows, n: u16, now_ms: i64) -> usize {
        let instrument = instrument(n);
        (0..100).take_while(|_| windows.permits(&Act::Place(&instrument), now_ms)).count()
    }

    #[test]
    fn each_instrument_has_its_window_and_all_have_one() {
        let mut windows = Windows::new(&GRANTED, 3);
        assert_eq!([0, 1, 2].map(|n| placed(&mut windows, n, 1_999)), [3, 2, 0]);
        assert_eq!([3_998, 3_999].map(|ms| placed(&mut windows, 2, ms)), [0, 3], "it rolls");
        assert_eq!(placed(&mut windows, 2, 1_000), 0, "a clock that steps back");
        let mut one = Windows::new(&Granted { orders_all: 0, ..GRANTED }, 1);
        assert_eq!([0, 1].map(|n| placed(&mut one, n, 0)), [3, 0]);
    }

    #[test]
    fn cancels_have_windows_of_their_own() {
        let mut windows = Windows::new(&GRANTED, 2);
        let mut cancelled = |n, now_ms| {
            let (instrument, client) = (instrument(n), ClientId::new(RunEpoch(1), OrderId(1)));
            let named = Named { instrument: &instrument, venue_order: 7, client };
            (0..100).take_while(|_| windows.permits(&Act::Cancel(&named), now_ms)).count()
        };
        assert_eq!([0, 1].map(|n| cancelled(n, 0)), [3, 3]);
        assert_eq!([1_999, 2_000].map(|ms| cancelled(0, ms)), [0, 3]);
        assert_eq!(placed(&mut windows, 0, 0), 3, "orders are not counted with them");
    }

    #[test]
    fn what_the_venue_tells_replaces_what_was_counted() {
        let mut one = Windows::new(&Granted { orders_all: 0, ..GRANTED }, 1);
        assert_eq!(placed(&mut one, 0, 0), 3);
        one.observe(20, 12, 1);
        assert_eq!(placed(&mut one, 0, 1), 12);
        assert_eq!([2_000, 2_001].map(|ms| placed(&mut one, 0, ms)), [3, 17]);
    }

    #[test]
    fn comparisons_leave_questions_to_doubt() {
        let mut windows = Windows::new(&GRANTED, 1);
        let mut asked = |purpose, leisure| {
            (0..100).take_while(|_| windows.permits(&Act::Ask(&purpose, leisure), 0)).count()
        };
        let status = Purpose::Status(OrderId(1));
        assert_eq!((asked(status, true), asked(status, false)), (6, 2));
        assert_eq!(asked(Purpose::FillsOf(OrderId(1)), false), 8, "a window of its own");
        assert_eq!(asked(Purpose::Balances, false), 1);
        assert!(windows.permits(&Act::Ask(&Purpose::Time, true), 0), "not counted");
    }
}
