// The networks of each chart as a table: sorted by a heading; a name shows its mark.
const FRONT_COLUMNS = [
  { key: "name", label: "network", text: true },
  { key: "top1", label: "top-1", show: (value, network) => top1(network, 1) },
  { key: "latency_s", label: "latency", show: duration },
  { key: "high_s", label: "interval", show: (value, network) => `${duration(network.low_s)} to ${duration(value)}` },
  { key: "probability", label: "standing", show: (value, network) => standing(network), left: true },
  { key: "family", label: "family", text: true, optional: true },
  { key: "macs", label: "MACs", show: (value) => si(value), optional: true },
  { key: "memory_bytes", label: "memory", show: (value) => si(value, "B"), optional: true },
];
const sorts = data.fronts.map(() => ({ key: "latency_s", down: false }));
const rank = (network) => (network.on_front ? 2 : network.may_belong ? 1 : 0) + network.probability;

function point(at, name) {
  const [seriesIndex, dataIndex] = places[at].get(name);
  byId(`chart-${at}`).scrollIntoView({ block: "nearest" });
  charts.get(`chart-${at}`).dispatchAction({ type: "showTip", seriesIndex, dataIndex });
}

function drawTable(at) {
  const { key, down } = sorts[at];
  const value = (network) => (key === "probability" ? rank(network) : network[key]);
  const { text } = FRONT_COLUMNS.find((column) => column.key === key);
  const rows = data.fronts[at].networks.filter(seen).sort((a, b) => (down ? -1 : 1) * (text ? String(a[key]).localeCompare(String(b[key]), "en", { numeric: true }) : value(a) - value(b)));
  const where = byId(`table-${at}`);
  const kind = (column) => `${column.text || column.left ? "" : "num"}${column.optional ? " optional" : ""}`.trim() || undefined;
  where.tHead.replaceChildren(make("tr", {}, ...FRONT_COLUMNS.map((column, place) => make("th", { scope: "col", class: kind(column), "aria-sort": column.key === key ? (down ? "descending" : "ascending") : undefined },
    make("button", { type: "button", click: () => { sorts[at] = { key: column.key, down: column.key === key ? !down : !column.text && column.key !== "latency_s" }; drawTable(at); where.tHead.rows[0].cells[place].querySelector("button").focus(); } }, column.label, column.key === key ? (down ? " ▾" : " ▴") : "")))));
  where.tBodies[0].replaceChildren(...rows.map((network) => make("tr", { class: network.on_front ? "on" : network.may_belong ? "may" : undefined }, ...FRONT_COLUMNS.map((column) => {
    if (column.key === "name") return make("th", { scope: "row" }, make("button", { type: "button", click: () => point(at, network.name) }, `${network.name}${network.extra ? " †" : ""}`));
    return make("td", { class: kind(column) }, column.show ? column.show(network[column.key], network) : network[column.key]);
  }))));
}

function drawKeys() {
  byId("families").replaceChildren(...data.families.map((family, look) => make("li", {}, make("button", { type: "button", title: family.name, "aria-pressed": hidden.has(look) ? "false" : "true", click: () => { if (!hidden.delete(look)) hidden.add(look); refresh(); byId("families").children[look].querySelector("button").focus(); } }, icon(family.marker, tint(family.colour)), shortened(family.name)))));
  byId("key").replaceChildren(...[
    ["on the front", icon("o", colour("soft"), colour("ink"))], ["may belong to it", icon("o", colour("card"), colour("soft"))], ["beaten", icon("o", colour("line"))],
    [`bar: ${percent(data.fronts[0].level)} interval`, make("svg", { width: 22, height: 13, "aria-hidden": "true" }, make("path", { d: "M0 6.5H22", stroke: colour("soft"), "stroke-width": 1.5 }))],
    ["staircase: the best within each latency", make("svg", { width: 22, height: 13, "aria-hidden": "true" }, make("path", { d: "M1 11H9V3H21", stroke: colour("ink"), fill: "none", "stroke-width": 1.3 }))],
  ].map(([text, mark]) => make("li", {}, mark, text)));
  byId("all-families").textContent = hidden.size ? "Show all families" : "Hide all families";
  const every = data.fronts[0].networks;
  byId("front-status").textContent = `${every.filter(seen).length} of ${every.length} networks`;
}

function refresh() {
  redraw();
}

function startTables() {
  let waiting = 0;
  byId("find").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 80); });
  byId("intervals").addEventListener("change", refresh);
  byId("all-families").addEventListener("click", () => { if (hidden.size) hidden.clear(); else data.families.forEach((family, look) => hidden.add(look)); refresh(); });
  byId("front-controls").addEventListener("submit", (event) => event.preventDefault());
  onTheme.push(drawKeys, () => data.fronts.forEach((front, at) => drawTable(at)));
}
