// The page of a running engine in a real browser: it shows what the engine says, in both colours,
// on a wide and a narrow screen, without a word from elsewhere; a kill needs the token.
// usage: node page.mjs URL TOKEN_FILE OUT_FOLDER

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [url, tokenFile, out] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = [["wide", 1440, 1000], ["middle", 900, 900], ["phone", 375, 760]];
const PATIENCE = 60_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update"],
});
let checks = 0;

/** A page that complains about every error, refused script and request to elsewhere. */
async function open(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("pageerror", (e) => complaints.push(e.message));
  page.on("console", (m) => {
    const answered = m.text().startsWith("Failed to load resource: the server responded with a status of 4");
    if (m.type() === "error" && !answered) complaints.push(m.text());
  });
  page.on("request", (r) => { if (!r.url().startsWith(url)) complaints.push(`asked ${r.url()}`); });
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("status").textContent === "running");
  return { context, page, complaints };
}

function check(what, holds) {
  checks += 1;
  assert.ok(holds, what);
  console.log(`ok  ${what}`);
}

async function shows() {
  const { context, page, complaints } = await open({ viewport: { width: 1440, height: 1000 } });
  await page.waitForFunction(() => /\d/.test(document.getElementById("rate").textContent));
  await page.waitForFunction(() => document.querySelectorAll("#curves .curve").length >= 5);
  const state = await page.evaluate(async () => (await fetch("/api/state")).json());
  const roles = state.engine.lanes.flatMap((lane) => lane.agents);
  const drawn = await page.locator("#pipeline .node").count();
  check(`every one of ${roles.length} agents is drawn`, drawn === roles.length && drawn >= 12);
  check("links are drawn", await page.locator("#pipeline .link").count() >= 12);
  check("data flows", await page.locator("#pipeline .flow.on").count() > 0);
  check("lanes have their shares", await page.locator("#lanes li").count() === state.engine.lanes.length);
  check("the ladder has both sides", await page.locator("#ladder .bid").count() > 3 && await page.locator("#ladder .ask").count() > 3);
  check("limits are shown", (await page.locator("#limits").textContent()).includes(" of "));
  const symbols = await page.locator("#symbol option").allTextContents();
  check("every book can be chosen", symbols.length === state.engine.books.length);
  const before = await page.locator("#book-note").textContent();
  await page.waitForFunction((old) => document.getElementById("book-note").textContent !== old, before);
  check("it goes on by itself", true);
  await page.keyboard.press("Tab");
  check("the first key leads past the head", await page.evaluate(() => document.activeElement.className) === "skip");
  check(`nothing to complain about: ${complaints.join("; ")}`, complaints.length === 0);
  await context.close();
}

async function fits() {
  for (const colorScheme of ["dark", "light"]) {
    for (const [name, width, height] of SIZES) {
      const { context, page, complaints } = await open({ viewport: { width, height }, colorScheme, bypassCSP: true, reducedMotion: "reduce" });
      await page.waitForFunction(() => document.querySelectorAll("#curves .curve").length >= 5);
      await page.waitForTimeout(2_500);
      await page.screenshot({ path: `${out}/${colorScheme}-${name}.png`, fullPage: true });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(`${colorScheme} ${name}: nothing to scroll sideways`, over <= 0);
      await page.evaluate(axe);
      const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`));
      check(`${colorScheme} ${name}: accessible ${found.join("; ")}`, found.length === 0);
      check(`${colorScheme} ${name}: no errors ${complaints.join("; ")}`, complaints.length === 0);
      await context.close();
    }
  }
}

/** What an engine may say at worst, and at least. */
const STATES = {
  large({ engine: e, ...rest }) {
    const symbol = "averylongvenue:1000000PEPECATWIFHAT-USDT-PERPETUAL";
    const limited = { value: 99_999_999_999.12, limit: 100_000_000_000 };
    e.risk.equity.now = 123_456_789_012.34;
    e.risk.pnl = { realized: -9_876_543_210.12, unrealized: 1_234_567.89, fees: 987_654_321.5, funding: -12_345.6 };
    Object.assign(e.risk, { gross: limited, net: { value: null, limit: 5 }, daily_loss: { value: 3, limit: null }, drift: 12_345 });
    e.risk.positions = e.risk.positions.map((p) => ({ ...p, symbol, qty: "-123456789.00000000", worst: limited }));
    e.risk.breakers = { global: "open", all: 210, open: 17, half_open: 3, unwell: Array.from({ length: 24 }, (_, i) => `instrument:${i}`), causes: { reject_rate: 12 } };
    e.orders.refused_by = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`a_reason_with_a_long_name_${i}`, 10 ** (i % 8)]));
    e.books.forEach((b) => { b.symbol = symbol + b.symbol; });
    e.links[0].high_water = e.links[0].capacity;
    return { engine: e, ...rest };
  },
  empty({ engine: e, ...rest }) {
    const none = { value: null, limit: null };
    Object.assign(e, { books: [], venues: [], lines: [], links: [], latency: {}, lanes: e.lanes.slice(0, 1) });
    Object.assign(e.risk, { positions: [], loss: {}, gross: none, net: none, daily_loss: none, drawdown_pct: none, open_orders: none });
    e.risk.equity.now = null;
    e.risk.pnl = { realized: null, unrealized: null, fees: null, funding: null };
    Object.assign(e.orders, { by_state: {}, refused_by: {} });
    return { engine: e, ...rest };
  },
  /** Five venues at twelve lanes' worth of agents. */
  many({ engine: e, ...rest }) {
    const agents = [0, 1, 2, 3, 4].flatMap((n) => [`wire.${n}`, `parse.${n}`, n ? `execution.${n}` : "execution"]);
    const others = ["book.0", "book.1", "signal", "risk", "journal", "control", "telemetry"];
    const lane = e.lanes[0], link = e.links[0];
    e.lanes = [...agents, ...others].map((agent, i) => ({ ...lane, name: agent, agents: [agent], cpu: 100 + i }));
    e.links = [...e.links, ...[2, 3, 4].flatMap((n) => [
      { ...link, from: `wire.${n}`, to: `parse.${n}` }, { ...link, from: `parse.${n}`, to: "book.0" },
      { ...link, from: "book.0", to: `wire.${n}`, feedback: true }, { ...link, from: "risk", to: `execution.${n}` },
      { ...link, from: `execution.${n}`, to: "journal" }])];
    e.venues = ["binance", "okx", "bybit", "kraken", "coinbase"].map((name) => ({ ...e.venues[0], name }));
    e.lines = e.venues.map(({ name }, n) => ({ ...e.lines[0], name: `wire.${n}`, venue: name }));
    return { engine: e, ...rest };
  },
};

/** A page that is told another state than the engine's. */
async function told(change, options) {
  const opened = await open(options);
  await opened.page.route("**/api/state", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: change(await response.json()) });
  });
  // Two looks: the first may be of before.
  for (let n = 0; n < 2; n += 1) await opened.page.waitForResponse("**/api/state");
  await opened.page.waitForTimeout(300);
  return opened;
}

/** Closes what `told` opened. */
async function shut({ context, page }) {
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await context.close();
}

/** No text leaves its panel, and no box of the pipeline lies on another or outside the picture. */
function misplaced() {
  const found = [];
  for (const node of document.querySelectorAll(".panel, .tile")) {
    if (node.scrollWidth > node.clientWidth + 1) found.push(`${node.className}: wider by ${node.scrollWidth - node.clientWidth}`);
  }
  const all = document.getElementById("pipeline").getBoundingClientRect();
  const boxes = [...document.querySelectorAll("#pipeline .box")].map((b) => b.getBoundingClientRect());
  boxes.forEach((a, i) => {
    if (a.left < all.left || a.right > all.right + 1 || a.bottom > all.bottom + 1) found.push(`box ${i} is outside`);
    const on = boxes.findIndex((b, j) => j > i && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom);
    if (on > 0) found.push(`box ${i} lies on ${on}`);
  });
  return found;
}

async function bears() {
  for (const [name, change] of Object.entries(STATES)) {
    for (const [width, height] of [[1440, 1000], [375, 760]]) {
      const opened = await told(change, { viewport: { width, height }, bypassCSP: true, reducedMotion: "reduce" });
      const { page, complaints } = opened;
      await page.screenshot({ path: `${out}/${name}-${width}.png`, fullPage: true });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      const found = await page.evaluate(misplaced);
      check(`${name} at ${width}: everything has its place: ${found.join("; ")}`, over <= 0 && found.length === 0);
      check(`${name} at ${width}: no errors ${complaints.join("; ")}`, complaints.length === 0);
      await shut(opened);
    }
  }
}

/** What is not of now says so. */
async function ages() {
  const says = async (name, change, word, banner) => {
    const opened = await told(change, { viewport: { width: 1440, height: 1000 } });
    const { page } = opened;
    await page.waitForFunction((w) => document.getElementById("status").textContent === w, word);
    await page.screenshot({ path: `${out}/${name}.png` });
    const seen = await page.evaluate(() => [document.getElementById("banner").textContent, document.body.classList.contains("old"), document.getElementById("kill").disabled, document.getElementById("main").hidden]);
    await shut(opened);
    check(`${name}: ${seen[0]}`, seen[0].includes(banner));
    return seen;
  };
  const [, old, dead] = await says("ended", (s) => ({ ...s, live: false, why_not: "no engine runs" }), "ended", "seen last");
  check("what has ended is grey, and cannot be killed", old && dead);
  const still = (s) => ({ ...s, engine: { ...s.engine, stale: true, beat_age_ms: 9000 } });
  const [, stale, off] = await says("stale", still, "no beat", "9 s");
  check("an engine without a beat is grey, and can be killed", stale && !off);
  const [, , none, hidden] = await says("none", (s) => ({ ...s, live: false, engine: null, why_not: "no engine runs" }), "no engine", "");
  check("without an engine there are no empty panels", none && hidden);
  const { context, page } = await open({ viewport: { width: 1440, height: 1000 } });
  await page.route("**/api/state", (route) => route.abort());
  await page.waitForFunction(() => document.getElementById("status").textContent === "no answer");
  check("a watch that is gone is told", await page.evaluate(() => document.body.classList.contains("old")));
  await page.unroute("**/api/state");
  await page.waitForFunction(() => document.getElementById("status").textContent === "running");
  check("and when it is back, too", await page.evaluate(() => !document.body.classList.contains("old") && document.getElementById("banner").hidden));
  await context.close();
}

/** All of it without a mouse. */
async function keys() {
  const { context, page } = await open({ viewport: { width: 1440, height: 1000 } });
  await page.waitForFunction(() => document.querySelectorAll("#curves .curve").length >= 5);
  const groups = page.locator("#group");
  const names = await groups.locator("option").allTextContents();
  await groups.focus();
  while (await groups.inputValue() !== "Kernel to read") await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.querySelector("#stages tbody").textContent.startsWith("kernel to read"));
  check(`other latencies can be chosen: ${names.join(", ")}`, names.length >= 4);
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => document.querySelectorAll("#curves .curve.away").length > 0);
  check("a row that has the focus brings its curve forward", true);
  await page.locator("#kill").focus();
  await page.keyboard.press("Enter");
  check("a kill asks for its reason first", await page.evaluate(() => document.activeElement.id) === "act-reason");
  await page.keyboard.press("Escape");
  check("Escape is a no", !await page.locator("#act").isVisible() && await page.locator("#status").textContent() === "running");
  await context.close();
}

async function acts() {
  const { context, page } = await open({ viewport: { width: 1100, height: 900 } });
  const asked = [];
  page.on("request", (r) => asked.push(r.url()));
  const say = async (what, key) => {
    await page.locator(`#${what}`).click();
    await page.locator("#act-reason").fill("the page's test");
    await page.locator("#act-token").fill(key);
    await page.locator("#act-yes").click();
  };
  const is = (word) => page.waitForFunction((w) => document.getElementById("status").textContent === w, word);
  await say("kill", "f".repeat(64));
  await page.waitForFunction(() => document.getElementById("act-told").textContent.includes("wrong"));
  await page.locator("#act-no").click();
  check("a wrong token does nothing", await page.locator("#status").textContent() === "running");
  await say("kill", token);
  await is("stopped");
  check("a kill with the token stops", await page.locator("#banner").isVisible());
  check("the token stands in no address", !page.url().includes(token) && !asked.some((a) => a.includes(token)));
  await page.locator("#act").waitFor({ state: "hidden" });
  await page.screenshot({ path: `${out}/stopped.png` });
  await say("resume", token);
  await is("running");
  check("a resume lets it trade again", true);
  await context.close();
}

try {
  await shows();
  await fits();
  await bears();
  await ages();
  await keys();
  await acts();
  console.log(`${checks} passed, 0 failed`);
} finally {
  await browser.close();
}
