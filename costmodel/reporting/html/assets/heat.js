// The heat map: what its cells show, how they are coloured, and the order of its rows.
const BASIS_MARKS = { calibrated: "", transferred: "~", datasheet: "?" };
const BASIS_WORDS = { transferred: "~ constants carried over from a relative", datasheet: "? rests on an assumption or a single network" };
const several = data.networks.length > 1;
const between = (low, high, show) => `${show(low)} to ${show(high)}`;

// What a cell can show: the figure, its text, and what stands below it.
const MEASURES = {
  latency: { label: "latency", of: (cell) => cell.latency_s, text: (cell) => `${duration(cell.latency_s)}${SPACE}${BASIS_MARKS[cell.basis]}`.trim(), note: (cell) => between(cell.low_s, cell.high_s, duration), show: duration },
  ratio: { label: several ? "time against the first network" : "time against the first device", of: (cell) => cell.ratio, text: (cell) => (cell.faster === null ? "the first" : `${significant(cell.ratio)}${SPACE}x`), note: (cell) => (cell.faster === null ? duration(cell.latency_s) : `${between(cell.ratio_low, cell.ratio_high, significant)}; faster: ${chance(cell.faster)}`), show: (value) => `${significant(value)}${SPACE}x` },
  throughput: { label: "throughput", of: (cell) => cell.samples_per_s, text: (cell) => `${significant(cell.samples_per_s)}/s`, note: () => "samples", show: (value) => `${significant(value)}/s` },
  memory: { label: "peak memory of activations", of: (cell) => cell.peak_activation_bytes, text: (cell) => binary(cell.peak_activation_bytes), note: (cell) => (cell.fits === null ? "" : cell.fits ? "fits" : "does not fit"), show: binary },
  energy: { label: "energy", of: (cell) => cell.energy_j, text: (cell) => (cell.energy_j === null ? "not known" : si(cell.energy_j, "J")), note: () => "", show: (value) => si(value, "J") },
};
const map = { sort: -1, down: false };

const measure = () => MEASURES[byId("measure").value];
const logs = (cells) => cells.map((cell) => measure().of(cell)).filter((value) => value > 0).map(Math.log);

// The cells that share a scale with one.
function peers(row, column) {
  const scope = byId("scope").value;
  if (scope === "device") return data.cells.map((cells) => cells[column]);
  return scope === "network" ? data.cells[row] : data.cells.flat();
}

// Where a figure stands between the least and the most of its peers, in the logarithm.
function heat(row, column) {
  const value = measure().of(data.cells[row][column]);
  const found = logs(peers(row, column));
  const [least, most] = [Math.min(...found), Math.max(...found)];
  return value > 0 && most > least ? (Math.log(value) - least) / (most - least) : 0;
}

function ordered() {
  const rows = data.networks.map((name, row) => row);
  if (map.sort < 0) return map.down ? rows.reverse() : rows;
  const value = (row) => measure().of(data.cells[row][map.sort]) ?? 0;
  return rows.sort((a, b) => (map.down ? -1 : 1) * (value(a) - value(b)) || a - b);
}

function mapHead() {
  const cells = ["network", ...data.devices].map((label, at) => make("th", { scope: "col", class: at ? "num" : undefined, "aria-sort": map.sort === at - 1 && (at || map.down) ? (map.down ? "descending" : "ascending") : undefined },
    make("button", { type: "button", click: () => { map.down = map.sort === at - 1 && !map.down; map.sort = at - 1; drawMap(); byId("map-table").tHead.rows[0].cells[at].querySelector("button").focus(); } }, label, map.sort === at - 1 && (at || map.down) ? (map.down ? " ▾" : " ▴") : "")));
  byId("map-table").tHead.replaceChildren(make("tr", {}, ...cells));
}

const counts = [...byId("map-table").tBodies[0].rows].map((row) => [...row.cells[0].childNodes].map((node) => node.textContent));

function drawMap() {
  const chosen = measure();
  const rows = ordered().map((row) => make("tr", {},
    make("th", { scope: "row" }, counts[row][0], make("small", {}, counts[row][1])),
    ...data.cells[row].map((cell, column) => {
      const { fill, ink } = mixed(heat(row, column));
      const parts = [make("b", {}, chosen.text(cell)), make("small", {}, chosen.note(cell))];
      if (cell.unmodelled) parts.push(make("small", {}, `${cell.unmodelled} kernels without a cost`));
      return make("td", { class: "num", style: { background: fill, color: ink } }, ...parts);
    })));
  byId("map-table").tBodies[0].replaceChildren(...rows);
  mapHead();
  const every = data.cells.flat().map(chosen.of).filter((value) => value > 0);
  const shared = byId("scope").value === "all" || (byId("scope").value === "device" ? data.devices.length : data.networks.length) === 1;
  byId("scale-low").textContent = shared && every.length ? chosen.show(Math.min(...every)) : "least";
  byId("scale-high").textContent = shared && every.length ? chosen.show(Math.max(...every)) : "most";
  byId("map-caption").textContent = `${chosen.label} of networks by devices`;
  const bases = [...new Set(data.cells.flat().map((cell) => cell.basis))].filter((basis) => BASIS_WORDS[basis]);
  byId("map-note").textContent = ["Colours are logarithmic", ...bases.map((basis) => BASIS_WORDS[basis])].join("; ") + ".";
}

function startMap() {
  byId("measure").append(...Object.entries(MEASURES).filter(([name]) => (name !== "energy" || data.cells.flat().some((cell) => cell.energy_j !== null)) && (name !== "ratio" || data.cells.flat().length > 1)).map(([name, { label }]) => make("option", { value: name }, label)));
  if (!several) byId("scope").value = "all";
  for (const id of ["measure", "scope"]) byId(id).addEventListener("change", drawMap);
  byId("map-controls").addEventListener("submit", (event) => event.preventDefault());
  onTheme.push(drawMap);
}
