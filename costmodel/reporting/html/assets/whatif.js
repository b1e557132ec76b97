// Sliders that look up latencies which Python computed: no formula stands here.
const LABEL_HEIGHT = 15;
const whatif = { peak: 0, bandwidth: 0, batch: 0 };

const atOne = () => data.whatif.factors.indexOf(1);
const ownBatch = () => data.whatif.batches.findIndex((entry) => entry.batch === report.batch);
const times = (factor) => (factor === 1 ? "as it is" : `× ${factor}`);

function result(label, value, note, first = false) {
  return make("div", { class: first ? "first" : undefined }, make("dt", {}, label), make("dd", {}, value, note ? make("small", {}, note) : null));
}

function showWhatif() {
  const { factors, batches } = data.whatif;
  const entry = batches[whatif.batch];
  const seconds = entry.latency_s[whatif.peak][whatif.bandwidth];
  const compute = entry.compute[whatif.peak][whatif.bandwidth];
  const memory = entry.memory[whatif.peak][whatif.bandwidth];
  byId("peak-out").textContent = times(factors[whatif.peak]);
  byId("bandwidth-out").textContent = times(factors[whatif.bandwidth]);
  byId("batch-out").textContent = String(entry.batch);
  for (const [id, text] of [["peak", times(factors[whatif.peak])], ["bandwidth", times(factors[whatif.bandwidth])], ["batch", String(entry.batch)]]) byId(id).setAttribute("aria-valuetext", text);
  const own = share(seconds / entry.batch, report.totals.latency_s / report.batch) - 1;
  const change = Math.abs(own) < 0.0005 ? "as estimated" : `${own > 0 ? "+" : "−"}${(100 * Math.abs(own)).toFixed(1)} % a sample`;
  const rest = Math.max(0, 1 - compute - memory);
  const stack = make("div", { class: "stack", "aria-hidden": "true" }, ...[["compute", compute], ["memory", memory], ["overhead", rest]].map(([bound, part]) => make("i", { style: { width: `${100 * part}%`, background: `var(--${bound})` } })));
  const bounds = result("bound by", compute >= memory && compute >= rest ? `compute ${percent(compute)}` : memory >= rest ? `memory ${percent(memory)}` : `overhead ${percent(rest)}`, `compute ${percent(compute)}, memory ${percent(memory)}, overhead ${percent(rest)}`);
  bounds.append(stack);
  const lines = [result("latency", duration(seconds), change, true), result("throughput", `${significant(share(entry.batch, seconds))} samples/s`)];
  if (entry.batch !== 1) lines.push(result("latency a sample", duration(seconds / entry.batch)));
  lines.push(bounds, result("peak memory", binary(entry.peak_activation_bytes), entry.fits === null ? "" : entry.fits ? "fits" : "does not fit"));
  byId("whatif-results").replaceChildren(...lines);
  drawWhatif();
}

function drawWhatif() {
  const { factors, batches } = data.whatif;
  const table = batches[whatif.batch].latency_s;
  const ends = [table.at(-1)[whatif.bandwidth], table[whatif.peak].at(-1)];
  const missing = Math.max(0, LABEL_HEIGHT - (byId("whatif-chart").clientHeight - 64) * share(Math.abs(ends[0] - ends[1]), Math.max(...table.flat()))) / 2; // pixels that one name has to give way by
  const aside = (at) => (ends[at] >= ends[1 - at] && (at || ends[0] > ends[1]) ? -missing : missing);
  const curve = (name, points, own, tint, symbol, at) => ({
    type: "line", name, symbol, symbolSize: 7, lineStyle: { color: colour(tint), width: 1.8 }, itemStyle: { color: colour(tint) }, data: points.map((value, at) => ({ value: [factors[at], value * 1e3], symbolSize: at === own ? 13 : 6 })),
    endLabel: { show: true, formatter: name, color: colour(tint), fontSize: 11.5, distance: 6, offset: [0, aside(at)] },
  });
  chart("whatif-chart", {
    grid: { left: 12, right: 84, top: 34, bottom: 30, containLabel: true },
    xAxis: axis("times as fast (logarithmic)", { type: "log", min: factors[0], max: factors.at(-1), logBase: 2, splitLine: { show: false }, nameGap: 28 }),
    yAxis: axis("", { ...above("latency"), type: "value", min: 0, axisLabel: { color: colour("soft"), fontSize: 11, formatter: (value) => duration(value / 1e3).replace(/\.0+(?=\s)/, "") } }),
    tooltip: tooltip(({ seriesName, value }) => tip(`${seriesName} ${times(value[0])}`, duration(value[1] / 1e3))),
    series: [
      curve("arithmetic", table.map((row) => row[whatif.bandwidth]), whatif.peak, "compute", "circle", 0),
      curve("bandwidth", table[whatif.peak], whatif.bandwidth, "memory", "diamond", 1),
    ],
  });
}

function resetWhatif() {
  Object.assign(whatif, { peak: atOne(), bandwidth: atOne(), batch: ownBatch() });
  for (const id of ["peak", "bandwidth", "batch"]) byId(id).value = whatif[id];
  showWhatif();
}

function startWhatif() {
  const { factors, batches } = data.whatif;
  for (const [id, length] of [["peak", factors.length], ["bandwidth", factors.length], ["batch", batches.length]]) {
    byId(id).max = length - 1;
    byId(id).addEventListener("input", (event) => { whatif[id] = Number(event.target.value); showWhatif(); });
  }
  byId("batch-line").hidden = batches.length < 2;
  byId("whatif-positions").textContent = `Arithmetic and bandwidth at ${factors.map((factor) => `× ${factor}`).join(", ")}` + (batches.length > 1 ? `; batch ${batches.map((entry) => entry.batch).join(", ")}.` : ".") + " Nothing in between is guessed.";
  byId("sliders").addEventListener("reset", (event) => { event.preventDefault(); resetWhatif(); });
  byId("sliders").addEventListener("submit", (event) => event.preventDefault());
  onTheme.push(drawWhatif);
  resetWhatif();
}
