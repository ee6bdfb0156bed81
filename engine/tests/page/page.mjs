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

async function acts() {
  const { context, page } = await open({ viewport: { width: 1100, height: 900 } });
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
  await acts();
  console.log(`${checks} passed, 0 failed`);
} finally {
  await browser.close();
}
