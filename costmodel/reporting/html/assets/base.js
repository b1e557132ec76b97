// Data, numbers as the terminal prints them, elements, and the theme. Names reach the page through textContent only.
const data = JSON.parse(document.getElementById("data").textContent);
const SPACE = "\u00a0"; // figures keep to their units

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
// A probability in percent; what rounds to certainty is not certain.
const chance = (part) => (part > 0.995 && part < 1 ? `>99${SPACE}%` : part < 0.005 && part > 0 ? `<1${SPACE}%` : `${(100 * part).toFixed(0)}${SPACE}%`);
const share = (part, whole) => (whole ? part / whole : 0);
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
const onPaper = []; // what a drawing needs once it is on paper

function redraw() {
  for (const draw of onTheme) draw();
}

// A colour between those of least and most heat, and an ink that stands out from it by 4.5 to 1 at least: black or white, whichever does.
function mixed(part) {
  const [low, high] = ["heat-0", "heat-1"].map((name) => colour(name).match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16)));
  const rgb = low.map((value, at) => value + (high[at] - value) * Math.min(1, part));
  const linear = rgb.map((value) => ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return { fill: `rgb(${rgb.map(Math.round).join(",")})`, ink: light > 0.18 ? "#000000" : "#ffffff" };
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
  matchMedia("print").addEventListener("change", () => { redraw(); for (const step of onPaper) step(); });
  setTheme(THEMES.includes(kept) ? kept : "auto");
}

// A name for a chart: both ends of a long one.
const shortened = (name) => (name.length > 40 ? `${name.slice(0, 16)}…${name.slice(-23)}` : name);

// The last part of a name stays whole, what comes before gives way.
function nameCell(name) {
  const tail = name.length > 24 ? 14 : 0;
  return make("div", { class: "name", title: name }, make("span", {}, name.slice(0, name.length - tail)), make("span", {}, tail ? name.slice(-tail) : ""));
}

// A file of the page's own making, offered for saving.
function offer(text, type, name) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// What every page does last: its theme drawn, its button for paper, and the sign that it is ready.
function startPage() {
  byId("print").addEventListener("click", () => window.print());
  startTheme();
  document.documentElement.dataset.ready = "yes";
}
