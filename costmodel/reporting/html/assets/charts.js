// Roofline and memory over time.
const SYMBOLS = { compute: "circle", memory: "diamond", overhead: "triangle" };

// Kernels of equal cost are one mark, so that thousands stay quick.
function marks() {
  const groups = new Map();
  for (const kernel of kernels) {
    if (!kernel.flops || !kernel.traffic_bytes || !kernel.latency_s) continue;
    const key = [kernel.kind, kernel.bound, kernel.flops, kernel.traffic_bytes, kernel.latency_s].join();
    const group = groups.get(key);
    if (group) group.number += 1;
    else groups.set(key, { kernel, number: 1 });
  }
  return [...groups.values()].sort((a, b) => b.number * b.kernel.latency_s - a.number * a.kernel.latency_s);
}

function ceilings(least, most) {
  const { peaks, levels } = data.ceilings;
  const top = Math.max(...peaks.map((peak) => peak.flops_per_s));
  const lines = peaks.map((peak) => {
    const from = peak.flops_per_s / Math.max(...levels.map((level) => level.bytes_per_s));
    return { name: `${peak.dtypes.join(", ")} ${si(peak.flops_per_s, "FLOP/s")}`, points: [[Math.max(from, least), peak.flops_per_s], [most, peak.flops_per_s]], type: "solid", own: peak.flops_per_s === data.ceilings.dtype_peak };
  });
  for (const level of levels) {
    const end = Math.min(top / level.bytes_per_s, most);
    lines.push({ name: `${level.name} ${si(level.bytes_per_s, "B/s")}`, points: [[least, least * level.bytes_per_s], [end, end * level.bytes_per_s]], slanted: true, type: "dashed", own: level === levels.at(-1) });
  }
  return lines;
}

function drawRoofline() {
  const found = marks();
  const intensities = found.map(({ kernel }) => kernel.flops / kernel.traffic_bytes);
  const main = data.ceilings.levels.at(-1).bytes_per_s;
  const least = 0.5 * Math.min(...intensities, 0.3);
  const most = 2 * Math.max(...intensities, (2 * data.ceilings.dtype_peak) / main);
  const rates = found.map(({ kernel }) => kernel.flops / kernel.latency_s);
  const low = 0.5 * Math.min(...rates, least * main);
  const high = 2 * Math.max(...rates, ...data.ceilings.peaks.map((peak) => peak.flops_per_s));
  const total = found.reduce((sum, { kernel, number }) => sum + number * kernel.latency_s, 0);
  const { clientWidth, clientHeight } = byId("roofline-chart");
  const ink = 0.1 * clientWidth * clientHeight; // pixels that all marks together cover
  const late = least * (most / least) ** 0.65; // a line that begins to the right of this has its label at its end
  const slant = (Math.atan(((clientHeight - 82) / Math.log(high / low)) / ((clientWidth - 110) / Math.log(most / least))) * 180) / Math.PI;
  const series = ceilings(least, most).map((line) => ({
    type: "line", data: line.points, symbol: "none", silent: true, z: 1, lineStyle: { color: colour(line.own ? "ink" : "soft"), width: line.own ? 2 : 1.2, type: line.type },
    markPoint: {
      symbol: "rect", symbolSize: 0.01, silent: true, data: [{ coord: line.points[line.points[0][0] > late ? 1 : 0] }],
      label: { show: true, formatter: line.name, color: colour(line.own ? "ink" : "soft"), fontSize: 11, align: line.points[0][0] > late ? "right" : "left", verticalAlign: "bottom", textBorderColor: colour("card"), textBorderWidth: 3, position: [line.points[0][0] > late ? -4 : 4, line.slanted ? -11 : -6], rotate: line.slanted ? slant : 0 },
    },
  }));
  for (const bound of BOUNDS) {
    series.push({
      type: "scatter", name: bound, symbol: SYMBOLS[bound], z: 3, itemStyle: { color: colour(bound), opacity: 0.62, borderColor: colour("card"), borderWidth: 0.8 },
      emphasis: { itemStyle: { opacity: 1 } },
      data: found.filter(({ kernel }) => kernel.bound === bound).map((group) => ({ value: [group.kernel.flops / group.kernel.traffic_bytes, group.kernel.flops / group.kernel.latency_s], group, symbolSize: Math.min(48, Math.max(5, Math.sqrt(ink * share(group.number * group.kernel.latency_s, total)))) })),
    });
  }
  const log = (name, min, max, unit, gap) => axis(name, { type: "log", min, max, nameGap: gap, axisLabel: { color: colour("soft"), fontSize: 11, hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter: (value) => (unit ? si(value, unit).replace(/\.0+\s/, SPACE) : String(Number(value.toPrecision(3)))) } });
  chart("roofline-chart", {
    grid: { left: 12, right: 16, top: 34, bottom: 30, containLabel: true },
    xAxis: log("arithmetic intensity (FLOP/byte, logarithmic)", least, most, "", 28),
    yAxis: { ...log("", low, high, "FLOP/s", 0), ...above("reached FLOP/s (logarithmic)") },
    tooltip: tooltip(({ data: { group } = {} }) => group && tip(
      group.number > 1 ? `${group.kernel.name} and ${group.number - 1} equal` : group.kernel.name,
      `${short(group.kernel.kind)}, bound by ${group.kernel.bound}`,
      `${duration(group.number * group.kernel.latency_s)}, ${percent(latencyOf(group.number * group.kernel.latency_s))} of the latency`,
      `${si(group.kernel.flops / group.kernel.latency_s, "FLOP/s")} at ${significant(group.kernel.flops / group.kernel.traffic_bytes)} FLOP/byte`,
      `${percent(group.kernel.utilisation)} of the peak`)),
    series,
  });
  const without = kernels.filter((kernel) => !kernel.flops || !kernel.traffic_bytes || !kernel.latency_s);
  const seconds = without.reduce((sum, kernel) => sum + kernel.latency_s, 0);
  byId("roofline-note").textContent = `${kernels.length - without.length} kernels as ${found.length} marks, equal ones together.` + (without.length ? ` ${without.length} kernels compute nothing or move nothing (${percent(latencyOf(seconds))} of the latency) and have no place here.` : "") + (found.some(({ kernel }) => kernel.flops / kernel.latency_s > (1.05 * main * kernel.flops) / kernel.traffic_bytes) ? " Marks above the line of the memory read and write on chip." : "");
}

function drawLegend() {
  const shapes = { compute: ["circle", { cx: 6, cy: 6, r: 5 }], memory: ["path", { d: "M6 0L12 6L6 12L0 6Z" }], overhead: ["path", { d: "M6 1L12 11L0 11Z" }] };
  const totals = Object.fromEntries(BOUNDS.map((bound) => [bound, 0]));
  for (const kernel of kernels) totals[kernel.bound] += kernel.latency_s;
  const items = BOUNDS.filter((bound) => totals[bound] > 0).map((bound) => {
    const [tag, attributes] = shapes[bound];
    return make("li", {}, make("svg", { width: 12, height: 12, "aria-hidden": "true" }, make(tag, { ...attributes, style: { fill: `var(--${bound})` } })), `${bound}-bound ${percent(latencyOf(totals[bound]))}`);
  });
  byId("roofline-legend").replaceChildren(...items);
}

function drawMemory() {
  const live = data.memory.live_bytes;
  let clock = 0;
  const points = kernels.map((kernel, at) => {
    const start = clock;
    clock += kernel.latency_s;
    return { value: [start * 1e3, live[at]], at };
  });
  if (points.length) points.push({ value: [clock * 1e3, live.at(-1)], at: points.length - 1 });
  const peakAt = data.memory.peak_at;
  const step = 2 ** Math.round(Math.log2(Math.max(...live, 1) / 5));
  chart("memory-chart", {
    grid: { left: 12, right: 18, top: 34, bottom: 30, containLabel: true },
    xAxis: axis("time in kernels (ms)", { type: "value", max: clock * 1e3, splitLine: { show: false }, nameGap: 28, axisLabel: { color: colour("soft"), fontSize: 11, hideOverlap: true, showMaxLabel: false, formatter: plain } }),
    yAxis: axis("", { ...above("live activations"), type: "value", interval: step, max: step * Math.ceil(1.05 * Math.max(...live, 1) / step), axisLabel: { color: colour("soft"), fontSize: 11, formatter: (value) => (value ? binary(value).replace(/\.0+\s/, SPACE) : "0") } }),
    tooltip: tooltip(([{ data: { at } }]) => tip(kernels[at].name, `${binary(live[at])} live`, `${short(kernels[at].kind)}, ${duration(kernels[at].latency_s)}`), { trigger: "axis", axisPointer: { lineStyle: { color: colour("soft") } } }),
    series: [{
      type: "line", step: "end", data: points, symbol: "none", lineStyle: { color: colour("accent"), width: 1.4 }, areaStyle: { color: colour("accent"), opacity: 0.18 },
      markPoint: points.length ? { silent: true, symbol: "circle", symbolSize: 9, itemStyle: { color: colour("memory") }, data: [{ coord: points[peakAt].value }], label: { show: true, formatter: `peak ${binary(live[peakAt])}`, position: "top", align: points[peakAt].value[0] > 850 * clock ? "right" : points[peakAt].value[0] < 150 * clock ? "left" : "center", color: colour("ink"), distance: 7 } } : undefined,
    }],
  });
}

function drawPeak() {
  const { peak_at: at, at_peak: alive, others } = data.memory;
  if (!kernels.length) return;
  const rows = alive.map((buffer) => make("tr", {}, make("td", { class: "num" }, binary(buffer.nbytes)), make("td", {}, buffer.name)));
  byId("memory-peak").replaceChildren(make("details", { class: "peak" }, make("summary", {}, `${alive.length + others} tensors live at the peak`), make("p", { class: "note" }, `at ${kernels[at].name}`), make("table", {}, make("tbody", {}, ...rows)), others ? make("p", { class: "note" }, `and ${others} smaller ones`) : null));
}

function startCharts() {
  drawLegend();
  drawPeak();
  onTheme.push(drawRoofline, drawMemory);
}
