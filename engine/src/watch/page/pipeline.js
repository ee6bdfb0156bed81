// The pipeline: agents in the order of data, the links between them, how busy each lane is.
//
// Links that connect the same two roles are drawn as one line, which is as full as the fullest
// of them. The picture is built once for a topology and then only coloured. On a narrow screen it
// runs from top to bottom.

import { attribute, svg, text, count } from "./draw.js";

// Where a role stands along the way of data.
const STAGES = ["wire", "parse", "book", "signal", "risk", "execution"];
// What stands aside: a column between the stages of these numbers, below.
const ASIDE = { telemetry: 0, control: 2, journal: 4 };

const kind = (role) => role.split(".")[0];

/** Links by pair of roles, each with its parts. */
function pairs(links) {
  const found = new Map();
  for (const link of links) {
    const key = `${link.from}>${link.to}>${link.feedback}`;
    if (!found.has(key)) found.set(key, { from: link.from, to: link.to, back: link.feedback, key });
  }
  return [...found.values()];
}

/** Boxes by role, and the size of the picture. */
function places(roles, narrow) {
  const columns = STAGES.map((stage) => roles.filter((r) => kind(r) === stage));
  const aside = roles.filter((r) => kind(r) in ASIDE);
  const deepest = Math.max(...columns.map((c) => c.length), 1);
  const [w, h] = narrow ? [88, 46] : [128, 50];
  const boxes = new Map();
  if (narrow) {
    const across = 8 + Math.max(deepest, aside.length) * (w + 10);
    columns.forEach((column, i) => column.forEach((role, j) => {
      const left = (across - column.length * (w + 10) + 10) / 2;
      boxes.set(role, { x: left + j * (w + 10), y: 14 + i * (h + 44), w, h });
    }));
    aside.forEach((role, j) => {
      const left = (across - aside.length * (w + 10) + 10) / 2;
      boxes.set(role, { x: left + j * (w + 10), y: 26 + columns.length * (h + 44), w, h });
    });
    return { boxes, width: across, height: 36 + columns.length * (h + 44) + h };
  }
  const step = 206, gap = 22, top = 46;
  const deep = deepest * (h + gap) - gap;
  columns.forEach((column, i) => column.forEach((role, j) => {
    const first = top + (deep - (column.length * (h + gap) - gap)) / 2;
    boxes.set(role, { x: 8 + i * step, y: first + j * (h + gap), w, h });
  }));
  const below = top + deep + 74;
  for (const role of aside) {
    boxes.set(role, { x: 8 + (ASIDE[kind(role)] + 0.5) * step, y: below, w, h });
  }
  return { boxes, width: 16 + (STAGES.length - 1) * step + w, height: below + h + 10 };
}

/** The way of a line between two boxes. */
function way(a, b, back, stages, narrow, place) {
  const forth = narrow
    ? { out: [a.x + a.w / 2, a.y + a.h], in: [b.x + b.w / 2, b.y] }
    : { out: [a.x + a.w, a.y + a.h / 2], in: [b.x, b.y + b.h / 2] };
  const bend = (p, q, by) => narrow
    ? `M${p}C${[p[0], p[1] + by]} ${[q[0], q[1] - by]} ${q}`
    : `M${p}C${[p[0] + by, p[1]]} ${[q[0] - by, q[1]]} ${q}`;
  const shift = (p, by) => (narrow ? [p[0] + by, p[1]] : [p[0], p[1] + by]);
  const [from, to] = stages;
  if (from == null || to == null) {
    // To or from what stands aside: along its row, or up and down.
    if (a.y === b.y) {
      const left = a.x < b.x;
      return `M${[left ? a.x + a.w : a.x, a.y + a.h / 2]}L${[left ? b.x : b.x + b.w, b.y + b.h / 2]}`;
    }
    const down = b.y > a.y;
    const p = [a.x + a.w * (down ? 0.62 : 0.5), down ? a.y + a.h : a.y];
    const q = [b.x + b.w * (down ? 0.4 : 0.38), down ? b.y : b.y + b.h];
    const by = Math.abs(q[1] - p[1]) * 0.5 * (down ? 1 : -1);
    return `M${p}C${[p[0], p[1] + by]} ${[q[0], q[1] - by]} ${q}`;
  }
  if (!back && to === from + 1) return bend(shift(forth.out, -6), shift(forth.in, -6), 30);
  if (back && to === from - 1) {
    const p = narrow ? [a.x + a.w / 2 + 8, a.y] : [a.x, a.y + a.h / 2 + 8];
    const q = narrow ? [b.x + b.w / 2 + 8, b.y + b.h] : [b.x + b.w, b.y + b.h / 2 + 8];
    return bend(p, q, -30);
  }
  // Over more than one stage: around the others, data on one side, feedback on the other.
  if (narrow) {
    const side = back ? place.width - 3 : 3;
    const p = [back ? a.x + a.w : a.x, a.y + a.h / 2];
    const q = [back ? b.x + b.w : b.x, b.y + b.h / 2];
    return `M${p}C${[side, p[1]]} ${[side, p[1]]} ${[side, (p[1] + q[1]) / 2]}S${[side, q[1]]} ${q}`;
  }
  const high = back ? place.height - a.h - 62 : 14;
  const p = [a.x + a.w * 0.5, back ? a.y + a.h : a.y];
  const q = [b.x + b.w * 0.5, back ? b.y + b.h : b.y];
  return `M${p}C${[p[0], high]} ${[p[0], high]} ${[(p[0] + q[0]) / 2, high]}S${[q[0], high]} ${q}`;
}

export class Pipeline {
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.built = "";
  }

  /** Draws the engine; `loads` holds the shares of each lane's time by its name. */
  draw(engine, loads, flowing) {
    const narrow = this.root.parentElement.clientWidth < 700;
    const roles = engine.lanes.flatMap((lane) => lane.agents);
    const built = JSON.stringify([narrow, roles, engine.links.length]);
    if (built !== this.built) {
      this.build(roles, pairs(engine.links), narrow);
      this.built = built;
    }
    for (const lane of engine.lanes) {
      for (const role of lane.agents) this.colour(role, lane, loads.get(lane.name));
    }
    this.fill(engine.links, flowing);
    this.tell(engine, loads);
  }

  build(roles, lines, narrow) {
    const place = places(roles, narrow);
    this.root.replaceChildren();
    this.root.setAttribute("viewBox", `0 0 ${place.width} ${place.height}`);
    this.nodes = new Map();
    this.lines = [];
    const under = svg("g"), over = svg("g");
    const stage = (role) => { const at = STAGES.indexOf(kind(role)); return at < 0 ? null : at; };
    for (const line of lines) {
      const [a, b] = [place.boxes.get(line.from), place.boxes.get(line.to)];
      if (!a || !b) continue;
      const d = way(a, b, line.back, [stage(line.from), stage(line.to)], narrow, place);
      const title = svg("title");
      const path = svg("path", { d, class: "link" }, title);
      under.append(path);
      let flow = null;
      if (!line.back && stage(line.to) != null && stage(line.from) != null) {
        flow = svg("path", { d, class: "flow" });
        under.append(flow);
      }
      this.lines.push({ ...line, path, flow, title });
    }
    for (const [role, box] of place.boxes) over.append(this.node(role, box));
    this.root.append(under, over);
  }

  node(role, box) {
    const { x, y, w, h } = box;
    const title = svg("title");
    const small = svg("text", { x: x + 10, y: y + 32, class: "small" });
    const name = svg("text", { x: x + 10, y: y + 18 }, role);
    const rail = { y: y + h - 9, height: 4, rx: 2 };
    const load = svg("rect", { ...rail, x: x + 10, width: 0, class: "load" });
    const press = svg("rect", { ...rail, x: x + 10, width: 0, class: "press" });
    const group = svg("g", { class: "node" }, title,
      svg("rect", { x, y, width: w, height: h, rx: 9, class: "box" }), name, small,
      svg("rect", { ...rail, x: x + 10, width: w - 20, class: "rail" }), load, press);
    this.nodes.set(role, { group, title, small, load, press, x: x + 10, room: w - 20 });
    return group;
  }

  colour(role, lane, share) {
    const node = this.nodes.get(role);
    if (!node) return;
    const cpu = lane.cpu == null ? "no CPU of its own" : `cpu ${lane.cpu}`;
    const [busy, pressed] = share ? [share.busy, share.pressed] : [0, 0];
    text(node.small, lane.cpu == null ? "not pinned" : cpu);
    attribute(node.load, "width", (busy * node.room).toFixed(1));
    attribute(node.press, "x", (node.x + busy * node.room).toFixed(1));
    attribute(node.press, "width", (pressed * node.room).toFixed(1));
    attribute(node.group, "class", lane.faults || lane.wrong_cpu ? "node late" : "node");
    text(node.title, `${role} on lane ${lane.name}, ${cpu}: ${Math.round(busy * 100)} % busy`);
  }

  fill(links, flowing) {
    for (const line of this.lines) {
      const parts = links.filter((l) => l.from === line.from && l.to === line.to && l.feedback === line.back);
      const fullest = Math.max(...parts.map((l) => l.high_water / l.capacity));
      const warm = fullest >= 1 ? " hot" : fullest >= 0.5 ? " warm" : "";
      attribute(line.path, "class", "link" + (line.back ? " back" : "") + warm);
      if (line.flow) attribute(line.flow, "class", flowing ? "flow on" : "flow");
      text(line.title, parts.map((l) =>
        `${l.name}: at most ${count(l.high_water)} of ${count(l.capacity)} waited; when full: ${l.when_full}`).join("\n"));
    }
  }

  /** The same in words. */
  tell(engine, loads) {
    const lanes = engine.lanes.map((lane) => {
      const share = loads.get(lane.name);
      return `${lane.name} runs ${lane.agents.join(", ")}` + (share ? `, ${Math.round(share.busy * 100)} % busy` : "");
    });
    const full = engine.links.filter((l) => l.high_water * 2 >= l.capacity);
    const links = full.length
      ? "Links that were more than half full: " + full.map((l) => l.name).join(", ")
      : "No link was ever more than half full";
    text(this.words, lanes.join(". ") + ". " + links + ".");
  }
}
