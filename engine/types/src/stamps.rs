//! Stamps of an order on its way out and of the venue's answers, as the journal keeps them beside
//! what was decided.

use crate::id::{ClientId, OrderId};
use crate::log::{Body, Reader, Writer};
use crate::order::OrderAction;
use crate::time::Nanos;

/// An order was handed to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentRecord {
    /// Which.
    pub order: OrderId,
    /// Its name at the venue.
    pub client: ClientId,
    /// Execution found its approval journaled and began to encode it. Zero, as the further stamps,
    /// in journals of earlier versions.
    pub begun: Nanos,
    /// Its request was written.
    pub encoded: Nanos,
    /// The kernel had its last byte, as far as it took it at once.
    pub handed: Nanos,
}

impl Body for SentRecord {
    fn write(&self, w: &mut Writer<'_>) {
        w.u64(self.order.0);
        w.bytes(&self.client.0);
        for stamp in [self.begun, self.encoded, self.handed] {
            w.u64(stamp.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let order = OrderId(r.u64()?);
        let mut client = ClientId([0; 16]);
        for byte in &mut client.0 {
            *byte = r.u8()?;
        }
        let mut stamp = || Nanos(r.u64().unwrap_or(0));
        Some(Self { order, client, begun: stamp(), encoded: stamp(), handed: stamp() })
    }
}

/// The venue's answer to a request about an order was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredRecord {
    /// Which.
    pub order: OrderId,
    /// What was asked for.
    pub action: OrderAction,
    /// It was done; else refused, or its fate is not known.
    pub done: bool,
    /// When the answer was complete.
    pub read: Nanos,
}

impl Body for AnsweredRecord {
    fn write(&self, w: &mut Writer<'_>) {
        w.u64(self.order.0);
        w.u8(self.action as u8);
        w.u8(u8::from(self.done));
        w.u64(self.read.0);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            order: OrderId(r.u64()?),
            action: OrderAction::from_raw(r.u8()?)?,
            done: r.u8()? != 0,
            read: Nanos(r.u64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunEpoch;
    use crate::log::{LogEntry, LogKind};

    #[test]
    fn they_read_back_and_earlier_ones_without_stamps() {
        let (order, client) = (OrderId(7), ClientId::new(RunEpoch(3), OrderId(7)));
        let sent =
            SentRecord { order, client, begun: Nanos(1), encoded: Nanos(2), handed: Nanos(3) };
        let entry = LogEntry::new(LogKind::Sent, Nanos(1), |w| sent.write(w));
        assert_eq!(SentRecord::read(&mut Reader::over(entry.body())), Some(sent));
        let early = SentRecord::read(&mut Reader::over(&entry.body()[..24])).expect("readable");
        assert_eq!((early.client, early.handed), (client, Nanos::ZERO));
        let (action, done, read) = (OrderAction::Cancel, true, Nanos(9));
        let answered = AnsweredRecord { order, action, done, read };
        let entry = LogEntry::new(LogKind::Answered, Nanos(1), |w| answered.write(w));
        assert_eq!(AnsweredRecord::read(&mut Reader::over(entry.body())), Some(answered));
    }
}
