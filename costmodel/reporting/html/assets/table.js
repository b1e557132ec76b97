// The table of kernels: sorted by a heading, filtered, folded by module or kind; rows are made as they scroll into view.
const COLUMNS = [
  { key: "name", label: "kernel", text: true },
  { key: "kind", label: "kind", text: true, optional: true },
  { key: "latency_s", label: "latency", show: duration, adds: true },
  { key: "share", label: "share" },
  { key: "bound", label: "bound", text: true },
  { key: "macs", label: "MACs", show: si, adds: true, optional: true },
  { key: "flops", label: "FLOPs", show: si, adds: true, optional: true },
  { key: "traffic_bytes", label: "traffic", show: (value) => si(value, "B"), adds: true, optional: true },
  { key: "intensity", label: "FLOP/byte", show: significant, optional: true },
  { key: "utilisation", label: "of peak", show: percent, optional: true },
  { key: "basis", label: "rests on", text: true, optional: true },
];
const CHUNK = 150;
const table = { sort: "latency_s", down: true, open: new Set(), shown: [], made: 0 };

function tableRows() {
  const largest = Math.max(...kernels.map((kernel) => kernel.latency_s), 0);
  return kernels.map((kernel, at) => ({ ...kernel, at, share: kernel.latency_s, largest, intensity: share(kernel.flops, kernel.traffic_bytes), module: anchors[at] >= 0 ? data.operators.modules[anchors[at]] : 0, hay: `${kernel.name} ${kernel.kind} ${kernel.operators.join(" ")}`.toLowerCase() }));
}

let allRows = [];

function passing() {
  const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = byId("kind").value;
  const bound = byId("bound").value;
  return allRows.filter((row) => (!kind || row.kind === kind) && (!bound || row.bound === bound) && words.every((word) => row.hay.includes(word)));
}

function ordered(rows) {
  const { sort, down } = table;
  const sign = down ? -1 : 1;
  const text = COLUMNS.find((column) => column.key === sort)?.text;
  if (sort === "order") return rows;
  return [...rows].sort((a, b) => sign * (text ? String(a[sort]).localeCompare(String(b[sort]), "en", { numeric: true }) : a[sort] - b[sort]) || a.at - b.at);
}

function summed(label, key, depth, rows) {
  const group = { group: true, key, depth, name: label, at: rows[0].at, count: rows.length, largest: rows[0].largest, kind: "", basis: "", bound: "" };
  for (const column of COLUMNS) if (column.adds) group[column.key] = rows.reduce((sum, row) => sum + row[column.key], 0);
  group.share = group.latency_s;
  group.intensity = share(group.flops, group.traffic_bytes);
  group.utilisation = share(rows.reduce((sum, row) => sum + row.utilisation * row.latency_s, 0), group.latency_s);
  const bounds = Object.fromEntries(BOUNDS.map((bound) => [bound, 0]));
  for (const row of rows) bounds[row.bound] += row.latency_s;
  group.bound = BOUNDS.reduce((best, bound) => (bounds[bound] > bounds[best] ? bound : best));
  return group;
}

// Module of every row at a depth: the chain of its modules from the network down.
function chain(module) {
  const found = [];
  for (let at = module; at > 0; at = data.modules[at].parent) found.unshift(at);
  return found;
}

function foldedBy(rows, fold) {
  const lines = [];
  function level(part, depth, prefix) {
    const groups = new Map();
    const own = [];
    for (const row of part) {
      const step = fold === "kind" ? (depth === 0 ? row.kind : undefined) : row.chain[depth];
      if (step === undefined) own.push(row);
      else if (groups.has(step)) groups.get(step).push(row);
      else groups.set(step, [row]);
    }
    const made = [...groups].map(([step, inside]) => ({ ...summed(fold === "kind" ? step : data.modules[step].path, `${prefix}/${step}`, depth, inside), inside }));
    for (const line of ordered([...made, ...own.map((row) => ({ ...row, depth }))])) {
      lines.push(line);
      if (line.group && table.open.has(line.key)) level(line.inside, depth + 1, line.key);
    }
  }
  level(rows, 0, "");
  return lines;
}

function cellsOf(line) {
  return COLUMNS.map((column) => {
    const classes = [column.text ? "" : "num", column.optional ? "optional" : ""].filter(Boolean).join(" ");
    if (column.key === "name") return nameOf(line);
    if (column.key === "share") {
      const width = `${(100 * share(line.latency_s, line.group ? report.totals.latency_s : line.largest)).toFixed(1)}%`;
      return make("td", { class: "num" }, percent(latencyOf(line.latency_s)), make("span", { class: "sharebar", "aria-hidden": "true" }, make("i", { style: { width } })));
    }
    if (column.key === "bound") return make("td", {}, make("span", { class: `bound ${line.bound}` }, line.bound));
    const value = line[column.key];
    return make("td", { class: classes }, column.text ? short(String(value)) : column.adds && !value ? "–" : column.show(value));
  });
}

function nameOf(line) {
  const indent = { paddingLeft: `${10 + 16 * (line.depth || 0)}px` };
  if (!line.group) return make("th", { scope: "row", style: indent }, nameCell(line.name));
  const open = table.open.has(line.key);
  const toggle = () => {
    if (open) table.open.delete(line.key);
    else table.open.add(line.key);
    fill(line.key);
  };
  const label = `${open ? "▾" : "▸"} ${line.name || "network"}`;
  return make("th", { scope: "row", style: indent }, make("button", { type: "button", "aria-expanded": String(open), "data-key": line.key, title: line.name, click: toggle }, label, make("span", { class: "optional" }, ` (${line.count})`)));
}

function more() {
  const body = byId("kernel-table").tBodies[0];
  const next = table.shown.slice(table.made, table.made + CHUNK);
  body.append(...next.map((line) => make("tr", { class: line.group ? "group" : undefined }, ...cellsOf(line))));
  table.made += next.length;
}

function fill(focus) {
  const rows = passing();
  const fold = byId("fold").value;
  table.shown = fold ? foldedBy(rows, fold) : ordered(rows);
  table.made = 0;
  byId("kernel-table").tBodies[0].replaceChildren();
  more();
  byId("open-all").hidden = !fold;
  const seconds = rows.reduce((sum, row) => sum + row.latency_s, 0);
  byId("table-status").textContent = `${rows.length} of ${kernels.length} kernels, ${duration(seconds)}, ${percent(latencyOf(seconds))} of the latency`;
  byId("table-note").textContent = table.shown.length > CHUNK ? `Rows appear as you scroll; print shows the first 40 in this order.` : "";
  heads();
  if (focus !== undefined) [...document.querySelectorAll("#kernel-table [data-key]")].find((button) => button.dataset.key === focus)?.focus({ preventScroll: true });
}

function heads() {
  const cells = COLUMNS.map((column) => {
    const active = table.sort === column.key;
    const sort = () => {
      if (active) table.down = !table.down;
      else { table.sort = column.key; table.down = !column.text; }
      fill();
      byId("kernel-table").tHead.querySelector("[aria-sort] button")?.focus({ preventScroll: true });
    };
    const classes = [column.text ? "" : "num", column.optional ? "optional" : ""].filter(Boolean).join(" ");
    return make("th", { scope: "col", class: classes, "aria-sort": active ? (table.down ? "descending" : "ascending") : undefined }, make("button", { type: "button", click: sort }, `${column.label}${active ? (table.down ? " ↓" : " ↑") : ""}`));
  });
  byId("kernel-table").tHead.replaceChildren(make("tr", {}, ...cells));
}

function openAll() {
  const fold = byId("fold").value;
  const keys = new Set();
  for (const row of passing()) {
    let key = "";
    for (const step of fold === "kind" ? [row.kind] : row.chain) keys.add((key += `/${step}`));
  }
  const every = [...keys].every((key) => table.open.has(key));
  table.open = every ? new Set() : keys;
  byId("open-all").textContent = every ? "Open all" : "Close all";
  fill();
}

function startTable() {
  allRows = tableRows();
  const chains = new Map();
  for (const row of allRows) {
    if (!chains.has(row.module)) chains.set(row.module, chain(row.module));
    row.chain = chains.get(row.module);
  }
  const kinds = [...new Set(kernels.map((kernel) => kernel.kind))].sort();
  byId("kind").append(...kinds.map((kind) => make("option", { value: kind }, short(kind))));
  let waiting = 0;
  byId("find").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(fill, 60); });
  for (const id of ["kind", "bound"]) byId(id).addEventListener("change", () => fill());
  byId("fold").addEventListener("change", () => { table.open = new Set(); byId("open-all").textContent = "Open all"; fill(); });
  byId("open-all").addEventListener("click", openAll);
  byId("table-controls").addEventListener("submit", (event) => event.preventDefault());
  const box = byId("table-scroll");
  box.addEventListener("scroll", () => { if (box.scrollTop + box.clientHeight > box.scrollHeight - 600 && table.made < table.shown.length) more(); }, { passive: true });
  fill();
}
