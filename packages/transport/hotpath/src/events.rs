//! What goes up to TypeScript: in one call a turn, never waiting for it.

use std::sync::Arc;

use napi::bindgen_prelude::{Buffer, Status};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::connection::Connection;
use crate::request::Head;

const REQUEST: u32 = 0;
const BODY: u32 = 1;
const SENT: u32 = 2;
const ANSWERED: u32 = 3;
const GONE: u32 = 4;
const DRAINED_ALL: u32 = 5;
const RENEWAL: u32 = 6;

/// `kind` says which fields there are.
#[napi(object)]
#[derive(Default)]
pub struct Event {
    pub kind: u32,
    pub connection: f64,
    pub request: Option<RequestEvent>,
    pub body: Option<Buffer>,
    /// Chunks.
    pub sent: Option<u32>,
}

#[napi(object)]
pub struct RequestEvent {
    pub listener: u32,
    pub method: String,
    pub target: String,
    /// Name, value, name, value: as they came, one character a byte.
    pub headers: Vec<String>,
    pub remote_address: String,
    pub has_body: bool,
    pub is_kept_alive: bool,
    pub resume: Option<ResumeEvent>,
}

/// An answer of the table that could not go on. Its head went, or is a chunk, maybe an empty one, before those that TypeScript sends.
#[napi(object)]
pub struct ResumeEvent {
    /// Bytes [from, to) of the file are left to send.
    pub from: f64,
    pub to: f64,
    /// Of the version that was sent from.
    pub etag: String,
}

/// Why a request goes up.
pub enum Cause {
    NotInTable,
    Broken { from: u64, to: u64, etag: Arc<[u8]> },
}

impl Event {
    pub fn request(
        connection: &Connection,
        head: &Head,
        is_kept_alive: bool,
        cause: &Cause,
    ) -> Self {
        let headers = head.headers.iter();
        let request = RequestEvent {
            listener: connection.listener,
            method: head.method.to_owned(),
            target: latin1(head.target.as_bytes()),
            headers: headers
                .flat_map(|header| [header.name.to_ascii_lowercase(), latin1(header.value)])
                .collect(),
            remote_address: connection
                .remote_address
                .map_or_else(String::new, |address| address.to_string()),
            has_body: !head.body.is_over(),
            is_kept_alive,
            resume: match cause {
                Cause::Broken { from, to, etag } => Some(ResumeEvent {
                    from: *from as f64,
                    to: *to as f64,
                    etag: latin1(etag),
                }),
                Cause::NotInTable => None,
            },
        };
        Self {
            request: Some(request),
            ..Self::of(REQUEST, connection.id)
        }
    }

    /// The table has answered this request, and its entry is about to run out.
    pub fn renewal(connection: &Connection, head: &Head) -> Self {
        Self {
            kind: RENEWAL,
            ..Self::request(connection, head, true, &Cause::NotInTable)
        }
    }

    /// A piece of the request's body; an empty one is its end.
    pub fn body(id: u64, piece: Vec<u8>) -> Self {
        Self {
            body: Some(piece.into()),
            ..Self::of(BODY, id)
        }
    }

    pub fn sent(id: u64, count: u32) -> Self {
        Self {
            sent: Some(count),
            ..Self::of(SENT, id)
        }
    }

    pub fn answered(id: u64) -> Self {
        Self::of(ANSWERED, id)
    }

    pub fn gone(id: u64) -> Self {
        Self::of(GONE, id)
    }

    pub fn drained_all() -> Self {
        Self::of(DRAINED_ALL, 0)
    }

    fn of(kind: u32, id: u64) -> Self {
        Self {
            kind,
            connection: id as f64,
            ..Self::default()
        }
    }
}

/// One character a byte.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

type Callback = ThreadsafeFunction<Vec<Event>, (), Vec<Event>, Status, false>;

pub struct Up(Callback);

impl Up {
    pub fn new(callback: Callback) -> Self {
        Self(callback)
    }

    pub fn send(&self, events: Vec<Event>) {
        self.0.call(events, ThreadsafeFunctionCallMode::NonBlocking);
    }
}
