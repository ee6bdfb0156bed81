//! Control messages on market-stream connections: SUBSCRIBE and its kin.

use serde_json::{Map, Value};

use super::streams::{Listener, Streams};

/// Streams a connection may have.
pub const STREAMS_MAX: usize = 1024;
/// Longest stream name that is kept; longer ones are acknowledged and stay silent.
const NAME_MAX: usize = 64;

/// Performs one control message of `listener`'s connection and words the answer.
pub fn answer(text: &str, listener: &mut Listener, streams: &mut Streams) -> String {
    let Ok(request) = serde_json::from_str::<Map<String, Value>>(text) else {
        return error(3, "Invalid JSON: expected value", &Value::Null);
    };
    let id = request.get("id").unwrap_or(&Value::Null);
    if !legal_id(id) {
        return error(2, "Invalid request: request ID must be an unsigned integer", &Value::Null);
    }
    let empty = Vec::new();
    let params = request.get("params").and_then(Value::as_array).unwrap_or(&empty);
    match request.get("method").and_then(Value::as_str) {
        Some("SUBSCRIBE") => match names(params) {
            Some(names) if streams.of(listener.conn).len() + names.len() <= STREAMS_MAX => {
                subscribe(&names, *listener, streams);
                result("null", id)
            }
            Some(_) => error(2, "Invalid request: too many subscriptions", id),
            None => error(2, "Invalid request: params must be a list of stream names", id),
        },
        Some("UNSUBSCRIBE") => match names(params) {
            Some(names) => {
                for name in names {
                    streams.unsubscribe(name, listener.conn);
                }
                result("null", id)
            }
            None => error(2, "Invalid request: params must be a list of stream names", id),
        },
        Some("LIST_SUBSCRIPTIONS") => {
            result(&Value::from(streams.of(listener.conn)).to_string(), id)
        }
        Some("SET_PROPERTY") => match (params.first().and_then(Value::as_str), params.get(1)) {
            (Some("combined"), Some(Value::Bool(combined))) => {
                listener.combined = *combined;
                streams.set_combined(listener.conn, *combined);
                result("null", id)
            }
            (Some("combined"), _) => error(1, "Invalid value type: expected Boolean", id),
            _ => error(0, "Unknown property", id),
        },
        Some("GET_PROPERTY") => match params.first().and_then(Value::as_str) {
            Some("combined") => result(&listener.combined.to_string(), id),
            _ => error(0, "Unknown property", id),
        },
        Some(method) => {
            let method = method.chars().take(NAME_MAX).collect::<String>();
            error(2, &format!("Invalid request: unknown variant `{method}`"), id)
        }
        None => error(2, "Invalid request: missing field `method`", id),
    }
}

/// Adds streams to a connection; unusable names are ignored, as the real venue does.
pub fn subscribe(names: &[&str], listener: Listener, streams: &mut Streams) {
    for name in names.iter().filter(|n| !n.is_empty() && n.len() <= NAME_MAX) {
        streams.subscribe(name, listener);
    }
}

fn names(params: &[Value]) -> Option<Vec<&str>> {
    params.iter().map(Value::as_str).collect()
}

fn legal_id(id: &Value) -> bool {
    match id {
        Value::Null => true,
        Value::String(text) => {
            text.len() <= 36
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        }
        other => other.is_i64() || other.is_u64(),
    }
}

fn result(result: &str, id: &Value) -> String {
    format!(r#"{{"result":{result},"id":{id}}}"#)
}

fn error(code: i32, msg: &str, id: &Value) -> String {
    let msg = Value::from(msg);
    format!(r#"{{"error":{{"code":{code},"msg":{msg}}},"id":{id}}}"#)
}
