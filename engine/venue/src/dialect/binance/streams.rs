//! Who hears which stream: names, subscribers, and one text per message for all of them.
//!
//! Invariant: a payload is written at most once per form (raw or wrapped, ms or us) however many
//! connections listen, and not at all where nobody does. Cost: a subscriber costs a
//! reference-counted clone.

use std::collections::{BTreeMap, VecDeque};

use crate::venue::{ConnId, Out, Text};

/// A stream's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(usize);

/// One listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The connection.
    pub conn: ConnId,
    /// Wants `{"stream":...,"data":...}`.
    pub combined: bool,
    /// Wants microseconds.
    pub micro: bool,
}

#[derive(Debug)]
struct Stream {
    name: String,
    listeners: Vec<Listener>,
}

/// All streams ever named.
#[derive(Debug, Default)]
pub struct Streams {
    ids: BTreeMap<String, StreamId>,
    list: Vec<Stream>,
}

impl Streams {
    /// The id of a name, made if new.
    pub fn intern(&mut self, name: &str) -> StreamId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = StreamId(self.list.len());
        self.list.push(Stream { name: name.to_owned(), listeners: Vec::new() });
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// Adds a listener to a stream; once is enough.
    pub fn subscribe(&mut self, name: &str, listener: Listener) {
        let id = self.intern(name);
        let listeners = &mut self.list[id.0].listeners;
        if listeners.iter().all(|l| l.conn != listener.conn) {
            listeners.push(listener);
        }
    }

    /// Removes a listener from a stream.
    pub fn unsubscribe(&mut self, name: &str, conn: ConnId) {
        if let Some(&id) = self.ids.get(name) {
            self.list[id.0].listeners.retain(|l| l.conn != conn);
        }
    }

    /// Removes a connection from all streams.
    pub fn forget(&mut self, conn: ConnId) {
        for stream in &mut self.list {
            stream.listeners.retain(|l| l.conn != conn);
        }
    }

    /// Switches the envelope of a connection's streams on or off.
    pub fn set_combined(&mut self, conn: ConnId, combined: bool) {
        for listener in self.list.iter_mut().flat_map(|s| &mut s.listeners) {
            if listener.conn == conn {
                listener.combined = combined;
            }
        }
    }

    /// Names that a connection listens to.
    #[must_use]
    pub fn of(&self, conn: ConnId) -> Vec<&str> {
        let listens = |s: &&Stream| s.listeners.iter().any(|l| l.conn == conn);
        self.list.iter().filter(listens).map(|s| s.name.as_str()).collect()
    }

    /// Does anybody listen?
    #[must_use]
    pub fn is_heard(&self, id: StreamId) -> bool {
        !self.list[id.0].listeners.is_empty()
    }

    /// Sends to every listener; `payload` is called with 1 (ms) or 1000 (us), as needed.
    pub fn publish(
        &self,
        id: StreamId,
        out: &mut VecDeque<(ConnId, Out)>,
        payload: impl FnMut(u64) -> String,
    ) {
        let told = self.texts(id, payload);
        out.extend(told.into_iter().map(|(conn, text)| (conn, Out::Text(text))));
    }

    /// What every listener is to be sent, as for [`Streams::publish`].
    pub fn texts(
        &self,
        id: StreamId,
        mut payload: impl FnMut(u64) -> String,
    ) -> Vec<(ConnId, Text)> {
        let stream = &self.list[id.0];
        let mut forms: [Option<Text>; 4] = [const { None }; 4];
        let text = |listener: &Listener| {
            let form = usize::from(listener.combined) * 2 + usize::from(listener.micro);
            let text = forms[form].get_or_insert_with(|| {
                let data = payload(if listener.micro { 1000 } else { 1 });
                if listener.combined { wrapped(&stream.name, &data).into() } else { data.into() }
            });
            (listener.conn, text.clone())
        };
        stream.listeners.iter().map(text).collect()
    }

    /// The id of a name that somebody named before.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<StreamId> {
        self.ids.get(name).copied()
    }
}

/// The envelope of combined streams.
fn wrapped(name: &str, data: &str) -> String {
    let mut out = String::with_capacity(name.len() + data.len() + 24);
    out.push_str(r#"{"stream":""#);
    out.push_str(name);
    out.push_str(r#"","data":"#);
    out.push_str(data);
    out.push('}');
    out
}
