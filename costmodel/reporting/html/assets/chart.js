// Charts by ECharts in SVG: one for each element, axes, hints, and drawings that scale on paper.
const charts = new Map();

function chart(id, option) {
  let made = charts.get(id);
  if (!made) {
    made = echarts.init(byId(id), null, { renderer: "svg" });
    charts.set(id, made);
    new ResizeObserver(() => { if (!matchMedia("print").matches) made.resize(); }).observe(byId(id));
  }
  made.setOption({ animation: false, textStyle: { fontFamily: "inherit", color: colour("ink") }, ...option }, true);
  return made;
}

// Paper has another width than the window: drawings scale there, which takes a view box.
function scalable() {
  for (const made of charts.values()) {
    made.getDom().querySelector("svg")?.setAttribute("viewBox", `0 0 ${made.getWidth()} ${made.getHeight()}`);
  }
}

onPaper.push(scalable);
addEventListener("beforeprint", scalable);

const axis = (name, extra = {}) => ({
  name, nameLocation: "middle", nameGap: 30, nameTextStyle: { color: colour("soft"), fontSize: 12 },
  axisLabel: { color: colour("soft"), fontSize: 11, hideOverlap: true }, axisLine: { lineStyle: { color: colour("line") } },
  axisTick: { lineStyle: { color: colour("line") } }, splitLine: { lineStyle: { color: colour("faint") } }, minorSplitLine: { show: false }, ...extra,
});

// A name above its axis rather than along it, which leaves the width to the drawing.
const above = (name) => ({ name, nameLocation: "end", nameGap: 12, nameTextStyle: { color: colour("soft"), fontSize: 12, align: "left", padding: [0, 0, 0, -26] } });
const plain = (value) => String(Number(value.toPrecision(6))); // 1200, not 1,200

const tooltip = (formatter, extra = {}) => ({
  trigger: "item", confine: true, backgroundColor: colour("card"), borderColor: colour("line"), textStyle: { color: colour("ink") }, formatter, ...extra,
});

function tip(title, ...lines) {
  return make("div", { class: "tip" }, make("b", {}, title), ...lines.map((line) => make("div", {}, line)));
}
