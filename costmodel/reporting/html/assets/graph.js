// Modules as boxes, laid out by dagre and drawn as SVG; a module opens into a frame around what is in it.
const NODE_HEIGHT = 42;
const MOST_AT_START = 26;
const modules = data.modules.map((module) => ({ ...module, children: [], inside: [], latency_s: 0, macs: 0, traffic_bytes: 0, kernels: [], bounds: { compute: 0, memory: 0, overhead: 0 }, operators: 0 }));
const operators = names.map((name, at) => ({ name, class: data.operators.classes[at], shape: data.operators.shapes[at], module: data.operators.modules[at], latency_s: 0, macs: 0, traffic_bytes: 0, kernels: [], bounds: { compute: 0, memory: 0, overhead: 0 } }));
const graph = { open: new Set([0]), chosen: null };

function addUp() {
  modules.forEach((module, at) => { if (at) modules[module.parent].children.push(at); });
  operators.forEach((operator, at) => {
    modules[operator.module].inside.push(at);
    if (operator.class !== "input") for (const module of upwards(operator.module)) modules[module].operators += 1;
  });
  kernels.forEach((kernel, at) => {
    const own = anchors[at] >= 0 ? operators[anchors[at]] : null;
    for (const place of [...(own ? [own] : []), ...upwards(own ? own.module : 0).map((number) => modules[number])]) {
      for (const key of ["latency_s", "macs", "traffic_bytes"]) place[key] += kernel[key];
      place.bounds[kernel.bound] += kernel.latency_s;
      place.kernels.push(at);
    }
  });
}

function upwards(module) {
  const found = [];
  for (let at = module; at >= 0; at = modules[at].parent) found.push(at);
  return found;
}

// What an operator is drawn as: the outermost closed module around it ("m3"), the operator of its module that it is fused
// into, or itself ("o17").
function drawnAs(operator) {
  const path = upwards(operators[operator].module).reverse();
  const closed = path.find((module) => !graph.open.has(module));
  return closed === undefined ? `o${operators[operator].into}` : `m${closed}`;
}

function joinFused() {
  const numbers = data.kernels.rows.map((row) => row[2]);
  operators.forEach((operator, at) => { operator.into = at; operator.with = []; });
  for (const [anchor, ...rest] of numbers) {
    for (const at of rest) {
      if (operators[at].kernels.length || operators[at].into !== at || operators[at].module !== operators[anchor].module) continue;
      operators[at].into = anchor;
      operators[anchor].with.push(operators[at].class);
    }
  }
}

function visible() {
  const nodes = new Set(operators.map((_, at) => drawnAs(at)));
  const edges = new Map();
  const pairs = data.operators.edges;
  for (let at = 0; at < pairs.length; at += 2) {
    const [from, to] = [drawnAs(pairs[at]), drawnAs(pairs[at + 1])];
    if (from !== to) edges.set(`${from} ${to}`, [from, to]);
  }
  return { nodes: [...nodes], edges: [...edges.values()] };
}

const entry = (id) => (id[0] === "m" ? modules : operators)[Number(id.slice(1))];
const cropped = (text, most) => (text.length <= most ? text : `${text.slice(0, Math.floor(most * 0.4))}…${text.slice(-(most - 1 - Math.floor(most * 0.4)))}`);

function labelOf(id) {
  const found = entry(id);
  if (id[0] === "o") return found.name.split(".").at(-1);
  return found.path.length <= 22 ? found.path : /^\d/.test(found.label) ? found.path.split(".").slice(-2).join(".") : found.label;
}

function openDearest() {
  const closed = new Set(operators.map((_, at) => drawnAs(at)).filter((id) => id[0] === "m"));
  const best = [...closed].sort((a, b) => entry(b).latency_s - entry(a).latency_s)[0];
  return best === undefined ? -1 : Number(best.slice(1));
}

function startState() {
  graph.open = new Set([0]);
  for (;;) {
    const best = openDearest();
    if (best < 0) return;
    const before = [...graph.open];
    openThrough(best);
    if (visible().nodes.length > MOST_AT_START) {
      graph.open = new Set(before);
      return;
    }
  }
}

function layout() {
  const { nodes, edges } = visible();
  const made = new dagre.graphlib.Graph({ compound: true });
  made.setGraph({ rankdir: "TB", nodesep: 20, ranksep: 32, marginx: 16, marginy: 30 });
  made.setDefaultEdgeLabel(() => ({}));
  for (const id of nodes) {
    const label = cropped(labelOf(id), 26);
    made.setNode(id, { label, width: Math.min(230, Math.max(150, 7.1 * label.length + 22, 6.3 * words(id).length + 20)), height: NODE_HEIGHT });
    const parent = id[0] === "m" ? modules[Number(id.slice(1))].parent : operators[Number(id.slice(1))].module;
    frame(made, id, parent);
  }
  for (const [from, to] of edges) made.setEdge(from, to);
  dagre.layout(made);
  return made;
}

function frame(made, id, module) {
  if (module <= 0) return;
  const name = `f${module}`;
  if (!made.hasNode(name)) {
    made.setNode(name, {});
    frame(made, name, modules[module].parent);
  }
  made.setParent(id, name);
}

function drawGraph() {
  const made = layout();
  const ids = made.nodes();
  const most = Math.max(...ids.filter((id) => id[0] !== "f").map((id) => entry(id).latency_s), 0);
  byId("scale-top").textContent = percent(latencyOf(most));
  const { width, height } = made.graph();
  const arrow = make("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" }, make("path", { d: "M0 0.8L8 4L0 7.2Z", class: "head" }));
  const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Modules and the tensors between them" }, make("defs", {}, arrow));
  const depth = (id) => upwards(Number(id.slice(1))).length;
  svg.append(...ids.filter((id) => id[0] === "f").sort((a, b) => depth(a) - depth(b)).map((id) => boxOf(id, made.node(id))));
  svg.append(...made.edges().map((edge) => make("path", { class: "edge", d: curve(made.edge(edge).points), "marker-end": "url(#arrow)" })));
  const order = (id) => (id[0] === "o" ? Number(id.slice(1)) : Math.min(...first(Number(id.slice(1)))));
  const shown = ids.filter((id) => id[0] !== "f").sort((a, b) => order(a) - order(b));
  svg.append(...shown.map((id) => nodeOf(id, made.node(id), most)));
  svg.append(...ids.filter((id) => id[0] === "f").map((id) => handleOf(id, made.node(id))));
  const canvas = byId("graph-canvas");
  const unseen = !canvas.firstChild;
  canvas.replaceChildren(svg);
  if (unseen) canvas.scrollLeft = (width - canvas.clientWidth) / 2;
  choose(graph.chosen, false);
}

function first(module) {
  return [...modules[module].inside, ...modules[module].children.flatMap(first)];
}

function curve(points) {
  let path = `M${points[0].x} ${points[0].y}`;
  for (let at = 1; at < points.length - 1; at += 1) {
    const [here, next] = [points[at], points[at + 1]];
    const last = at === points.length - 2;
    path += `Q${here.x} ${here.y} ${last ? next.x : (here.x + next.x) / 2} ${last ? next.y : (here.y + next.y) / 2}`;
  }
  return points.length === 2 ? `${path}L${points[1].x} ${points[1].y}` : path;
}

function words(id) {
  const found = entry(id);
  if (id[0] === "m") return `${percent(latencyOf(found.latency_s))} · ${found.operators} operator${found.operators === 1 ? "" : "s"}`;
  if (!found.kernels.length) return found.class === "input" ? found.shape.split(":")[0] : `${found.class} · no kernel`;
  return `${percent(latencyOf(found.latency_s))} · ${[found.class, ...found.with].join(" + ")}`;
}

const keyed = (action) => (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  action();
};

function nodeOf(id, { x, y, width, height, label }, most) {
  const found = entry(id);
  const { fill, ink } = mixed(share(found.latency_s, most));
  const module = id[0] === "m";
  const act = () => (module ? open(Number(id.slice(1))) : choose(id, true));
  const full = module ? found.path : found.name;
  return make("g", { class: `node ${module ? "module" : found.kernels.length ? "" : "fused"}`, "data-id": id, tabindex: 0, role: "button", "aria-expanded": module ? "false" : undefined, "aria-label": `${full}: ${words(id)}`, transform: `translate(${x - width / 2} ${y - height / 2})`, style: { color: ink }, click: act, keydown: keyed(act), focus: () => choose(id, false), mouseenter: () => choose(id, false) },
    make("title", {}, full), make("rect", { width, height, style: { fill } }),
    make("text", { x: 11, y: 19 }, `${module ? "▸ " : ""}${label}`), make("text", { x: 11, y: 35, class: "sub" }, cropped(words(id), Math.floor((width - 16) / 6))));
}

function boxOf(id, { x, y, width, height }) {
  return make("g", { class: "cluster" }, make("rect", { class: "box", x: x - width / 2, y: y - height / 2 - 10, width, height: height + 10 }));
}

function handleOf(id, { x, y, width, height }) {
  const module = Number(id.slice(1));
  const text = cropped(`▾ ${modules[module].path}  ${percent(latencyOf(modules[module].latency_s))}`, 34);
  const act = () => shut(module);
  return make("g", { class: "cluster", "data-id": id, tabindex: 0, role: "button", "aria-expanded": "true", "aria-label": `${modules[module].path}, open: close`, transform: `translate(${x - width / 2} ${y - height / 2 - 21})`, click: act, keydown: keyed(act), focus: () => choose(`m${module}`, false) },
    make("title", {}, modules[module].path), make("rect", { class: "handle", width: 7 * text.length + 14, height: 22 }), make("text", { x: 8, y: 15 }, text));
}

// A module that holds nothing but one module opens together with it.
function openThrough(module) {
  graph.open.add(module);
  const { children, inside } = modules[module];
  if (children.length === 1 && !inside.length) openThrough(children[0]);
}

function open(module) {
  openThrough(module);
  drawGraph();
  focusOn(`f${module}`);
  choose(`m${module}`, false);
}

function shut(module) {
  for (const at of [...graph.open]) if (upwards(at).includes(module)) graph.open.delete(at);
  drawGraph();
  focusOn(`m${module}`);
}

function focusOn(id) {
  const found = byId("graph-canvas").querySelector(`[data-id="${id}"]`);
  found?.focus({ preventScroll: true });
  found?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function choose(id, scroll) {
  if (id === null || id === undefined) return;
  graph.chosen = id;
  for (const node of byId("graph-canvas").querySelectorAll(".chosen")) node.classList.remove("chosen");
  byId("graph-canvas").querySelector(`[data-id="${id}"]`)?.classList.add("chosen");
  const found = entry(id);
  const facts = [["latency", duration(found.latency_s)], ["share", percent(latencyOf(found.latency_s))], ["MACs", si(found.macs)], ["traffic", si(found.traffic_bytes, "B")], ["kernels", String(found.kernels.length)]];
  facts.push(...BOUNDS.filter((bound) => found.bounds[bound]).map((bound) => [`${bound}-bound`, percent(share(found.bounds[bound], found.latency_s))]));
  if (id[0] === "o") facts.unshift(["operator", found.class], ["output", found.shape]);
  else facts.unshift(["operators", String(found.operators)]);
  const dearest = [...found.kernels].sort((a, b) => kernels[b].latency_s - kernels[a].latency_s).slice(0, 6);
  byId("graph-detail").replaceChildren(...[
    make("h3", {}, (id[0] === "m" ? found.path : found.name) || report.model),
    make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    id[0] === "o" && !found.kernels.length && found.class !== "input" ? make("p", { class: "note" }, "starts no kernel: it is part of another one, or nothing moves") : null,
    dearest.length ? make("ol", {}, ...dearest.map((at) => make("li", {}, `${kernels[at].name} ${duration(kernels[at].latency_s)}`))) : null].filter(Boolean));
  if (scroll) byId("graph-canvas").querySelector(`[data-id="${id}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function startGraph() {
  addUp();
  joinFused();
  startState();
  graph.chosen = "m0";
  byId("graph-reset").addEventListener("click", () => { startState(); graph.chosen = "m0"; drawGraph(); });
  byId("graph-dearest").addEventListener("click", () => { const best = openDearest(); if (best >= 0) open(best); });
  onTheme.push(drawGraph);
}
