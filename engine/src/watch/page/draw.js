// Small tools: elements, numbers as text, samples over time.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** An element with a class and children. */
export function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** An SVG element with attributes. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets a text if it is another one: what does not change is not painted again. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** Sets an attribute if it is another one. */
export function attribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** As many children as there are items, each made once and then only updated. */
export function children(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => {
    if (!parent.children[i]) parent.append(make(item, i));
    update(parent.children[i], item, i);
  });
}

/** Rows of a table; a cell is a text or [text, class]. */
export function rows(tbody, lines) {
  const make = (cells) => el("tr", "", ...cells.map(() => el("td")));
  children(tbody, lines, make, (tr, cells) => {
    while (tr.children.length < cells.length) tr.append(el("td"));
    while (tr.children.length > cells.length) tr.lastElementChild.remove();
    cells.forEach((cell, i) => {
      const [value, className] = Array.isArray(cell) ? cell : [cell, ""];
      text(tr.children[i], value);
      attribute(tr.children[i], "class", className);
    });
  });
}

/** Pairs of a definition list; a value is a text or [text, class]. */
export function facts(dl, pairs) {
  const flat = pairs.flatMap(([name, value]) => [["DT", name], ["DD", value]]);
  children(dl, flat, ([tag]) => el(tag.toLowerCase()), (node, [, value]) => {
    const [told, className] = Array.isArray(value) ? value : [value, ""];
    text(node, told);
    attribute(node, "class", className);
  });
}

const many = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const few = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A count. */
export const count = (n) => (n == null ? "–" : many.format(n));
/** A large count in few characters. */
export const compact = (n) => (n == null ? "–" : n < 10000 ? many.format(n) : short.format(n));
/** An amount of money. */
export const money = (n) => (n == null ? "–" : few.format(n));
/** An amount with its sign. */
export const signed = (n) => (n == null ? "–" : (n > 0 ? "+" : "") + few.format(n));
/** A rate: one decimal where it is small. */
export const rate = (n) => (n == null ? "–" : n < 10 ? n.toFixed(1) : many.format(n));

/** A time in nanoseconds. */
export function time(ns) {
  if (ns == null) return "–";
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    const n = ns / size;
    if (n >= 1) return (n >= 100 ? Math.round(n) : n.toFixed(n >= 10 ? 1 : 2)) + "\u00a0" + unit;
  }
  return Math.round(ns) + "\u00a0ns";
}

/** A power of ten in nanoseconds, as an axis says it. */
export function decade(ns) {
  const [unit, size] = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]].find(([, size]) => ns >= size);
  return `${ns / size} ${unit}`;
}

/** A long time in milliseconds. */
export function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return s + " s";
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => s >= size);
  const [first, second] = [parts[at], parts[at + 1]];
  const rest = Math.floor((s % first[0]) / second[0]);
  return `${Math.floor(s / first[0])} ${first[1]}` + (rest ? ` ${rest} ${second[1]}` : "");
}

/** Bytes. */
export function bytes(n) {
  if (n == null) return "–";
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]]) {
    if (n >= size) return (n / size).toFixed(1) + " " + unit;
  }
  return n + " B";
}

/** Samples of the last seconds: differences between the newest and the oldest kept. */
export class Window {
  constructor(spanNs) {
    this.spanNs = spanNs;
    this.samples = [];
  }

  push(run, ns, value) {
    const last = this.samples.at(-1);
    if (last && (last.run !== run || last.ns > ns)) this.samples = [];
    if (!last || last.ns !== ns) this.samples.push({ run, ns, value });
    while (this.samples.length > 2 && this.samples[1].ns < ns - this.spanNs) this.samples.shift();
  }

  /** Oldest value, newest value and the seconds between; null before there are two. */
  ends() {
    if (this.samples.length < 2) return null;
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    return { first: first.value, last: last.value, seconds: (last.ns - first.ns) / 1e9 };
  }
}
