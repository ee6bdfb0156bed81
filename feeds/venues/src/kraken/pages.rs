//! Answers over REST to rows: objects by the venue's names, numbers as text, times in seconds.
//! Source: the Kraken sheet, chapter 4, and the venue's reference of its REST interface.

use bot4_types::DoneReason;

use super::names::{self, Pairs};
use super::orders::PAGE;
use super::private::{Read, number_or_text, or_waits, state, waits_by_type};
use crate::account::{
    BalanceRow, FillWords, Names, OrderWords, RowState, Rows, side_of, venue_number,
};
use crate::json::{Fields, FieldsExt, object_of};
use crate::market::DecodeError;
use crate::number::json_amount;

/// Open or closed orders; their names by their numbers go to `order_names`.
pub(super) fn orders(
    result: &Fields<'_, '_>,
    names: &mut Names,
    pairs: &Pairs,
    rows: &mut Rows,
    order_names: &mut Vec<(u64, String)>,
) -> Read<()> {
    let list = result.fields("open").or_else(|| result.fields("closed"));
    for (name, order) in list.ok_or(DecodeError::Schema)?.iter() {
        let f = object_of(order)?;
        let descr = f.fields("descr").ok_or(DecodeError::Schema)?;
        let symbol = pairs.symbol(descr.text("pair")?);
        let mut row = names.order(&OrderWords {
            symbol,
            order: name,
            client: f.word("cl_ord_id"),
            executed: number_or_text(&f, "vol_exec")?,
        })?;
        // The first price of an order that waits is its trigger's.
        let waits = waits_by_type(descr.word("ordertype"));
        let price = if waits { "price2" } else { "price" };
        row.terms = names.terms(symbol, [descr.word(price), number_or_text(&f, "vol")?]);
        let (stands, reason) = state(f.text("status")?, f.word("reason"))?;
        let reached = ["stopped", "touched"].iter().any(|word| f.word("misc").contains(word));
        row.state = or_waits(stands, waits && !reached && row.executed == 0);
        row.reason = reason;
        // "Closed" is said of orders that end with less than all of it as well.
        if row.state == RowState::Filled
            && number_or_text(&f, "vol")? != number_or_text(&f, "vol_exec")?
        {
            (row.state, row.reason) = (RowState::Canceled, DoneReason::None);
        }
        order_names.push((row.venue_order, name.to_owned()));
        rows.orders.push(row);
    }
    Ok(())
}

/// A page of fills, the newest first; whether another one follows. It begins with the last of this
/// one, which may share its time with others.
pub(super) fn fills(
    result: &Fields<'_, '_>,
    names: &mut Names,
    pairs: &Pairs,
    rows: &mut Rows,
) -> Read<bool> {
    let list = result.fields("trades").ok_or(DecodeError::Schema)?;
    let mut oldest = (i64::MAX, "");
    for (name, trade) in list.iter() {
        let f = object_of(trade)?;
        let time_ms = seconds_ms(number_or_text(&f, "time")?).ok_or(DecodeError::Schema)?;
        if time_ms <= oldest.0 {
            oldest = (time_ms, name);
        }
        rows.fills.extend(names.fill(&FillWords {
            symbol: pairs.symbol(f.text("pair")?),
            trade_id: venue_number(name),
            order: f.text("ordertxid")?,
            client: "",
            side: side_of(f.text("type")?, ["buy", "sell"])?,
            price: number_or_text(&f, "price")?,
            qty: number_or_text(&f, "vol")?,
            fee: json_amount(number_or_text(&f, "fee")?)?,
            // Told in the quote asset.
            fee_asset: pairs.symbol(f.text("pair")?).split_once('/').map_or("", |(_, quote)| quote),
            maker: f.truth("maker").unwrap_or(false),
            time_ms,
        })?);
    }
    let more = list.len() >= PAGE;
    if more {
        rows.cursor.push_str(oldest.1);
    }
    Ok(more)
}

/// Balances by asset, and what of them is held for open orders.
pub(super) fn balances(result: &Fields<'_, '_>, names: &Names, rows: &mut Rows) -> Read<()> {
    for (name, entry) in result.iter() {
        let f = object_of(entry)?;
        let asset = names.asset(names::asset(name));
        if asset == bot4_types::AssetId::NONE {
            continue;
        }
        let all = json_amount(number_or_text(&f, "balance")?)?;
        let locked = match f.has("hold_trade") {
            true => json_amount(number_or_text(&f, "hold_trade")?)?,
            false => 0,
        };
        rows.balances.push(BalanceRow { asset, free: all - locked, locked });
    }
    Ok(())
}

/// Seconds with a fraction as Unix ms.
fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digit =
        |at: usize| fraction.as_bytes().get(at).map_or(0, |b| i64::from(b.wrapping_sub(b'0')));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    seconds.checked_mul(1_000)?.checked_add(digit(0) * 100 + digit(1) * 10 + digit(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_to_the_millisecond() {
        assert_eq!(seconds_ms("1688667796.8802"), Some(1_688_667_796_880));
        assert_eq!(seconds_ms("1688667796"), Some(1_688_667_796_000));
        assert_eq!(seconds_ms("1688667796.5"), Some(1_688_667_796_500));
        assert_eq!(seconds_ms("1e9"), None);
        assert_eq!(seconds_ms("9223372036854775807"), None);
    }
}
