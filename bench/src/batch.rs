//! A batch of messages through a ring and out again, on one thread: what an agent's turn pays when
//! it moves many at once.

use std::hint::black_box;

use bot4_lanes::{Rx, Tx, ring};
use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_queue::ArrayQueue;

use crate::case::Case;
use crate::ring::{CAPACITY, Message};

/// Messages in a batch.
pub const MESSAGES: usize = 32;

/// The batch to send: each message numbers itself.
fn messages() -> [Message; MESSAGES] {
    std::array::from_fn(|i| [i as u64; 8])
}

/// The sum that a reader makes of the batch.
const SUM: u64 = (MESSAGES * (MESSAGES - 1) / 2) as u64;

/// The lanes' ring, by chunks: one publication a batch in each direction.
pub struct RingChunks {
    tx: Tx<Message>,
    rx: Rx<Message>,
    batch: [Message; MESSAGES],
}

impl Default for RingChunks {
    fn default() -> Self {
        let (tx, rx) = ring(CAPACITY);
        Self { tx, rx, batch: messages() }
    }
}

impl Case for RingChunks {
    #[inline]
    fn call(&mut self) {
        let pushed = self.tx.push_slice(black_box(&self.batch));
        let mut sum = 0;
        let popped = self.rx.pop_into(MESSAGES, |message| sum += black_box(message)[0]);
        assert!(pushed == MESSAGES && popped == MESSAGES && sum == SUM);
    }
}

/// The same, read in place.
#[derive(Default)]
pub struct RingInPlace(RingChunks);

impl Case for RingInPlace {
    #[inline]
    fn call(&mut self) {
        let pushed = self.0.tx.push_slice(black_box(&self.0.batch));
        let mut sum = 0;
        let popped = self.0.rx.pop_while(MESSAGES, |message| {
            sum += black_box(message)[0];
            true
        });
        assert!(pushed == MESSAGES && popped == MESSAGES && sum == SUM);
    }
}

/// The lanes' ring, one by one.
#[derive(Default)]
pub struct RingSingles(RingChunks);

impl Case for RingSingles {
    #[inline]
    fn call(&mut self) {
        let RingChunks { tx, rx, batch } = &mut self.0;
        let mut sum = 0;
        for message in black_box(&*batch) {
            assert!(tx.push(*message).is_ok());
        }
        while let Some(message) = rx.pop() {
            sum += black_box(message)[0];
        }
        assert_eq!(sum, SUM);
    }
}

/// `rtrb` bare, by chunks.
pub struct RtrbChunks {
    tx: rtrb::Producer<Message>,
    rx: rtrb::Consumer<Message>,
    batch: [Message; MESSAGES],
}

impl Default for RtrbChunks {
    fn default() -> Self {
        let (tx, rx) = rtrb::RingBuffer::new(CAPACITY);
        Self { tx, rx, batch: messages() }
    }
}

impl Case for RtrbChunks {
    #[inline]
    fn call(&mut self) {
        assert!(self.tx.push_entire_slice(black_box(&self.batch)).is_ok());
        let mut sum = 0;
        let chunk = self.rx.read_chunk(MESSAGES).expect("just pushed");
        chunk.into_iter().for_each(|message| sum += black_box(message)[0]);
        assert_eq!(sum, SUM);
    }
}

/// crossbeam's `ArrayQueue`: bounded, for many writers and readers.
pub struct QueueSingles {
    queue: ArrayQueue<Message>,
    batch: [Message; MESSAGES],
}

impl Default for QueueSingles {
    fn default() -> Self {
        Self { queue: ArrayQueue::new(CAPACITY), batch: messages() }
    }
}

impl Case for QueueSingles {
    #[inline]
    fn call(&mut self) {
        let mut sum = 0;
        for message in black_box(&self.batch) {
            assert!(self.queue.push(*message).is_ok());
        }
        while let Some(message) = self.queue.pop() {
            sum += black_box(message)[0];
        }
        assert_eq!(sum, SUM);
    }
}

/// A bounded crossbeam channel.
pub struct ChannelSingles {
    tx: Sender<Message>,
    rx: Receiver<Message>,
    batch: [Message; MESSAGES],
}

impl Default for ChannelSingles {
    fn default() -> Self {
        let (tx, rx) = bounded(CAPACITY);
        Self { tx, rx, batch: messages() }
    }
}

impl Case for ChannelSingles {
    #[inline]
    fn call(&mut self) {
        let mut sum = 0;
        for message in black_box(&self.batch) {
            assert!(self.tx.try_send(*message).is_ok());
        }
        while let Ok(message) = self.rx.try_recv() {
            sum += black_box(message)[0];
        }
        assert_eq!(sum, SUM);
    }
}
