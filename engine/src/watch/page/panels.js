// The panels: each takes the engine's state and brings its part of the page up to date.

import { $, attribute, bytes, children, compact, count, el, facts, money, rate, rows, signed, span, svg, text, time } from "./draw.js";

/** The shares of a lane's time between two samples of it. */
function share(first, last) {
  const part = (name) => Math.max(0, last[name] - first[name]);
  const [busy, idle, pressed, house] = ["busy_ns", "idle_ns", "backpressured_ns", "housekeeping_ns"].map(part);
  const all = busy + idle + pressed + house;
  return all > 0 ? { busy: busy / all, pressed: pressed / all, house: house / all } : null;
}

/** Shares of time by lane, from the ends of a window of samples. */
export function loads(ends) {
  const found = new Map();
  if (!ends) return found;
  for (const lane of ends.last.lanes) {
    const first = ends.first.lanes.find((l) => l.name === lane.name);
    const its = first && share(first, lane);
    if (its) found.set(lane.name, its);
  }
  return found;
}

export function lanes(engine, shares) {
  text($("lanes-note"), `${engine.lanes.length === 1 ? "1 lane" : `${engine.lanes.length} lanes`}, ${engine.links.length} links`);
  const make = () => el("li", "", el("div", "what", el("span"), el("span")),
    el("div", "meter", el("i", "busy"), el("i", "pressed"), el("i", "house")), el("p", "note"));
  children($("lanes"), engine.lanes, make, (li, lane) => {
    const its = shares.get(lane.name) ?? { busy: 0, pressed: 0, house: 0 };
    const cpu = lane.cpu == null ? "" : ` · cpu ${lane.cpu}`;
    const [name, told] = li.querySelectorAll("span");
    text(name, `${lane.name}${cpu}`);
    text(told, `${(its.busy * 100).toFixed(0)} % busy · longest gap ${time(lane.gap_ns_max)}`);
    text(li.lastChild, lane.agents.length > 1 ? lane.agents.join(", ") : "");
    const parts = li.querySelectorAll("i");
    [its.busy, its.pressed, its.house].forEach((part, i) => { parts[i].style.width = `${(part * 100).toFixed(1)}%`; });
  });
}

/** A bar of a value against its limit, which is the bar's end. */
function bars(list, items) {
  const make = () => el("li", "", el("div", "what", el("span"), el("span")), el("div", "meter limited", el("i", "fill")));
  children(list, items, make, (li, { name, against, show, note }) => {
    const { value, limit } = against;
    const part = value == null || !limit ? 0 : Math.min(1, Math.abs(value) / limit);
    const [label, told] = li.querySelectorAll("span");
    text(label, name + (note ? ` · ${note}` : ""));
    const used = value == null || !limit ? "" : ` · ${shareOf(part)}`;
    text(told, `${value == null ? "not known" : show(value)}${limit == null ? ", no limit" : ` of ${show(limit)}`}${used}`);
    attribute(li.lastChild, "class", limit == null ? "meter" : "meter limited");
    const fill = li.querySelector("i");
    fill.style.width = `${(part * 100).toFixed(1)}%`;
    attribute(fill, "class", "fill" + (part >= 0.9 ? " hot" : part >= 0.6 ? " warm" : ""));
  });
}

/** How much of a limit is used. */
const shareOf = (part) => `${part > 0 && part < 0.001 ? "<\u00a00.1" : (part * 100).toFixed(1)}\u00a0%`;

/** What an account is counted in, without the venue it is named at. */
const assetOf = (engine) => engine.run.asset.split(":").at(-1);

/** Gains to the right of the middle, losses to the left, on one scale. */
function ways(list, items) {
  const most = Math.max(...items.map(([, v]) => Math.abs(v ?? 0)), 1e-9);
  const make = () => el("li", "", el("div", "what", el("span"), el("span")), el("div", "meter middle", el("i")));
  children(list, items, make, (li, [name, value]) => {
    const [label, told] = li.querySelectorAll("span");
    text(label, name);
    text(told, value == null ? "not known" : signed(value));
    const part = (50 * Math.abs(value ?? 0)) / most, fill = li.querySelector("i");
    fill.style.width = `${part.toFixed(1)}%`;
    fill.style.marginLeft = `${(value < 0 ? 50 - part : 50).toFixed(1)}%`;
    attribute(fill, "class", value < 0 ? "loss" : "gain");
  });
}

export function risk(engine) {
  const r = engine.risk, asset = assetOf(engine);
  text($("risk-note"), `worst case${asset ? ", " + asset : ""}`);
  const percent = (v) => `${v.toFixed(2)} %`;
  bars($("limits"), [
    { name: "Gross exposure", against: r.gross, show: money },
    { name: "Net exposure", against: r.net, show: money },
    { name: "Loss of the day", against: r.daily_loss, show: money },
    { name: "Fall from the peak", against: r.drawdown_pct, show: percent },
    { name: "Open orders", against: r.open_orders, show: count },
  ]);
  const { realized, unrealized, fees, funding } = r.pnl;
  ways($("pnl-bars"), [["Realized", realized], ["Open positions", unrealized], ["Fees", fees == null ? null : 0 - fees],
    ...(funding ? [["Funding", funding]] : [])]);
  $("positions").previousElementSibling.hidden = !r.positions.length;
  bars($("positions"), r.positions.map((p) => ({ name: p.symbol, note: p.qty, against: p.worst, show: money })));
}

export function tiles(engine, ends) {
  const { equity, pnl } = engine.risk;
  const large = (id, told) => {
    text($(id), told);
    $(id).style.setProperty("--chars", Math.max(6, told.length));
  };
  large("equity", money(equity.now));
  text($("asset"), assetOf(engine));
  const known = [pnl.realized, pnl.unrealized, pnl.fees].every((v) => v != null);
  const total = known ? pnl.realized + pnl.unrealized - pnl.fees + (pnl.funding ?? 0) : null;
  large("pnl", signed(total));
  attribute($("pnl"), "class", total == null ? "" : total < 0 ? "bad" : total > 0 ? "good" : "");
  text($("pnl-parts"), `realized ${signed(pnl.realized)}, open ${signed(pnl.unrealized)}, fees ${money(pnl.fees)}`);
  const ttt = engine.latency.tick_to_trade?.summary;
  const some = ttt && ttt.count > 0;
  text($("ttt"), some ? time(ttt.p50) : "–");
  text($("ttt-tail"), some ? `p99 ${time(ttt.p99)}, max ${time(ttt.max)}` : "no order yet");
  const per = (of) => (ends ? Math.max(0, of(ends.last) - of(ends.first)) / ends.seconds : null);
  text($("rate"), rate(per((e) => e.market.messages)));
  const m = engine.market, b = engine.books.length;
  text($("books-live"), `${m.books_live} of ${b} books live, ${count(m.gaps)} gaps`);
  attribute($("books-live"), "class", m.books_live < b ? "sub warn" : "sub");
  text($("order-rate"), rate(per((e) => e.orders.sent)));
  const o = engine.orders;
  text($("orders-open"), `${count(o.open)} open, ${count(o.unknown)} unknown, ${compact(o.fills)} fills`);
  attribute($("orders-open"), "class", o.unknown ? "sub warn" : "sub");
  text($("hot"), count(engine.memory.hot_allocations));
  attribute($("hot"), "class", engine.memory.hot_allocations ? "bad" : "good");
  text($("pages"), engine.run.sealed ? `pages: ${engine.memory.pages}` : "warming up");
}

/** The line of equity so far on this page. */
export function spark(samples) {
  const root = $("spark");
  const values = samples.filter((v) => v != null);
  if (values.length < 2) return root.replaceChildren();
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const y = (v) => (high > low ? 22 - (20 * (v - low)) / (high - low) : 12);
  const d = values.map((v, i) => `${i ? "L" : "M"}${((100 * i) / (values.length - 1)).toFixed(2)} ${y(v).toFixed(2)}`).join("");
  if (!root.firstChild) root.append(svg("path"));
  attribute(root.firstChild, "d", d);
}

let symbol = "";

/** A space as wide as a digit. */
const FIGURE_SPACE = "\u2007";

/**
 * Shortens decimal texts alike: zeros go that none of them needs, `least` decimals stay. All come
 * out as long as the longest, so that their points stand in one column.
 */
function trimmed(texts, least) {
  const needed = (t) => (t.split(".")[1] ?? "").replace(/0+$/, "").length;
  const keep = Math.max(least, ...texts.map(needed));
  const before = Math.max(0, ...texts.map((t) => t.split(".")[0].length));
  return (t) => {
    const [whole, decimals] = t.split(".");
    const short = decimals && keep ? `${whole}.${decimals.slice(0, keep)}` : whole;
    return FIGURE_SPACE.repeat(before - whole.length) + short;
  };
}

export function book(engine) {
  const pick = $("symbol");
  const names = engine.books.map((b) => b.symbol);
  if (pick.dataset.names !== names.join()) {
    pick.replaceChildren(...names.map((name) => el("option", "", name)));
    pick.dataset.names = names.join();
    pick.value = names.includes(symbol) ? symbol : (names[0] ?? "");
    pick.onchange = () => { symbol = pick.value; };
  }
  const its = engine.books.find((b) => b.symbol === pick.value);
  pick.hidden = !its;
  $("ladder").hidden = !its;
  if (!its) return text($("book-note"), "This run keeps no book.");
  const ok = its.state === "live";
  const why = its.reason && its.reason !== "none" ? ` (${its.reason})` : "";
  text($("book-note"), `${its.state}${why}, update ${its.update_id}${its.age_ms == null ? "" : `, ${span0(its.age_ms)} old`}`);
  attribute($("book-note"), "class", ok ? "note" : "note warn");
  const [bids, asks] = [its.bids, its.asks];
  const all = bids.concat(asks);
  const price0 = trimmed(all.map((l) => l.price), 2), qty0 = trimmed(all.map((l) => l.qty), 0);
  const most = Math.max(...all.map((l) => Number(l.qty)), 1e-12);
  const spread = bids.length && asks.length ? Number(asks[0].price) - Number(bids[0].price) : null;
  const mid = spread == null ? null : Number(bids[0].price) + spread / 2;
  const told = spread == null ? "one side is empty" : `spread ${Number(spread.toPrecision(6))} (${points((1e4 * spread) / mid)} bp)`;
  const lines = [...asks.slice(0, 10).reverse().map((l) => ["ask", l]), ["mid", null], ...bids.slice(0, 10).map((l) => ["bid", l])];
  const cell = () => el("td", "", el("i"), el("span"));
  children($("ladder").tBodies[0], lines, () => el("tr", "", cell(), cell(), cell()), (tr, [side, level]) => {
    attribute(tr, "class", side);
    const [bid, price, ask] = [...tr.children];
    const show = (td, value, part) => {
      text(td.lastChild, value);
      td.firstChild.style.width = `${(part * 100).toFixed(1)}%`;
    };
    const part = level ? Number(level.qty) / most : 0;
    show(bid, side === "bid" ? qty0(level.qty) : "", side === "bid" ? part : 0);
    show(price, side === "mid" ? told : price0(level.price), 0);
    show(ask, side === "ask" ? qty0(level.qty) : "", side === "ask" ? part : 0);
  });
}

const points = (bp) => (bp < 0.1 ? Number(bp.toPrecision(2)) : bp.toFixed(2));
const span0 = (ms) => (ms < 1000 ? `${ms} ms` : span(ms));

/** Breakers that are named; the rest is counted. */
const UNWELL_SHOWN = 8;

/** What the book can lose within an hour, by name. */
const MEASURES = {
  volatility: "Volatility", value_at_risk: "Value at risk", shortfall: "Expected shortfall",
  shortfall_worst: "Shortfall, worst", heat: "Heat, nothing offset",
};

export function safety(engine) {
  const { kill, risk: r } = engine, b = r.breakers;
  const counted = (of) => Object.entries(of).map(([name, n]) => `${name.replaceAll("_", " ")} ${count(n)}`);
  const [latched, causes] = [counted(kill.latched), counted(b.causes)];
  const more = b.unwell.length - UNWELL_SHOWN;
  const unwell = b.unwell.slice(0, UNWELL_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
  facts($("safety"), [
    ["Trading", kill.stopped ? [kill.flatten ? "stopped, closing what is held" : "stopped until a person ends it", "bad"] : [kill.phase === "run" ? "running" : kill.phase, kill.phase === "run" ? "good" : "warn"]],
    ["Control mode", kill.mode.replaceAll("_", " ")],
    ["Latched by risk", latched.length ? [latched.join(", "), "bad"] : "nothing"],
    ["Breakers", [`${b.all - b.open - b.half_open} closed, ${b.half_open} recovering, ${b.open} open`, b.open ? "bad" : b.half_open ? "warn" : "good"]],
    ["Not closed", b.unwell.length ? [unwell, "warn"] : "none"],
    ["Opened by", causes.length ? causes.join(", ") : "nothing so far"],
    ["To be explained", r.drift ? [`${count(r.drift)} differences`, "bad"] : "nothing"],
    ...Object.entries(MEASURES).filter(([name]) => name in r.loss).map(([name, told]) =>
      [`${told}, one hour`, r.loss[name] == null ? "not known" : `${money(r.loss[name])} ${assetOf(engine)}`]),
  ]);
}

function chips(list, counts, none) {
  const found = Object.entries(counts);
  const items = found.length ? found : [[none, null]];
  children(list, items, () => el("li", "", el("span"), el("b")), (li, [name, n]) => {
    text(li.firstChild, name.replaceAll("_", " "));
    text(li.lastChild, n == null ? "" : compact(n));
    attribute(li, "class", n ? "" : "zero");
  });
}

export function orders(engine) {
  const o = engine.orders;
  text($("orders-note"), `${compact(o.checked)} judged, ${compact(o.approved)} approved`);
  chips($("states"), o.by_state, "none yet");
  chips($("refused"), o.refused_by, "nothing was refused");
}

export function memory(engine) {
  const m = engine.memory;
  const of = m.limit_bytes == null ? "no limit" : `of ${bytes(m.limit_bytes)}`;
  facts($("memory"), [
    ["Pressure", [m.level.replaceAll("_", " "), m.level === "normal" ? "good" : "warn"]],
    ["Used", m.used_bytes == null ? of : `${bytes(m.used_bytes)} ${of}`],
    ["Pages", m.pages],
    ["Given up", [m.shed.replaceAll("_", " "), m.shed === "none" ? "" : "warn"]],
    ["Hot allocations", [count(m.hot_allocations), m.hot_allocations ? "bad" : "good"]],
    ["Allocations of wire and execution", count(m.io_allocations)],
    ["Up for", span(engine.run.uptime_ms)],
    ["Last beat", [`${span0(engine.beat_age_ms)} ago`, engine.stale ? "bad" : ""]],
  ]);
}

export function venues(engine) {
  const yes = (holds, told) => [holds ? told[0] : told[1], holds ? "good" : "bad"];
  const none = (lines) => (lines.length ? lines : [[["none in this run", "note"]]]);
  rows($("venues").tBodies[0], none(engine.venues.map((v) => [v.name, yes(v.ready, ["ready", "not ready"]), count(v.sent), count(v.open),
    [count(v.unknown), v.unknown ? "warn" : ""], count(v.reconnects)])));
  rows($("lines").tBodies[0], none(engine.lines.filter((l) => l.used).map((l) => [`${l.name} · ${l.venue}`, yes(l.up, ["open", "down"]),
    compact(l.messages), time(l.rtt_ns), time(l.backlog_us * 1000), count(l.reconnects)])));
}
