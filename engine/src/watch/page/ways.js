// Where the pipeline's boxes stand and which way its lines go.
//
// On a wide screen data runs from left to right. A line to the next stage is a curve; one that
// passes stages over keeps to the gaps between the columns and to the margins, so that none runs
// behind a box. On a narrow screen the stages stand one below the other.

// Where a role stands along the way of data.
const STAGES = ["wire", "parse", "book", "signal", "risk", "execution"];
// What stands aside, below the stage of this number.
const ASIDE = { telemetry: 0, control: 3, journal: 5 };
// Below each other: from the left, so that each can be reached along an edge.
const ASIDE_STACKED = ["journal", "telemetry", "control"];
// Room for the lines that run along the edges.
const EDGE = 34, TOP = 40, GAP = 22;

const kind = (role) => role.split(".")[0];
const number = (role) => Number(role.split(".")[1] ?? 0);
const inOrder = (roles) => [...roles].sort((a, b) => number(a) - number(b));

/** The number of a role's stage; null for what stands aside. */
export function stageOf(role) {
  const at = STAGES.indexOf(kind(role));
  return at < 0 ? null : at;
}

/** Boxes by role, and the size of the picture. `room` is how wide it may be, in pixels. */
export function places(roles, room, narrow) {
  const columns = STAGES.map((stage) => inOrder(roles.filter((r) => kind(r) === stage)));
  const aside = roles.filter((r) => kind(r) in ASIDE);
  const deepest = Math.max(...columns.map((c) => c.length), 1);
  return narrow ? stacked(columns, ASIDE_STACKED.filter((r) => aside.includes(r)), Math.max(deepest, aside.length)) : inColumns(columns, aside, deepest, room);
}

function stacked(columns, aside, most) {
  const [w, h, step] = [88, 46, 90], boxes = new Map();
  const across = 64 + most * (w + 10) - 10;
  [...columns, aside].forEach((row, i) => row.forEach((role, j) => {
    const left = (across - row.length * (w + 10) + 10) / 2;
    boxes.set(role, { x: left + j * (w + 10), y: 14 + i * step + (row === aside ? 12 : 0), w, h });
  }));
  return { boxes, width: across, height: 52 + columns.length * step + h };
}

function inColumns(columns, aside, deepest, room) {
  const h = 50, w = Math.min(150, Math.max(102, room / 9)), boxes = new Map();
  const step = (room - 2 * EDGE - w) / (STAGES.length - 1);
  const deep = deepest * (h + GAP) - GAP;
  columns.forEach((column, i) => column.forEach((role, j) => {
    const first = TOP + (deep - (column.length * (h + GAP) - GAP)) / 2;
    boxes.set(role, { x: EDGE + i * step, y: first + j * (h + GAP), w, h });
  }));
  const below = TOP + deep + 66;
  for (const role of aside) boxes.set(role, { x: EDGE + ASIDE[kind(role)] * step, y: below, w, h });
  return { boxes, width: room, height: below + h + 8, below };
}

/** A line through points with round corners. */
function through(points, radius = 9) {
  const toward = (from, to, by) => {
    const long = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    const part = Math.min(by, long / 2) / long;
    return [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part];
  };
  const corner = (p, i) => `L${toward(p, points[i], radius)}Q${p} ${toward(p, points[i + 2], radius)}`;
  return `M${points[0]}${points.slice(1, -1).map(corner).join("")}L${points.at(-1)}`;
}

/** The way of a line between two roles. `back`: it is feedback. */
export function way(from, to, back, place, narrow) {
  const [a, b] = [place.boxes.get(from), place.boxes.get(to)];
  const ends = [stageOf(from), stageOf(to)];
  return narrow ? downward(a, b, back, ends, place) : rightward(a, b, back, ends, [number(from), number(to)], place);
}

const middle = (box) => box.y + box.h / 2;

function rightward(a, b, back, [from, to], [n], place) {
  const bend = (p, q, by) => `M${p}C${[p[0] + by, p[1]]} ${[q[0] - by, q[1]]} ${q}`;
  if (from == null || to == null) return aside(a, b, from, to, place);
  if (!back && to === from + 1) return bend([a.x + a.w, middle(a) - 6], [b.x - 1, middle(b) - 6], 26);
  if (back && to === from - 1) return bend([a.x, middle(a) + 8], [b.x + b.w + 1, middle(b) + 8], -26);
  // Over other stages: data above all of them, feedback below and around. Sources keep apart.
  if (!back) {
    const channel = a.x + a.w + 10 + 5 * n, high = 12 + 5 * n, into = b.x + b.w / 2 + 6 * n;
    const y = a.y + 11;
    return through([[a.x + a.w, y], [channel, y], [channel, high], [into, high], [into, b.y - 1]]);
  }
  const channel = a.x + a.w + 10 + 5 * n, low = place.below - 46 + 5 * n, edge = 8 + 5 * n;
  const y = a.y + a.h - 9;
  return through([[a.x + a.w, y], [channel, y], [channel, low], [edge, low], [edge, middle(b)], [b.x - 1, middle(b)]]);
}

/** To or from what stands aside. */
function aside(a, b, from, to, place) {
  if (from == null && to == null) return `M${[a.x + a.w, middle(a) + 9]}L${[b.x - 1, middle(b) + 9]}`;
  if (to == null && Math.abs(a.x - b.x) < 1) {
    // Below itself: straight down where nothing stands between, else along the edge.
    if (from !== STAGES.length - 1) return `M${[a.x + a.w * 0.35, a.y + a.h]}L${[b.x + b.w * 0.35, b.y - 1]}`;
    const edge = place.width - 12;
    return through([[a.x + a.w, middle(a)], [edge, middle(a)], [edge, middle(b)], [b.x + b.w + 1, middle(b)]]);
  }
  if (to == null) return through([[a.x + a.w * 0.65, a.y + a.h], [a.x + a.w * 0.65, middle(b) - 9], [b.x - 1, middle(b) - 9]]);
  const between = a.y - 20, out = a.x + a.w * 0.7, into = b.x + b.w * 0.35;
  return through([[out, a.y], [out, between], [into, between], [into, b.y + b.h + 1]]);
}

function downward(a, b, back, [from, to], place) {
  const bend = (p, q, by) => `M${p}C${[p[0], p[1] + by]} ${[q[0], q[1] - by]} ${q}`;
  const centre = (box) => box.x + box.w / 2;
  if (from == null && to == null) {
    const low = a.y + a.h + 12;
    return through([[centre(a), a.y + a.h], [centre(a), low], [centre(b), low], [centre(b), b.y + b.h + 1]]);
  }
  if (to === null && from === STAGES.length - 1) return bend([centre(a) + 12, a.y + a.h], [centre(b) + 10, b.y - 1], 30);
  if (from == null || to == null) {
    // To the journal along the left edge, to and from control along the right one.
    const left = b.x + b.w / 2 < place.width / 2 && to == null;
    const edge = left ? 14 : place.width - (to == null ? 14 : 22);
    const by = to == null ? -9 : 9;
    const out = (box, gap) => (left ? box.x - gap : box.x + box.w + gap);
    return through([[out(a, 0), middle(a) + by], [edge, middle(a) + by], [edge, middle(b) - by], [out(b, 1), middle(b) - by]]);
  }
  if (!back && to === from + 1) return bend([centre(a) - 6, a.y + a.h], [centre(b) - 6, b.y - 1], 30);
  if (back && to === from - 1) return bend([centre(a) + 8, a.y], [centre(b) + 8, b.y + b.h + 1], -30);
  const edge = back ? place.width - 4 : 4;
  const side = (box) => (back ? box.x + box.w : box.x);
  return through([[side(a), middle(a)], [edge, middle(a)], [edge, middle(b)], [side(b), middle(b)]]);
}
