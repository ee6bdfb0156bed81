// Latency: percentile curves on a scale that widens the tail, and the same as a table.

import { $, attribute, compact, decade, el, rows, svg, text, time } from "./draw.js";

/** The way of an order, in the order of its stages; their sum first. */
const STAGES = ["tick_to_trade", "wire_to_parse", "parse", "book", "signal", "risk", "order_encode", "ack"];
const ON_THE_WAY = STAGES.slice(1, 7);
/** What else is measured: the first part of the tags, and what it is called. */
const OTHERS = [
  ["ack", "Venue answers"],
  ["timer_or_fill_to_trade", "Orders by timers and fills"],
  ["kernel_to_read", "Kernel to read"],
  ["msg_wire_to_parse", "Every message: wire to parse"],
  ["msg_parse", "Every message: parse"],
  ["msg_book", "Every message: book"],
];
const COLOURS = 8;
const TICKS = [50, 90, 99, 99.9, 99.99, 99.999];

let chosen = "", near = null;

/** What can be shown: names, and the tags of each. */
function groups(engine) {
  const some = (tag) => engine.latency[tag]?.summary.count > 0;
  const found = [["Orders, stage by stage", STAGES.filter(some)]];
  for (const [first, told] of OTHERS) {
    const tags = Object.keys(engine.latency).filter((tag) => tag.split(".")[0] === first && some(tag));
    // The answers of a single venue stand with the stages.
    if (tags.length > (first === "ack" ? 1 : 0)) found.push([told, tags]);
  }
  return found;
}

/** A tag in words; a number after the point is a venue's, a connection's or a lane's. */
function named(tag, engine) {
  const [first, n] = tag.split(".");
  const words = first.replaceAll("_", " ");
  if (first === "ack" && engine.venues.length > 1) return `${words} · ${engine.venues[Number(n ?? 0)]?.name ?? n}`;
  const line = first === "msg_book" ? null : engine.lines.find((l) => l.name === `wire.${n}`);
  return n == null ? words : `${words} ${n}${line && engine.venues.length > 1 ? ` · ${line.venue}` : ""}`;
}

function choose(found) {
  const pick = $("group"), names = found.map(([name]) => name);
  if (pick.dataset.names !== names.join()) {
    pick.replaceChildren(...names.map((name) => el("option", "", name)));
    pick.dataset.names = names.join();
    pick.value = names.includes(chosen) ? chosen : names[0];
    pick.onchange = () => { chosen = pick.value; near = null; };
  }
  return found.find(([name]) => name === pick.value)[1];
}

/** Which stage takes most of the way from a message to its order. */
export function slowest(engine) {
  const mean = (tag) => engine.latency[tag]?.summary.mean ?? 0;
  const all = mean("tick_to_trade");
  if (!all) return null;
  const tag = ON_THE_WAY.reduce((a, b) => (mean(b) > mean(a) ? b : a));
  return { tag, part: mean(tag) / all };
}

/** A curve as far as its count reaches: of a hundred values none is the 99.9th per cent. */
function reached({ summary, curve }) {
  const last = 100 * (1 - 1 / summary.count);
  return curve.filter(([p, v]) => p < 100 && p <= Math.max(50, last) && v > 0);
}

export function latency(engine) {
  const tags = choose(groups(engine));
  const worst = slowest(engine);
  const orders = tags.includes("tick_to_trade");
  text($("latency-note"), !tags.length ? "No order was caused by a message yet." : "Time below which a share of the values lies, since the start."
    + (orders && worst ? ` Slowest stage: ${named(worst.tag, engine)}, ${Math.round(worst.part * 100)} % of the way.` : ""));
  $("curves").toggleAttribute("hidden", !tags.length);
  $("stages").hidden = !tags.length;
  if (tags.length) draw(tags.map((tag) => ({ tag, name: named(tag, engine), points: reached(engine.latency[tag]) })));
  const body = $("stages").tBodies[0];
  rows(body, tags.map((tag) => {
    const s = engine.latency[tag].summary;
    const of = (value, least) => (s.count >= least ? time(value) : "–");
    return [named(tag, engine), compact(s.count), time(s.p50), of(s.p99, 100), of(s.p999, 1000), time(s.max)];
  }));
  tags.forEach((tag, i) => mark(body.children[i], tag, colour(tag, i), orders && worst?.tag === tag));
}

const colour = (tag, i) => `s${STAGES.includes(tag) ? STAGES.indexOf(tag) : 1 + (i % (COLOURS - 1))}`;

function draw(series) {
  const root = $("curves"), wide = Math.max(300, root.parentElement.clientWidth - 34);
  const high = wide < 560 ? 240 : 290, left = 52, right = 14, top = 8, base = high - 40;
  attribute(root, "viewBox", `0 0 ${wide} ${high}`);
  // As many nines as the counts reach.
  const ticks = TICKS.slice(0, Math.max(3, TICKS.findLastIndex((p) => series.some((s) => s.points.at(-1)[0] >= p)) + 1));
  const nines = (p) => -Math.log10(1 - p / 100);
  const x = (p) => left + ((wide - left - right) * nines(p)) / nines(ticks.at(-1));
  const values = series.flatMap((s) => s.points.map(([, v]) => v));
  const lowest = Math.floor(Math.log10(Math.max(1, Math.min(...values, 1e6))));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(...values, 10))));
  const y = (v) => base - ((base - top) * (Math.log10(v) - lowest)) / (highest - lowest);
  const across = [];
  for (let e = lowest; e <= highest; e += 1) {
    across.push(svg("line", { class: "grid", x1: left, x2: wide - right, y1: y(10 ** e), y2: y(10 ** e) }),
      svg("text", { class: "axis", x: left - 8, y: y(10 ** e) + 4, "text-anchor": "end" }, decade(10 ** e)));
  }
  const up = ticks.flatMap((p) => [
    svg("line", { class: "grid", x1: x(p), x2: x(p), y1: top, y2: base }),
    svg("text", { class: "axis", x: x(p), y: base + 17, "text-anchor": p === ticks.at(-1) ? "end" : "middle" }, wide < 400 && p === 99.99 && ticks.at(-1) > p ? "" : String(p)),
  ]);
  const title = svg("text", { class: "axis", x: (left + wide - right) / 2, y: high - 5, "text-anchor": "middle" }, "percentile");
  const curves = series.map(({ tag, name, points }, i) => {
    const d = points.map(([p, v], k) => `${k ? "L" : "M"}${x(p).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    const away = near && near !== tag ? " away" : "";
    const main = tag === "tick_to_trade" || near === tag ? " main" : "";
    return svg("path", { d, class: `curve ${colour(tag, i)}${main}${away}` }, svg("title", {}, name));
  });
  root.replaceChildren(...across, ...up, title, ...curves.reverse());
}

/** Gives a row the colour of its curve, and lets it bring the curve forward. */
function mark(tr, tag, tone, slow) {
  tr.tabIndex = 0;
  tr.onmouseenter = tr.onfocus = () => { near = tag; };
  tr.onmouseleave = tr.onblur = () => { near = null; };
  attribute(tr, "class", slow ? "slowest" : "");
  const cell = tr.firstElementChild;
  if (!cell.firstElementChild) cell.prepend(el("i"));
  attribute(cell.firstElementChild, "class", `swatch ${tone}`);
}
