//! A blocking conversation over one WebSocket: for the cold side, before the lanes start and
//! after they have ended, and for helpers beside them.

use std::time::Duration;

use bot4_lanes::Clock;
use bot4_types::Nanos;
use bot4_wire::{ConnError, ConnState, WsConfig, WsConnection};

use super::access::Access;
use super::cold::ColdError;

/// Longest wait for the connection or an answer.
pub const PATIENCE: Nanos = Nanos::from_secs(10);
const WAIT: Duration = Duration::from_millis(50);
/// Messages longer than this are not taken.
const MESSAGE_LEN_MAX: usize = 64 * 1024 * 1024;

/// An open connection.
pub struct Chat {
    conn: WsConnection,
    clock: Clock,
    url: String,
    message: Vec<u8>,
}

impl Chat {
    /// Connects to `url` and waits until messages can flow.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn open(clock: &Clock, access: &Access, url: &str, seed: u64) -> Result<Self, ColdError> {
        let (mut connector, endpoint) = access.connector(url)?;
        let config = WsConfig {
            silent_after: PATIENCE,
            message_len_max: MESSAGE_LEN_MAX,
            ..WsConfig::default()
        };
        let lost = |e| ColdError::Connection(url.to_owned(), e);
        let conn = WsConnection::connect(connector.as_mut(), &endpoint, config, seed, clock.now())
            .map_err(lost)?;
        let mut chat =
            Self { conn, clock: clock.clone(), url: url.to_owned(), message: vec![0; 64 * 1024] };
        chat.wait_open()?;
        Ok(chat)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn send(&mut self, text: &[u8]) -> Result<(), ColdError> {
        let now = self.clock.now();
        self.conn.send_text(now, text).map_err(|e| self.lost(e))
    }

    /// The next message that `wanted` takes, within [`PATIENCE`]; `what` names it in errors.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn answer<T>(
        &mut self,
        what: &'static str,
        mut wanted: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, ColdError> {
        let until = self.clock.now() + PATIENCE;
        while self.clock.now() < until {
            self.conn.poll(self.clock.now()).map_err(|e| self.lost(e))?;
            while let Some(len) = self.receive()? {
                if let Some(found) = wanted(&self.message[..len]) {
                    return Ok(found);
                }
            }
            self.conn.wait(WAIT).map_err(|e| self.lost(e))?;
        }
        Err(ColdError::Timeout(what))
    }

    fn wait_open(&mut self) -> Result<(), ColdError> {
        let until = self.clock.now() + PATIENCE;
        while self.clock.now() < until {
            let state = self.conn.poll(self.clock.now()).map_err(|e| self.lost(e))?;
            if state == ConnState::Open {
                return Ok(());
            }
            self.conn.wait(WAIT).map_err(|e| self.lost(e))?;
        }
        Err(ColdError::Timeout("the connection"))
    }

    fn receive(&mut self) -> Result<Option<usize>, ColdError> {
        loop {
            let (clock, now) = (&self.clock, self.clock.now());
            match self.conn.receive(now, &mut self.message, &mut || clock.now()) {
                Ok(received) => return Ok(received.map(|r| r.len)),
                Err(ConnError::Oversize { needed, .. }) if needed <= MESSAGE_LEN_MAX => {
                    self.message.resize(needed, 0);
                }
                Err(e) => return Err(self.lost(e)),
            }
        }
    }

    fn lost(&self, error: ConnError) -> ColdError {
        ColdError::Connection(self.url.clone(), error)
    }
}
