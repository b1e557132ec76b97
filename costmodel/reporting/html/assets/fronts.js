// Accuracy against latency, a chart for each target: families as marks, intervals as bars, the front as a staircase with its names.
const hidden = new Set(); // families, by their place
const places = []; // for each chart where a network is: name -> [series, position]
const NAME_FONT = "11px";
// Where the name of a network goes, from the best: pixels from its point, and which corner of the name comes there.
const SPOTS = [[-7, -5, 1, 1], [0, -8, 0.5, 1], [7, -5, 0, 1], [8, 7, 0, 0], [-9, 5, 1, 0.5], [-16, -18, 1, 1], [0, -22, 0.5, 1], [14, 18, 0, 0], [-30, -28, 1, 1], [24, 32, 0, 0], [-46, -14, 1, 1], [-40, -44, 1, 1], [40, 46, 0, 0]];
const TOUCHING = 14; // a name farther from its point than this has a line to it

const seen = (network) => {
  const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  return !hidden.has(network.look) && words.every((word) => `${network.name} ${network.family}`.toLowerCase().includes(word));
};

const standing = (network) => (network.on_front ? `on the front: ${chance(network.probability)}` : network.may_belong ? `may belong to it: ${chance(network.probability)}` : `beaten by ${network.beaten_by}`);
const top1 = (network, digits) => `${network.bound ? `≤${SPACE}` : ""}${digits === undefined ? network.top1 : network.top1.toFixed(digits)}${SPACE}%`;
// Round durations of an axis: 1 s rather than 1000 ms.
const tick = (milliseconds) => (milliseconds >= 1e3 ? `${milliseconds / 1e3}${SPACE}s` : milliseconds >= 1 ? `${milliseconds}${SPACE}ms` : `${Number((milliseconds * 1e3).toPrecision(3))}${SPACE}µs`);

function pointOf(network) {
  const own = tint(data.families[network.look].colour);
  const style = network.on_front ? { color: own, borderColor: colour("ink"), borderWidth: 1.2 } : network.may_belong ? { color: colour("card"), borderColor: own, borderWidth: 1.8 } : { color: own, opacity: 0.45 };
  return { value: [network.latency_s * 1e3, network.top1], network, symbolSize: network.on_front ? 12 : network.may_belong ? 9.5 : 7, itemStyle: style };
}

// Ticks at 1, 2 and 5 of each decade where they are few (more within one decade), at 1 and 3 or at 1 alone where that would crowd the axis, as pictures have them.
function ticks(min, max) {
  const decades = Math.log10(max / min);
  const steps = decades <= 0.7 ? [1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9] : decades <= 2.2 ? [1, 2, 5] : decades <= 3.5 ? [1, 3] : [1];
  const first = Math.floor(Math.log10(min));
  const found = Array.from({ length: Math.ceil(Math.log10(max)) - first + 1 }, (_, at) => steps.map((step) => Number((step * 10 ** (first + at)).toPrecision(3)))).flat();
  return found.filter((value) => value >= min && value <= max);
}

// Bars of intervals as one line with gaps.
function bars(networks, tone, opacity, width) {
  return { type: "line", silent: true, symbol: "none", z: 2, lineStyle: { color: tone, width, opacity }, data: networks.flatMap((network) => [[network.low_s * 1e3, network.top1], [network.high_s * 1e3, network.top1], ["-", "-"]]) };
}

function extent(front) {
  const ends = front.networks.flatMap((network) => [network.low_s * 1e3, network.high_s * 1e3]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const tops = front.networks.map((network) => network.top1);
  const span = Math.max(Math.max(...tops) - Math.min(...tops), 1);
  return { min: low / (high / low) ** 0.1, max: high * (high / low) ** 0.02, least: Math.floor(Math.min(...tops) - 0.04 * span), most: Math.min(100, Math.ceil(Math.max(...tops) + 0.08 * span)) };
}

function drawFront(at) {
  const front = data.fronts[at];
  const { min, max, least, most } = extent(front);
  const shown = front.networks.filter(seen);
  const best = front.networks.filter((network) => network.on_front);
  const choice = byId("intervals").value;
  const stairs = [...best.map((network) => [network.latency_s * 1e3, network.top1]), [max, best.at(-1).top1]];
  const series = [{ type: "line", step: "end", silent: true, symbol: "none", z: 1, lineStyle: { color: colour("ink"), width: 1.2, opacity: 0.8 }, data: stairs }];
  const where = new Map();
  data.families.forEach((family, look) => {
    const own = shown.filter((network) => network.look === look);
    const near = own.filter((network) => network.on_front || network.may_belong);
    if (choice !== "none") series.push(bars(near, tint(family.colour), 0.7, 1.3));
    if (choice === "all") series.push(bars(own.filter((network) => !near.includes(network)), tint(family.colour), 0.22, 1));
    own.forEach((network, position) => where.set(network.name, [series.length, position]));
    series.push({ type: "scatter", name: family.name, symbol: `path://${SHAPES[family.marker]}`, z: 4, emphasis: { scale: 1.5 }, data: own.map(pointOf) });
  });
  series.push({ id: "leaders", type: "line", silent: true, symbol: "none", z: 3, lineStyle: { color: colour("soft"), width: 0.8, opacity: 0.8 }, data: [] });
  series.push({ id: "names", type: "scatter", silent: true, symbolSize: 0.01, z: 6, data: [] });
  places[at] = where;
  const what = front.batch === 1 ? "estimated latency" : `estimated latency of a batch of ${front.batch}`;
  const made = chart(`chart-${at}`, {
    grid: { left: 14, right: 24, top: 34, bottom: 34, containLabel: true },
    xAxis: axis(`${what} (logarithmic)`, { type: "log", min, max, nameGap: 30, axisLabel: { color: colour("soft"), fontSize: 11, hideOverlap: true, customValues: ticks(min, max), formatter: tick }, axisTick: { customValues: ticks(min, max), lineStyle: { color: colour("line") } } }),
    yAxis: axis("", { ...above("published ImageNet top-1 (%)"), type: "value", min: least, max: most, axisLabel: { color: colour("soft"), fontSize: 11, showMinLabel: false, showMaxLabel: false } }),
    dataZoom: [{ type: "inside", xAxisIndex: 0, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, filterMode: "none" }, { type: "inside", yAxisIndex: 0, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, filterMode: "none" }],
    tooltip: tooltip(({ data: { network } = {} }) => network && tip(
      `${network.name}${network.extra ? " †" : ""}`,
      `${duration(network.latency_s)}, ${percent(front.level)} between ${duration(network.low_s)} and ${duration(network.high_s)} (${network.basis})`,
      `top-1 ${top1(network)}, ${network.source}`,
      `${si(network.macs)} MACs, ${si(network.memory_bytes, "B")} of memory`,
      standing(network))),
    series,
  });
  nameFront(made, shown);
  return made;
}

const pen = document.createElement("canvas").getContext("2d");

// Names of the front where they overlap neither each other nor its marks, and neither bars nor what may belong to it if there is room;
// a name that finds no place is in the table.
function nameFront(made, networks) {
  const best = networks.filter((network) => network.on_front);
  const near = networks.filter((network) => network.on_front || network.may_belong);
  pen.font = `${NAME_FONT} system-ui, sans-serif`;
  const inner = made.getModel().getComponent("grid").coordinateSystem.getRect();
  const frame = { left: inner.x + 2, top: inner.y - 10, right: inner.x + inner.width + 20, bottom: inner.y + inner.height - 2 };
  const pixel = (seconds, percent) => made.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [seconds * 1e3, percent]);
  const points = best.map((network) => pixel(network.latency_s, network.top1));
  const inFrame = ([x, y]) => [Math.max(0, Math.min(made.getWidth(), x)), y];
  const lines = points.flatMap(([x, y], at) => {
    const [next, below] = inFrame(points[at + 1] ?? [made.getWidth(), y]);
    return [{ left: x, top: y - 1, right: next, bottom: y + 1 }, { left: next - 1, top: Math.min(y, below), right: next + 1, bottom: Math.max(y, below) }];
  });
  const taken = points.map(([x, y]) => ({ left: x - 6, top: y - 6, right: x + 6, bottom: y + 6 }));
  taken.push(...lines);
  const soft = near.flatMap((network) => {
    const [[low, y], [high], [x]] = [network.low_s, network.high_s, network.latency_s].map((seconds) => pixel(seconds, network.top1));
    const bar = byId("intervals").value === "none" ? [] : [{ left: low, top: y - 1, right: high, bottom: y + 1 }];
    return [...bar, { left: x - 5, top: y - 5, right: x + 5, bottom: y + 5 }];
  });
  const clear = (box, others) => !others.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
  const free = (box) => box.left >= frame.left && box.top >= frame.top && box.right <= frame.right && box.bottom <= frame.bottom && clear(box, taken);
  const found = [];
  const leaders = [];
  best.forEach((network, at) => {
    const text = `${shortened(network.name)}${network.extra ? " †" : ""}`;
    const size = [pen.measureText(text).width + 4, 14];
    const [x, y] = points[at];
    const boxes = SPOTS.map(([dx, dy, right, down]) => {
      const [left, top] = [x + dx - right * size[0], y + dy - down * size[1]];
      return { left, top, right: left + size[0], bottom: top + size[1] };
    }).filter(free);
    const box = boxes.find((place) => clear(place, soft)) ?? boxes[0];
    if (!box) return;
    taken.push(box);
    const end = [Math.max(box.left, Math.min(x, box.right)), Math.max(box.top, Math.min(y, box.bottom))];
    if (Math.hypot(end[0] - x, end[1] - y) > TOUCHING) leaders.push([network.latency_s * 1e3, network.top1], made.convertFromPixel({ xAxisIndex: 0, yAxisIndex: 0 }, end), ["-", "-"]);
    found.push({ value: [network.latency_s * 1e3, network.top1], label: { show: true, formatter: text, position: [box.left - x, box.top - y + 1], align: "left", verticalAlign: "top", fontSize: 11, color: colour("ink"), textBorderColor: colour("card"), textBorderWidth: 2 } });
  });
  const [from, to] = [inner.x, inner.x + inner.width].map((x) => made.convertFromPixel({ xAxisIndex: 0 }, x)); // a zoom has moved them
  const customValues = ticks(from, to);
  made.setOption({ xAxis: { axisLabel: { customValues }, axisTick: { customValues } }, series: [{ id: "names", data: found }, { id: "leaders", data: leaders }] });
}

function startFronts() {
  data.fronts.forEach((front, at) => {
    let waiting = 0;
    const again = () => { if (matchMedia("print").matches) return; clearTimeout(waiting); waiting = setTimeout(() => nameFront(charts.get(`chart-${at}`), front.networks.filter(seen)), 80); };
    onTheme.push(() => {
      const fresh = !charts.has(`chart-${at}`);
      const made = drawFront(at);
      if (!fresh) return;
      made.on("datazoom", again);
      made.getZr().on("dblclick", () => drawFront(at));
      new ResizeObserver(again).observe(byId(`chart-${at}`));
    });
  });
}
