//! Every kind of bad configuration names file, line, key and mend.

use super::*;

fn refused(text: &str) -> String {
    match parse(text, Path::new("trade.toml")) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

/// The demo with one line replaced; checks that the error points at that line.
fn mutate(from: &str, to: &str, wanted: &[&str]) {
    assert!(DEMO.contains(from), "the demo has {from}");
    let text = DEMO.replacen(from, to, 1);
    let error = refused(&text);
    let line = 1 + text[..text.find(to).expect("just put there")].matches('\n').count();
    assert!(error.contains(&format!("trade.toml:{line}:")), "line {line} in:\n{error}");
    assert!(error.contains("help"), "a mend in:\n{error}");
    for w in wanted {
        assert!(error.contains(w), "`{w}` in:\n{error}");
    }
}

#[test]
fn the_demo_is_accepted() {
    let config = demo().expect("the embedded default is valid");
    assert_eq!(config.venue.symbols.len(), 4);
    assert_eq!(config.strategies.len(), 2);
    assert!(matches!(config.venue.access, VenueAccess::Embedded));
}

#[test]
fn mistakes_point_at_their_line() {
    mutate("position_pct = 2.0", "positoin_pct = 2.0", &["positoin_pct", "position_pct"]);
    mutate("for = \"30s\"", "for = \"30 seconds\"", &["30 seconds", "20s"]);
    mutate("for = \"30s\"", "for = 30", &["duration"]);
    mutate("book_age_max = \"2s\"", "book_age_max = \"2\"", &["not a duration"]);
    mutate("name = \"binance\"", "name = \"binanse\"", &["binanse", "name"]);
    mutate("lanes = \"auto\"", "lanes = 13", &["13"]);
    mutate("kind = \"ema_cross\"", "kind = \"ema_crass\"", &["ema_crass", "market_maker"]);
    mutate("band_share = 0.1", "band_share = 0.0", &["band_share"]);
    mutate("collar_pct = 1.0", "collar_pct = -1.0", &["collar_pct"]);
    mutate("symbols = [\"BTCUSDT\"", "symbols = [\"btcusdt\"", &["btcusdt"]);
    mutate("cooldown = \"250ms\"", "quote_notional = 5.0", &["quote_notional", "ema_cross"]);
    mutate("dead_man = \"none_available\"", "dead_man = \"armed\"", &["dead_man"]);
    mutate("seed = 1", "seed = ", &["trade.toml"]);
    mutate("keep = \"7d\"", "keep = \"a week\"", &["a week", "not a duration"]);
    mutate("disk_stop_pct = 95", "disk_stop_pct = 950", &["disk_stop_pct", "100"]);
    mutate("seed = 1", "idle = \"sleep\"", &["sleep", "park"]);
    mutate("seed = 1", "exclusive_cores = 1", &["exclusive_cores"]);
}

#[test]
fn a_missing_key_file_is_named() {
    let text = "[venue]\nname = \"binance\"\nsymbols = [\"BTCUSDT\"]\nmarket = \"wss://h:1\"\n\
                api = \"wss://h:1/ws-api/v3\"\napi_key = \"k\"\nprivate_key = \"nowhere.pem\"\n\
                dead_man = \"none_available\"\n";
    let error = refused(text);
    for w in ["trade.toml:7:", "private_key", "nowhere.pem", "help"] {
        assert!(error.contains(w), "`{w}` in:\n{error}");
    }
}

#[test]
fn a_remote_venue_needs_its_endpoints() {
    let error = refused(
        "[venue]\nname = \"binance\"\nsymbols = [\"BTCUSDT\"]\ndead_man = \"none_available\"\n",
    );
    assert!(error.contains("market") && error.contains("trade.toml:1:"), "{error}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let key = dir.path().join("key.pem");
    std::fs::write(&key, "secret").expect("written");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("set");
    let text = format!(
        "[venue]\nname = \"binance\"\nsymbols = [\"BTCUSDT\"]\nmarket = \"wss://h:1\"\n\
         api = \"wss://h:1/ws-api/v3\"\napi_key = \"k\"\nprivate_key = \"{}\"\n\
         dead_man = \"none_available\"\n",
        key.display()
    );
    let error = refused(&text);
    assert!(error.contains("chmod 600") && error.contains("trade.toml:7:"), "{error}");
}
