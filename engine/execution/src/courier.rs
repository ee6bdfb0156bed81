//! Requests over HTTPS, for venues that answer questions no other way. A courier takes a request
//! and never waits; the answer is fetched in a later turn. Who carries it is not known here.

/// What the head of an answer says of the venue's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Requests in the present time span.
    pub limit: Option<u32>,
    /// What is left of them.
    pub left: Option<u32>,
    /// When the time span ends, s.
    pub span_s: Option<u32>,
    /// How long nothing more should be asked, s.
    pub wait_s: Option<u32>,
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The request.
    pub id: u64,
    /// HTTP status; zero where there was no answer.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// What it says of the venue's limits.
    pub granted: Granted,
}

/// Carries requests written as [`bot4_venues::rest`] has it.
pub trait Courier: Send {
    /// Takes a request; one that is `urgent` waits for no other. False where there is no room; it
    /// was not sent then.
    fn send(&mut self, id: u64, request: &[u8], urgent: bool) -> bool;
    /// The next answer, in any order.
    fn take(&mut self) -> Option<Answer>;
}
