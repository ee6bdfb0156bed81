// Kill and resume: a dialog, a token, a stamp that is good once.

import { $, text } from "./draw.js";

const KEPT = "bot4-act-token";

/** A nonce that was never used. */
function nonce() {
  const raw = crypto.getRandomValues(new Uint8Array(16));
  return [...raw].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Asks the watch to act. Resolves with what it told; rejects with a sentence. */
async function post(path, token, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? `the watch answered ${answer.status}`);
  return told;
}

/** What became of a kill, as a sentence. */
function outcome(told) {
  const t = told.told;
  if (t.answered) return told.clear ? "Stopped. No order is open." : `Stopped, but ${t.open} orders are still open.`;
  if (t.obeys) return "Stopped, BUT IT DOES NOT SAY WHAT IS OPEN: it waits for its disk, say. Look at its orders again.";
  if (t.outside?.error) return `The process was ended, BUT ITS ORDERS MAY BE OPEN: ${t.outside.error}`;
  return `The process did not answer and was ended; ${t.outside?.cancelled ?? 0} orders were cancelled from here, ${t.outside?.left ?? 0} are left.`;
}

export class Acts {
  /** `now` tells the watch's time in Unix ms, `run` the name of the run that is shown. */
  constructor(now, run) {
    this.now = now;
    this.run = run;
    this.dialog = $("act");
    $("kill").onclick = () => this.ask("kill");
    $("resume").onclick = () => this.ask("resume");
    $("act-no").onclick = () => this.dialog.close();
    this.dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      this.send();
    };
  }

  ask(what) {
    this.what = what;
    const kill = what === "kill";
    this.of = this.run();
    text($("act-title"), kill ? "Stop trading?" : "Trade again?");
    text($("act-what"), kill
      ? `Run ${this.of}: no new order, everything open is cancelled, the engine stays up.`
      : `Run ${this.of}: the stop ends and strategies may trade.`);
    text($("act-yes"), kill ? "Kill" : "Resume");
    $("act-yes").className = kill ? "stop" : "go";
    $("act-flatten-line").hidden = !kill;
    $("act-flatten").checked = false;
    $("act-token").value = sessionStorage.getItem(KEPT) ?? "";
    $("act-reason").value = "";
    this.tell("", false);
    this.dialog.showModal();
    $("act-reason").focus();
  }

  async send() {
    const token = $("act-token").value.trim();
    const body = { run: this.of, reason: $("act-reason").value, at_ms: this.now(), nonce: nonce() };
    if (this.what === "kill") body.flatten = $("act-flatten").checked;
    $("act-yes").disabled = true;
    this.tell("The engine is told…", true);
    try {
      const told = await post(`/api/${this.what}`, token, body);
      // For this tab, and only once it was right.
      sessionStorage.setItem(KEPT, token);
      this.tell(this.what === "kill" ? outcome(told) : "It may trade again.", this.what !== "kill" || told.clear);
      setTimeout(() => this.dialog.close(), 2500);
    } catch (error) {
      this.tell(String(error.message ?? error), false);
    } finally {
      $("act-yes").disabled = false;
    }
  }

  tell(what, good) {
    text($("act-told"), what);
    $("act-told").className = good ? "good" : "";
  }
}
