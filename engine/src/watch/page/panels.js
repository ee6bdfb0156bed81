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
    text(told, `${(its.busy * 100).toFixed(0)} % · gap ≤ ${time(lane.gap_ns_max)}`);
    text(li.lastChild, lane.agents.length > 1 ? lane.agents.join(", ") : "");
    const parts = li.querySelectorAll("i");
    [its.busy, its.pressed, its.house].forEach((part, i) => { parts[i].style.width = `${(part * 100).toFixed(1)}%`; });
  });
}

/** A bar of a value against its limit. */
function bars(list, items) {
  const make = () => el("li", "", el("div", "what", el("span"), el("span")), el("div", "meter", el("i", "fill")));
  children(list, items, make, (li, { name, against, show, note }) => {
    const { value, limit } = against;
    const part = value == null || !limit ? 0 : Math.min(1, Math.abs(value) / limit);
    const [label, told] = li.querySelectorAll("span");
    text(label, name + (note ? ` · ${note}` : ""));
    text(told, `${value == null ? "not known" : show(value)}${limit == null ? ", no limit" : ` of ${show(limit)}`}`);
    const fill = li.querySelector("i");
    fill.style.width = `${(part * 100).toFixed(1)}%`;
    attribute(fill, "class", "fill" + (part >= 0.9 ? " hot" : part >= 0.6 ? " warm" : ""));
  });
}

export function risk(engine) {
  const r = engine.risk, asset = engine.run.asset;
  text($("risk-note"), `worst case${asset ? ", " + asset : ""}`);
  const percent = (v) => `${v.toFixed(2)} %`;
  bars($("limits"), [
    { name: "Gross exposure", against: r.gross, show: money },
    { name: "Net exposure", against: r.net, show: money },
    { name: "Loss of the day", against: r.daily_loss, show: money },
    { name: "Fall from the peak", against: r.drawdown_pct, show: percent },
    { name: "Open orders", against: r.open_orders, show: count },
  ]);
  bars($("positions"), r.positions.map((p) => ({ name: p.symbol, note: p.qty, against: p.worst, show: money })));
}

export function tiles(engine, ends) {
  const { equity, pnl } = engine.risk;
  text($("equity"), money(equity.now));
  text($("asset"), engine.run.asset);
  const known = [pnl.realized, pnl.unrealized, pnl.fees].every((v) => v != null);
  const total = known ? pnl.realized + pnl.unrealized - pnl.fees + (pnl.funding ?? 0) : null;
  text($("pnl"), signed(total));
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

/** Shortens decimal texts alike: zeros go that none of them needs, `least` decimals stay. */
function trimmed(texts, least) {
  const needed = (t) => (t.split(".")[1] ?? "").replace(/0+$/, "").length;
  const keep = Math.max(least, ...texts.map(needed));
  return (t) => {
    const [whole, decimals] = t.split(".");
    return decimals && keep ? `${whole}.${decimals.slice(0, keep)}` : whole;
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
  if (!its) return;
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
  const told = spread == null ? "one side is empty" : `spread ${Number(spread.toPrecision(6))} (${((1e4 * spread) / mid).toFixed(2)} bp)`;
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

const span0 = (ms) => (ms < 1000 ? `${ms} ms` : span(ms));

const STAGES = ["tick_to_trade", "wire_to_parse", "parse", "book", "signal", "risk", "order_encode", "ack"];
let near = null;

export function latency(engine) {
  const stages = STAGES.filter((name) => engine.latency[name]?.summary.count > 0);
  const root = $("curves"), wide = Math.max(320, root.parentElement.clientWidth - 34);
  const high = wide < 560 ? 220 : 270, left = 58, right = 10, top = 8, base = high - 24;
  attribute(root, "viewBox", `0 0 ${wide} ${high}`);
  const ticks = [[50, "50"], [90, "90"], [99, "99"], [99.9, "99.9"], [99.99, "99.99"], [99.999, "99.999"]];
  const nines = (p) => -Math.log10(Math.max(1e-5, 1 - p / 100)) / 5;
  const x = (p) => left + (wide - left - right) * Math.min(1, nines(p));
  const curves = stages.map((name) => engine.latency[name].curve.filter(([p, v]) => p < 100 && v > 0));
  const values = curves.flat().map(([, v]) => v);
  const lowest = Math.floor(Math.log10(Math.max(1, Math.min(...values, 1e3))));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(...values, 1e4))));
  const y = (v) => base - ((base - top) * (Math.log10(v) - lowest)) / (highest - lowest);
  const lines = [];
  for (let e = lowest; e <= highest; e += 1) lines.push({ y: y(10 ** e), told: time(10 ** e) });
  const grid = [
    ...lines.flatMap((l) => [svg("line", { class: "grid", x1: left, x2: wide - right, y1: l.y, y2: l.y }),
      svg("text", { class: "axis", x: left - 8, y: l.y + 4, "text-anchor": "end" }, l.told)]),
    ...ticks.map(([p, told]) => svg("text", { class: "axis", x: x(p), y: high - 6, "text-anchor": p > 99.99 ? "end" : "middle" }, told)),
  ];
  const drawn = stages.map((name, i) => {
    const d = curves[i].map(([p, v], k) => `${k ? "L" : "M"}${x(p).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    const away = near && near !== name ? " away" : "";
    const main = name === "tick_to_trade" || near === name ? " main" : "";
    return svg("path", { d, class: `curve s${STAGES.indexOf(name)}${main}${away}` }, svg("title", {}, name));
  });
  root.replaceChildren(...grid, ...drawn.reverse());
  const body = $("stages").tBodies[0];
  rows(body, stages.map((name) => {
    const s = engine.latency[name].summary;
    return [name.replaceAll("_", " "), compact(s.count), time(s.p50), time(s.p99), time(s.p999), time(s.max)];
  }));
  stages.forEach((name, i) => mark(body.children[i], name));
}

/** Gives a row the colour of its curve, and lets it bring the curve forward. */
function mark(tr, name) {
  tr.onmouseenter = () => { near = name; };
  tr.onmouseleave = () => { near = null; };
  const cell = tr.firstElementChild;
  if (!cell.firstElementChild) cell.prepend(el("i"));
  attribute(cell.firstElementChild, "class", `swatch s${STAGES.indexOf(name)}`);
}

export function safety(engine) {
  const { kill, risk: r } = engine, b = r.breakers;
  const latched = Object.entries(kill.latched).map(([kind, n]) => `${kind} ${n}`);
  const causes = Object.entries(b.causes).map(([cause, n]) => `${cause} ${n}`);
  facts($("safety"), [
    ["Trading", kill.stopped ? [kill.flatten ? "stopped, closing what is held" : "stopped until a person ends it", "bad"] : [kill.phase, "good"]],
    ["Control mode", kill.mode.replaceAll("_", " ")],
    ["Latched by risk", latched.length ? [latched.join(", "), "bad"] : "nothing"],
    ["Breakers", [`${b.all - b.open - b.half_open} closed, ${b.half_open} recovering, ${b.open} open`, b.open ? "bad" : b.half_open ? "warn" : "good"]],
    ["Not closed", b.unwell.length ? [b.unwell.join(", "), "warn"] : "none"],
    ["Opened by", causes.length ? causes.join(", ") : "nothing so far"],
    ["To be explained", r.drift ? [`${count(r.drift)} differences`, "bad"] : "nothing"],
    ...Object.entries(r.loss).map(([name, v]) => [`An hour's ${name.replaceAll("_", " ")}`, v == null ? "not known" : money(v)]),
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
  rows($("venues").tBodies[0], engine.venues.map((v) => [v.name, yes(v.ready, ["ready", "not ready"]), count(v.sent), count(v.open),
    [count(v.unknown), v.unknown ? "warn" : ""], count(v.reconnects)]));
  rows($("lines").tBodies[0], engine.lines.filter((l) => l.used).map((l) => [`${l.name} · ${l.venue}`, yes(l.up, ["open", "down"]),
    compact(l.messages), time(l.rtt_ns), time(l.backlog_us * 1000), count(l.reconnects)]));
}
