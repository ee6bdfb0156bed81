// The pipeline: agents in the order of data, the links between them, how busy each lane is.
//
// Links that connect the same two roles are drawn as one line, which is as full as the fullest
// of them. The picture is built once for a topology and a width, and then only coloured.

import { attribute, svg, text, count } from "./draw.js";
import { places, stageOf, way } from "./ways.js";

// Below this width the stages stand one below the other.
const NARROW_BELOW = 780;
const TIPS = ["plain", "warm", "hot"];

/** Links by pair of roles, each with its parts. */
function pairs(links) {
  const found = new Map();
  for (const link of links) {
    const key = `${link.from}>${link.to}>${link.feedback}`;
    if (!found.has(key)) found.set(key, { from: link.from, to: link.to, back: link.feedback, key });
  }
  return [...found.values()];
}

/** The heads of arrows. */
function tips() {
  return svg("defs", {}, ...TIPS.map((tone) =>
    svg("marker", { id: `tip-${tone}`, class: `tip ${tone}`, viewBox: "0 0 6 6", refX: 5, refY: 3, markerWidth: 6, markerHeight: 6, markerUnits: "userSpaceOnUse", orient: "auto" },
      svg("path", { d: "M0 0L6 3L0 6z" }))));
}

/** What moved between two looks, as a question about a line. */
function moving(ends) {
  if (!ends) return () => false;
  const grew = (of) => of(ends.last) > of(ends.first);
  const wire = new Map(ends.last.lines.map((line) => {
    const first = ends.first.lines.find((l) => l.name === line.name);
    return [line.name, first != null && line.messages > first.messages];
  }));
  const [market, judged, sent] = [grew((e) => e.market.messages), grew((e) => e.orders.checked), grew((e) => e.orders.sent)];
  return ({ from, to }) => {
    if (wire.has(from)) return wire.get(from);
    if (to.startsWith("execution")) return sent;
    return from === "signal" ? judged : market;
  };
}

/** Whose connection a role serves, where there are several venues. */
function venueOf(role, engine) {
  if (engine.venues.length < 2) return "";
  const line = engine.lines.find((l) => l.name === role);
  const [kind, n] = role.split(".");
  return line?.venue ?? (kind === "execution" ? engine.venues[Number(n ?? 0)]?.name : "") ?? "";
}

export class Pipeline {
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.built = "";
  }

  /** Draws the engine; `loads` holds the shares of each lane's time by its name, `ends` two looks. */
  draw(engine, loads, ends) {
    const room = this.root.clientWidth, narrow = room < NARROW_BELOW;
    const roles = engine.lanes.flatMap((lane) => lane.agents);
    const built = JSON.stringify([narrow || room, roles, engine.links.length]);
    if (built !== this.built) {
      this.build(roles, pairs(engine.links), room, narrow);
      this.built = built;
    }
    for (const lane of engine.lanes) {
      for (const role of lane.agents) this.colour(role, lane, loads.get(lane.name), venueOf(role, engine));
    }
    this.fill(engine.links, moving(ends));
    this.tell(engine, loads);
  }

  build(roles, lines, room, narrow) {
    const place = places(roles, room, narrow);
    this.root.replaceChildren(tips());
    this.root.setAttribute("viewBox", `0 0 ${place.width} ${place.height}`);
    this.nodes = new Map();
    this.lines = [];
    const under = svg("g"), over = svg("g");
    for (const line of lines) {
      if (!place.boxes.has(line.from) || !place.boxes.has(line.to)) continue;
      const d = way(line.from, line.to, line.back, place, narrow);
      const title = svg("title");
      const path = svg("path", { d, class: "link" }, title);
      under.append(path);
      let flow = null;
      if (!line.back && stageOf(line.to) != null && stageOf(line.from) != null) {
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

  colour(role, lane, share, venue) {
    const node = this.nodes.get(role);
    if (!node) return;
    const cpu = lane.cpu == null ? "no CPU of its own" : `cpu ${lane.cpu}`;
    const [busy, pressed] = share ? [share.busy, share.pressed] : [0, 0];
    text(node.small, (lane.cpu == null ? "not pinned" : cpu) + (venue ? ` · ${venue}` : ""));
    attribute(node.load, "width", (busy * node.room).toFixed(1));
    attribute(node.press, "x", (node.x + busy * node.room).toFixed(1));
    attribute(node.press, "width", (pressed * node.room).toFixed(1));
    attribute(node.group, "class", lane.faults || lane.wrong_cpu ? "node late" : "node");
    text(node.title, `${role} on lane ${lane.name}, ${cpu}: ${Math.round(busy * 100)} % busy`);
  }

  fill(links, moves) {
    for (const line of this.lines) {
      const parts = links.filter((l) => l.from === line.from && l.to === line.to && l.feedback === line.back);
      const fullest = Math.max(...parts.map((l) => l.high_water / l.capacity));
      const tone = fullest >= 1 ? "hot" : fullest >= 0.5 ? "warm" : "plain";
      attribute(line.path, "class", `link ${tone}${line.back ? " back" : ""}`);
      attribute(line.path, "marker-end", `url(#tip-${tone})`);
      if (line.flow) attribute(line.flow, "class", moves(line) ? "flow on" : "flow");
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
