//! OKX's answers and instrument lists.

use std::fmt::Write as _;

use crate::dialect::text::{quoted, trimmed_text};
use crate::exchange::Exchange;

fn id_text(id: Option<&str>) -> String {
    id.map(|id| format!(r#""id":{},"#, quoted(id))).unwrap_or_default()
}

pub fn acknowledgement(op: &str, id: Option<&str>, arg: &str, conn_id: &str) -> String {
    format!(r#"{{{}"event":"{op}","arg":{arg},"connId":"{conn_id}"}}"#, id_text(id))
}

pub fn error(id: Option<&str>, code: &str, msg: &str, conn_id: &str) -> String {
    let msg = quoted(msg);
    format!(
        r#"{{{}"event":"error","msg":{msg},"code":"{code}","connId":"{conn_id}"}}"#,
        id_text(id)
    )
}

/// About 60 s before a connection is closed for an upgrade.
pub fn notice(conn_id: &str) -> String {
    format!(
        concat!(
            r#"{{"event":"notice","msg":"The connection will soon be closed for a service "#,
            r#"upgrade. Please reconnect.","code":"64008","connId":"{}"}}"#
        ),
        conn_id
    )
}

pub fn time(now_ms: u64) -> String {
    format!(r#"{{"code":"0","data":[{{"ts":"{now_ms}"}}],"msg":""}}"#)
}

/// One instrument as listed.
pub struct Instrument {
    pub id: String,
    pub code: u64,
    pub tick: String,
    pub lot: String,
    pub least: String,
    pub is_open: bool,
}

impl Instrument {
    /// Its kind, as its name tells.
    pub fn kind(&self) -> &'static str {
        let mut parts = self.id.split('-').skip(2);
        match (parts.next(), parts.next()) {
            (None, _) => "SPOT",
            (Some("SWAP"), _) => "SWAP",
            (Some(_), None) => "FUTURES",
            _ => "OPTION",
        }
    }
}

/// The first code that is given out; each further instrument has the next.
pub const CODE_FIRST: u64 = 189_535;

pub fn instruments(exchange: &Exchange) -> Vec<Instrument> {
    let listed = exchange.markets.iter().zip(CODE_FIRST..);
    let listed = listed.filter(|(market, _)| market.spec.is_listed());
    let instrument = listed.map(|(market, code)| Instrument {
        id: market.spec.name.clone(),
        code,
        tick: trimmed_text(market.spec.tick),
        lot: trimmed_text(market.spec.lot),
        least: trimmed_text(market.spec.qty_bounds.0),
        is_open: market.spec.is_open(),
    });
    instrument.collect()
}

/// The answer of `/api/v5/public/instruments`.
pub fn instruments_page(list: &[Instrument]) -> String {
    let mut out = String::from(r#"{"code":"0","data":["#);
    for (n, at) in list.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        let mut parts = at.id.split('-');
        let (base, quote) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let kind = at.kind();
        let spot = kind == "SPOT";
        // Contracts name no base and quote, but what they settle in.
        let contract = |text: &'static str| if spot { "" } else { text };
        let (base_ccy, quote_ccy) = if spot { (base, quote) } else { ("", "") };
        let settle = if spot { "" } else { quote };
        let family = if spot { String::new() } else { format!("{base}-{quote}") };
        let Instrument { id, code, tick, lot, least, is_open } = at;
        let (multiplier, value) = (contract("1"), contract("0.01"));
        let value_ccy = if spot { "" } else { base };
        let _ = write!(
            out,
            concat!(
                r#"{{"alias":"","auctionEndTime":"","baseCcy":"{}","category":"1","#,
                r#""contTdSwTime":"","ctMult":"{}","ctType":"{}","ctVal":"{}","#,
                r#""ctValCcy":"{}","expTime":"","futureSettlement":false,"groupId":"1","#,
                r#""instFamily":"{}","instId":"{}","instIdCode":{},"instType":"{}","#,
                r#""lever":"10","listTime":"1548133413000","lotSz":"{}","#,
                r#""maxIcebergSz":"9999999999.0000000000000000","maxLmtAmt":"20000000","#,
                r#""maxLmtSz":"9999999999","maxMktAmt":"1000000","maxMktSz":"1000000","#,
                r#""maxPlatOILmt":"","maxStopSz":"1000000","#,
                r#""maxTriggerSz":"9999999999.0000000000000000","#,
                r#""maxTwapSz":"9999999999.0000000000000000","minSz":"{}","#,
                r#""openType":"fix_price","optType":"","posLmtAmt":"","posLmtPct":"","#,
                r#""preMktSwTime":"","quoteCcy":"{}","ruleType":"normal","settleCcy":"{}","#,
                r#""state":"{}","stk":"","tickSz":"{}","tradeQuoteCcyList":["{}"],"#,
                r#""uly":"{}","upcChg":[]}}"#
            ),
            base_ccy,
            multiplier,
            contract("linear"),
            value,
            value_ccy,
            family,
            id,
            code,
            kind,
            lot,
            least,
            quote_ccy,
            settle,
            if *is_open { "live" } else { "suspend" },
            tick,
            quote,
            family
        );
    }
    out.push_str(r#"],"msg":""}"#);
    out
}
