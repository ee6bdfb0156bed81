// The page: asks for the engine's state twice a second and brings every panel up to date.

import { $, attribute, span, text, Window } from "./draw.js";
import { Pipeline } from "./pipeline.js";
import * as panels from "./panels.js";
import { latency } from "./latency.js";
import { Acts } from "./act.js";

const EVERY_MS = 500;
const HIDDEN_EVERY_MS = 5000;
const READ_KEPT = "bot4-read-token";
/** Equity is kept for ten minutes of this page. */
const EQUITY_SAMPLES = 1200;

const pipeline = new Pipeline($("pipeline"), $("pipeline-text"));
const recent = new Window(3e9);
let equity = [];
let run = "";
let skewMs = 0;

new Acts(() => Math.round(Date.now() + skewMs), () => run);

/** What the status line says: a word and its colour. */
function status(state) {
  const e = state.engine;
  if (!e) return ["no engine", "none"];
  if (!state.live) return ["ended", "none"];
  if (e.kill.stopped) return ["stopped", "stop"];
  if (e.stale) return ["no beat", "stop"];
  return e.kill.phase === "run" ? ["running", "run"] : [e.kill.phase, "wait"];
}

/** What a person should know first. */
function warning(state) {
  const e = state.engine;
  if (!e) return ["", ""];
  if (!state.live) return [`This engine has ended; what is shown was seen last. ${state.why_not ? `Now: ${state.why_not}.` : ""}`, ""];
  if (e.kill.stopped) return [`Trading is stopped${e.kill.resumable ? "; resume ends the stop" : "; this process will not trade again"}.`, "stop"];
  if (e.stale) return [`The engine has not beaten for ${span(e.beat_age_ms)}: it hangs, or the machine is starved.`, "stop"];
  const b = e.risk.breakers;
  if (b.global === "open") return [`No new orders: ${b.open} of ${b.all} circuit breakers are open.`, "stop"];
  if (e.memory.level !== "normal" && e.memory.level) return [`Memory is under pressure: ${e.memory.level.replaceAll("_", " ")}.`, ""];
  return ["", ""];
}

function head(state) {
  const [word, colour] = status(state);
  text($("status"), word);
  attribute($("status"), "data-state", colour);
  const e = state.engine;
  text($("run"), e ? `${e.run.venue} · run ${e.run.id} · ${e.kill.mode.replaceAll("_", " ")} · up ${span(e.run.uptime_ms)}` : "");
  const [what, how] = warning(state);
  banner(what, how);
  old(!state.live || e?.stale);
  $("kill").disabled = !state.live;
  $("resume").hidden = !(state.live && e.kill.stopped && e.kill.resumable);
  document.title = `${word} · bot4`;
}

/** Marks figures that are not of now. */
function old(is) {
  document.body.classList.toggle("old", Boolean(is));
}

function banner(what, how) {
  $("banner").hidden = !what;
  text($("banner"), what);
  attribute($("banner"), "data-state", how);
}

function show(state) {
  skewMs = state.now_ms - Date.now();
  head(state);
  const e = state.engine;
  $("nothing").hidden = Boolean(e);
  $("main").hidden = !e;
  if (!e) return text($("nothing-why"), state.why_not ?? "");
  if (e.run.id !== run) [run, equity] = [e.run.id, []];
  recent.push(run, e.now_ns, e);
  equity = [...equity.slice(1 - EQUITY_SAMPLES), e.risk.equity.now];
  const ends = recent.ends();
  const shares = panels.loads(ends);
  panels.tiles(e, ends);
  panels.spark(equity);
  pipeline.draw(e, shares, state.live ? ends : null);
  panels.lanes(e, shares);
  latency(e);
  panels.book(e);
  panels.risk(e);
  panels.safety(e);
  panels.orders(e);
  panels.memory(e);
  panels.venues(e);
}

async function ask() {
  const token = sessionStorage.getItem(READ_KEPT);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch("/api/state", { headers, cache: "no-store" });
  if (answer.status === 401 || answer.status === 429) return login(token != null);
  if (!answer.ok) throw new Error(`the watch answered ${answer.status}`);
  show(await answer.json());
}

function login(wrong) {
  const dialog = $("login");
  if (dialog.open) return;
  text($("login-told"), wrong ? "That token is wrong." : "");
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    sessionStorage.setItem(READ_KEPT, $("login-token").value.trim());
    dialog.close();
  };
  dialog.showModal();
}

async function turn() {
  try {
    if (!$("login").open) await ask();
  } catch (error) {
    text($("status"), "no answer");
    attribute($("status"), "data-state", "none");
    banner(`bot4 watch does not answer (${error.message}); what is shown is old.`, "stop");
    old(true);
    document.title = "no answer · bot4";
    console.debug(error);
  }
  setTimeout(turn, document.hidden ? HIDDEN_EVERY_MS : EVERY_MS);
}

/** Dark or light: the person's word, else the system's. */
function theme() {
  const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  const now = localStorage.getItem("bot4-theme") ?? system;
  document.documentElement.dataset.theme = now;
  text($("theme"), now === "dark" ? "Light" : "Dark");
}

$("theme").onclick = () => {
  const now = document.documentElement.dataset.theme;
  localStorage.setItem("bot4-theme", now === "dark" ? "light" : "dark");
  theme();
};
matchMedia("(prefers-color-scheme: light)").addEventListener("change", theme);
theme();
turn();
