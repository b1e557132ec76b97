// Marks of families: a shape each, so that nothing hangs on colour alone; in the dark colours are lightened.
const SHAPES = {
  o: "M5 0A5 5 0 1 1 5 10A5 5 0 1 1 5 0Z", s: "M0.7 0.7H9.3V9.3H0.7Z", "^": "M5 0L10 9H0Z", D: "M5 -0.6L10.6 5L5 10.6L-0.6 5Z", v: "M0 1H10L5 10Z",
  P: "M3.2 0H6.8V3.2H10V6.8H6.8V10H3.2V6.8H0V3.2H3.2Z", X: "M2.3 0L5 2.7L7.7 0L10 2.3L7.3 5L10 7.7L7.7 10L5 7.3L2.3 10L0 7.7L2.7 5L0 2.3Z",
  p: "M5 0L10 3.8L8.1 10H1.9L0 3.8Z", "<": "M0 5L9 0V10Z", ">": "M10 5L1 0V10Z",
};

const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";

function tint(hex) {
  if (!isDark()) return hex;
  const rgb = hex.match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16));
  const light = (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) / 255;
  const towards = Math.max(0, 0.72 - light);
  return `rgb(${rgb.map((value) => Math.round(value + (255 - value) * towards)).join(",")})`;
}

function icon(marker, fill, stroke) {
  return make("svg", { width: 13, height: 13, viewBox: "-1.5 -1.5 13 13", "aria-hidden": "true" }, make("path", { d: SHAPES[marker], fill, stroke: stroke ?? "none", "stroke-width": 1.3 }));
}
