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
    mutate("correlation_max = 0.7", "correlation_max = 7", &["correlation_max", "0.0001 to 1"]);
    mutate("shortfall_pct = 1.0", "shortfall_pct = -1.0", &["shortfall_pct", "0.0001 to 100"]);
    mutate("heat_pct = 1.0", "heat_pct = nan", &["heat_pct", "NaN"]);
    mutate("# history_min = 300", "history_min = 2000", &["history_min", "1024"]);
    mutate("# sizing = \"fixed\"", "sizing = \"all\"", &["sizing", "fixed or kelly"]);
    let native = "# native_exit = \"none\"";
    mutate(native, "native_exit = \"both\"", &["native_exit", "stop or take_profit"]);
    mutate(native, "native_exit = \"take_profit\"", &["no target", "take_profit_pct"]);
    mutate("# take_profit_pct = 2.0", "take_profit_pct = 200.0", &["take_profit_pct", "100"]);
    mutate("spread_share = 0.35", "sizing = \"kelly\"", &["sizing", "market_maker"]);
    let fallback = "# fallback_volatility_pct = 1.0";
    mutate(fallback, "fallback_volatility_pct = 0", &["fallback_volatility_pct", "above 0"]);
    mutate("seed = 1", "idle = \"sleep\"", &["sleep", "park"]);
    mutate("seed = 1", "exclusive_cores = 1", &["exclusive_cores"]);
}

#[test]
fn mistakes_in_limits_point_at_their_line() {
    mutate("mode = \"full_auto\"", "mode = \"auto\"", &["auto", "semi_auto"]);
    mutate("drawdown_pct = 15.0", "drawdown_pct = 150.0", &["drawdown_pct", "100"]);
    mutate("leverage_max = 1.0", "leverage_max = 0.0", &["leverage_max"]);
    mutate("margin_distance = 1.5", "margin_distance = 0.9", &["margin_distance", "1000"]);
    mutate("daily_loss_pct = 2.0", "daily_loss_pct = 0.001", &["daily_loss_pct", "too small"]);
    mutate("weight_reserve = 4096", "weight_reserve = 8192", &["weight_reserve", "room"]);
    mutate("gross_pct = 100.0", "gross_max = -1.0", &["gross_max"]);
}

#[test]
fn rows_of_limits_say_of_what_and_point_at_their_line() {
    let rows = |text: &str| DEMO.replacen("[[strategy]]\n", &format!("{text}\n[[strategy]]\n"), 1);
    let wrong = |text: &str, wanted: &[&str]| {
        let text = rows(text);
        let error = refused(&text);
        let line = 1 + text[..text.find("# here").expect("marked")].matches('\n').count();
        assert!(error.contains(&format!("trade.toml:{line}:")), "line {line} in:\n{error}");
        assert!(wanted.iter().all(|w| error.contains(w)), "{wanted:?} in:\n{error}");
    };
    wrong("[[risk.strategy]]\nstrategy = 3 # here", &["`strategy`", "2 strategies"]);
    wrong("[[risk.strategy]]\ngross_pct = 5.0 # here", &["`strategy`", "whose"]);
    wrong("[[risk.instrument]]\nsymbol = \"XRPUSDT\" # here", &["XRPUSDT", "[venue]"]);
    wrong("[[risk.instrument]]\nnet_pct = 5.0 # here", &["`net_pct`", "belong"]);
    wrong("[risk.venue]\nsymbol = \"BTCUSDT\" # here", &["`symbol`", "belong"]);
    wrong("[risk.venue]\ncollar_pct = 99.0 # here", &["`collar_pct`", "50"]);
    wrong("[risk.venue]\nleverage_max = 2.0 # here", &["leverage_max"]);
    let twice = "[[risk.instrument]]\nsymbol = \"BTCUSDT\"\n";
    wrong(
        &format!("{twice}[[risk.instrument]]\nsymbol = \"BTCUSDT\" # here").replacen(
            "symbol = \"BTCUSDT\"\n",
            "symbol =  \"BTCUSDT\"\n",
            1,
        ),
        &["without a row"],
    );
}

#[test]
fn rows_of_limits_reach_their_place() {
    let rows = "[risk.venue]\ngross_pct = 50.0\n[[risk.strategy]]\nstrategy = 2\nnet_max = 7.5\n\
                [[risk.instrument]]\nsymbol = \"ETHUSDT\"\norder_size_max = 0.25\n";
    let text = DEMO.replacen("[[strategy]]\n", &format!("{rows}\n[[strategy]]\n"), 1);
    let risk = parse(&text, Path::new("trade.toml")).expect("accepted").risk;
    assert_eq!(risk.venue.gross_equity_e4, 5_000);
    assert_eq!(risk.strategies[1].net_value_max, 75 * 10i128.pow(15));
    assert_eq!(risk.strategies[0], bot4_risk::ScopeLimits::default());
    let (name, limits) = &risk.instruments[0];
    assert_eq!((name.as_str(), limits.order_base_max), ("ETHUSDT", 25 * 10i128.pow(14)));
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

/// An observed venue: the least that is needed, and `more`.
fn observed(name: &str, symbol: &str, more: &str) -> String {
    format!("[venue]\nname = \"{name}\"\nmode = \"observe\"\nsymbols = [\"{symbol}\"]\n{more}")
}

#[test]
fn every_venue_of_the_build_can_be_observed_without_keys() {
    for (name, symbol) in [
        ("binance", "BTCUSDT"),
        ("binance-usdm", "BTCUSDT"),
        ("kraken", "BTC/USD"),
        ("bybit", "BTCUSDT"),
        ("okx", "BTC-USDT"),
        ("coinbase", "BTC-USD"),
    ] {
        let embedded = observed(name, symbol, "embedded = true\n");
        let config = parse(&embedded, Path::new("x.toml")).expect("accepted");
        assert!(!config.venue.trades(), "{name}");
        let hosts = "market = \"wss://h:1\"\napi = \"wss://h:1/a\"\nrest = \"https://h:2\"\n";
        let remote = observed(name, symbol, hosts);
        let config = parse(&remote, Path::new("x.toml")).expect("accepted");
        let VenueAccess::Remote(remote) = config.venue.access else { panic!("{name}: remote") };
        assert!(remote.keys.is_none());
        assert_eq!(remote.rest.as_deref(), Some("https://h:2"));
    }
}

#[test]
fn other_venues_are_refused_for_trading_with_the_way_out() {
    let error = refused(
        "[venue]\nname = \"binance-usdm\"\nembedded = true\nsymbols = [\"BTCUSDT\"]\n\
         dead_man = \"none_available\"\n",
    );
    for w in ["trade.toml:2:", "binance-usdm", "binance, bybit, okx, coinbase, kraken", "observe"] {
        assert!(error.contains(w), "`{w}` in:\n{error}");
    }
}

#[test]
fn a_run_that_observes_has_no_strategies() {
    let strategy = "embedded = true\n[[strategy]]\nkind = \"ema_cross\"\n";
    let error = refused(&observed("binance", "BTCUSDT", strategy));
    assert!(error.contains("trade.toml:7:") && error.contains("observes"), "{error}");
}

#[test]
fn hosts_are_asked_for_where_a_venue_needs_them() {
    let missing = |name: &str, symbol: &str, hosts: &str| refused(&observed(name, symbol, hosts));
    let market = "market = \"wss://h:1\"\n";
    assert!(missing("binance", "BTCUSDT", market).contains("`api`"));
    assert!(missing("okx", "BTC-USDT", market).contains("`rest`"));
    assert!(missing("okx", "BTC-USDT", "rest = \"https://h\"\n").contains("`market`"));
    let wrong = format!("{market}rest = \"http://h\"\n");
    assert!(missing("okx", "BTC-USDT", &wrong).contains("https://"));
    let path = format!("{market}rest = \"https://h/api\"\n");
    assert!(missing("okx", "BTC-USDT", &path).contains("path"));
    parse(&observed("kraken", "BTC/USD", market), Path::new("x.toml")).expect("one host");
}

#[test]
fn two_lines_need_numbers_and_shards_need_lanes() {
    let with = |name: &str, symbol: &str, more: &str| {
        parse(&observed(name, symbol, &format!("embedded = true\n{more}")), Path::new("x.toml"))
    };
    assert_eq!(with("okx", "BTC-USDT", "lines = 2\n").expect("numbered").venue.lines, 2);
    for name in ["kraken", "coinbase"] {
        let error = with(name, "BTC/USD", "lines = 2\n").expect_err("refused").to_string();
        assert!(error.contains("x.toml:6:") && error.contains("no update numbers"), "{error}");
    }
    let error = |more: &str| with("okx", "BTC-USDT", more).expect_err("refused").to_string();
    assert!(error("lines = 3\n").contains("`lines`"));
    assert!(error("refresh = \"10ms\"\n").contains("`refresh`"));
    let shard = |keys: &str| format!("[[shard]]\nsymbols = [\"BTC-USDT\"]\n{keys}");
    let placed = with("okx", "BTC-USDT", &shard("wire = 1\nbook = 0\n")).expect("placed");
    let row = placed.shards[0];
    assert_eq!((row.instrument, row.wire, row.book), (0, Some(1), Some(0)));
    assert!(error(&shard("wire = 2\n")).contains("no lane 2"));
    assert!(error(&shard("book = 2\n")).contains("no lane 2"));
    let twice = format!("{0}{0}", shard("book = 1\n"));
    assert!(error(&twice).contains("two shards"));
    assert!(error("[[shard]]\nsymbols = [\"X-Y\"]\n").contains("X-Y"));
    assert!(error(&format!("lines = 2\n{}", shard("wire = 1\n"))).contains("two lines"));
}

#[test]
fn a_dead_man_switch_is_armed_where_there_is_one() {
    let with = |more: &str| {
        let text = format!(
            "[venue]\nname = \"bybit\"\nembedded = true\nsymbols = [\"BTCUSDT\"]\n{more}\
             [[strategy]]\nkind = \"market_maker\"\n"
        );
        parse(&text, Path::new("x.toml")).map(|config| config.venue.dead_man)
    };
    assert!(with("").expect("armed"));
    assert!(with("dead_man = \"armed\"\n").expect("armed"));
    assert!(!with("dead_man = \"none_available\"\n").expect("typed"));
    let error = with("dead_man = \"perhaps\"\n").expect_err("refused").to_string();
    assert!(error.contains("x.toml:5:") && error.contains("none_available"), "{error}");
}

#[test]
fn instruments_of_low_priority_are_named_once_each() {
    let rows = |rows: &str| format!("{DEMO}\n{rows}");
    let row = |symbol, priority| {
        format!("[[instrument]]\nsymbol = \"{symbol}\"\npriority = \"{priority}\"\n")
    };
    let text = rows(&(row("BNBUSDT", "low") + &row("SOLUSDT", "high")));
    let config = parse(&text, Path::new("trade.toml")).expect("accepted");
    assert_eq!((config.shed, config.low_priority), (true, vec!["BNBUSDT".to_owned()]));
    for (wrong, word) in [
        (row("XRPUSDT", "low"), "XRPUSDT"),
        (row("BNBUSDT", "low") + &row("BNBUSDT", "high"), "twice"),
        (row("BNBUSDT", "least"), "least"),
    ] {
        let error = refused(&rows(&wrong));
        assert!(error.contains(word) && error.contains("trade.toml:"), "{error}");
    }
}

/// Two venues; what `change` makes of their text is refused with the words of `wanted`.
fn two_venues(change: impl Fn(&str) -> String, wanted: &[&str]) {
    let text = "[[venues]]\nname = \"binance\"\nembedded = true\nsymbols = [\"BTCUSDT\"]\n\
                dead_man = \"none_available\"\n\n[[venues]]\nname = \"okx\"\nembedded = true\n\
                symbols = [\"BTC-USDT\"]\n\n[[risk.instrument]]\nsymbol = \"okx:BTC-USDT\"\n\
                open_orders_max = 3\n\n[[shard]]\nsymbols = [\"okx:BTC-USDT\"]\nbook = 0\n";
    if wanted.is_empty() {
        let config = parse(&change(text), Path::new("trade.toml")).expect("accepted");
        let names: Vec<_> = config.venues().map(|v| v.venue.name()).collect();
        assert_eq!(names, ["binance", "okx"]);
        assert_eq!(config.labels(), ["binance:BTCUSDT", "okx:BTC-USDT"]);
        assert_eq!(config.risk.instruments[0].0, "okx:BTC-USDT");
        assert_eq!((config.shards[0].instrument, config.shape().wires), (1, 2));
        return;
    }
    let error = refused(&change(text));
    assert!(error.contains("help"), "a mend in:\n{error}");
    for word in wanted {
        assert!(error.contains(word), "`{word}` in:\n{error}");
    }
}

#[test]
fn several_venues_are_named_once_each_and_go_together() {
    let swap = |from: &'static str, to: &'static str| {
        move |text: &str| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        }
    };
    two_venues(str::to_owned, &[]);
    two_venues(swap("[[venues]]", "[venue]"), &["venue", "beside [[venues]]"]);
    let again = "name = \"binance\"\ndead_man = \"none_available\"";
    two_venues(swap("name = \"okx\"", again), &["trade.toml:7:", "twice"]);
    two_venues(|text| format!("[run]\ncapture = true\n{text}"), &[]);
    two_venues(swap("okx:BTC", "BTC"), &["BTC-USDT", "venue:symbol"]);
    two_venues(swap("book = 0", "wire = 0"), &["wire", "each has wire lanes"]);
    let observe = "name = \"okx\"\nmode = \"observe\"";
    two_venues(swap("name = \"okx\"", observe), &["mode", "observe all"]);
    let lines = "symbols = [\"BTC-USDT\"]\nlines = 9";
    two_venues(swap("symbols = [\"BTC-USDT\"]", lines), &["lines", "9"]);
    assert!(refused("[run]\nseed = 1\n").contains("[[venues]]"), "no venue at all");
}

#[test]
fn where_there_is_no_dead_man_switch_this_must_be_typed() {
    let with = |more: &str| {
        let text = format!(
            "[venue]\nname = \"coinbase\"\nembedded = true\nsymbols = [\"BTC-USD\"]\n{more}\
             [risk]\nequity_asset = \"USD\"\n[[strategy]]\nkind = \"market_maker\"\n"
        );
        parse(&text, Path::new("x.toml")).map(|config| config.venue.dead_man)
    };
    assert!(!with("dead_man = \"none_available\"\n").expect("typed"));
    for wrong in ["", "dead_man = \"armed\"\n"] {
        let error = with(wrong).expect_err("refused").to_string();
        assert!(error.contains("dead_man") && error.contains("none_available"), "{error}");
    }
}
