// Data, numbers as the terminal prints them, elements, and the theme. Names reach the page through textContent only.
const data = JSON.parse(document.getElementById("data").textContent);
const names = data.operators.names;
const report = unpack(data);
const kernels = report.kernels;
const SPACE = "\u00a0"; // figures keep to their units
const BOUNDS = ["compute", "memory", "overhead"];

function unpack(source) {
  const { columns, costs, rows } = source.kernels;
  const made = rows.map(([anchor, suffix, operators, cost]) => {
    const kernel = { name: (anchor >= 0 ? names[anchor] : "") + suffix, operators: operators.map((number) => names[number]) };
    columns.forEach((column, position) => { kernel[column] = costs[cost][position]; });
    return kernel;
  });
  return { ...source.report, kernels: made };
}

// The operator that a kernel's time belongs to, as a number; -1 where the runtime alone knows the kernel.
const anchors = data.kernels.rows.map(([anchor, , operators]) => (operators.length ? operators[0] : anchor));

function significant(value, digits = 3) {
  if (!value) return "0";
  if (!Number.isFinite(value) || Math.abs(value) >= 1e15) return value.toExponential(digits - 1);
  const rounded = Number(value.toExponential(digits - 1));
  const exponent = Number(rounded.toExponential().split("e")[1]);
  return exponent >= digits - 1 ? value.toFixed(0) : rounded.toFixed(digits - 1 - exponent);
}

function si(value, unit = "") {
  if (!value) return `0${SPACE}${unit}`.trimEnd();
  const steps = Math.abs(value) >= 1 ? [[1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"], [1e12, "T"], [1e15, "P"], [1e18, "E"]] : [[1e-12, "p"], [1e-9, "n"], [1e-6, "µ"], [1e-3, "m"]];
  let at = 0;
  while (at + 1 < steps.length && Math.abs(value) >= steps[at + 1][0]) at += 1;
  if (at + 1 < steps.length && Math.abs(Number(significant(value / steps[at][0]))) >= 1000) at += 1;
  return `${significant(value / steps[at][0])}${SPACE}${steps[at][1]}${unit}`.trimEnd();
}

const duration = (seconds) => (seconds >= 10 ? `${significant(seconds)}${SPACE}s` : `${significant(seconds * 1e3)}${SPACE}ms`);

function binary(bytes) {
  for (const [scale, unit] of [[1024 ** 4, "TiB"], [1024 ** 3, "GiB"], [1024 ** 2, "MiB"], [1024, "KiB"]]) {
    if (bytes >= scale) return `${significant(bytes / scale)}${SPACE}${unit}`;
  }
  return `${bytes.toFixed(0)}${SPACE}B`;
}

const percent = (part) => (part >= 0.0995 || part === 0 ? `${(100 * part).toFixed(0)}${SPACE}%` : part >= 0.0005 ? `${(100 * part).toFixed(1)}${SPACE}%` : `<0.1${SPACE}%`);
const share = (part, whole) => (whole ? part / whole : 0);
const latencyOf = (seconds) => share(seconds, report.totals.latency_s);
const short = (kind) => kind.replace("-convolution", "");

// An element: attributes by name, functions as listeners, children as text or elements.
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "text", "title", "defs", "marker", "circle", "tspan"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "style") Object.assign(made.style, value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const onTheme = [];

function redraw() {
  for (const draw of onTheme) draw();
}

const THEMES = ["auto", "light", "dark"];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme === "auto" ? "system" : theme}`;
  try { localStorage.setItem("costmodel-theme", theme); } catch { /* files may have no storage */ }
  redraw();
}

function startTheme() {
  let kept = "auto";
  try { kept = localStorage.getItem("costmodel-theme") || "auto"; } catch { /* files may have no storage */ }
  byId("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("print").addEventListener("change", () => { redraw(); scalable(); });
  setTheme(THEMES.includes(kept) ? kept : "auto");
}

function saveJson() {
  const link = make("a", { href: URL.createObjectURL(new Blob([JSON.stringify(report)], { type: "application/json" })), download: `${report.model.replace(/[^\w.@-]+/g, "_").slice(0, 80)}-${report.device}.json` });
  link.click();
  URL.revokeObjectURL(link.href);
}

// The last part of a name stays whole, what comes before gives way.
function nameCell(name) {
  const tail = name.length > 24 ? 14 : 0;
  return make("div", { class: "name", title: name }, make("span", {}, name.slice(0, name.length - tail)), make("span", {}, tail ? name.slice(-tail) : ""));
}
