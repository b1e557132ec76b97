// The rows of the CSV, which the page holds once: a column is a list of cells as the CSV has them, or the different ones and where each stands.
const cell = (column, row) => (column.places ? column.cells[column.places[row]] : column.cells[row]);
const unquoted = (text) => (text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text);
const looks = new Map(data.looks); // family -> the place of its look

function csvText() {
  const columns = Object.values(data.table);
  const rows = Array.from({ length: data.rows }, (_, row) => columns.map((column) => cell(column, row)).join(","));
  return `${[Object.keys(data.table).join(","), ...rows].join("\n")}\n`;
}

function networkOf(row) {
  const text = (name) => unquoted(cell(data.table[name], row));
  const number = (name) => Number(text(name));
  return {
    name: text("network"), family: text("family"), look: looks.get(text("family")) ?? data.families.length - 1, top1: number("top1_percent"), bound: text("top1_is_upper_bound") === "True",
    latency_s: number("latency_s"), low_s: number("latency_low_s"), high_s: number("latency_high_s"), basis: text("interval_basis"), macs: number("macs"), memory_bytes: number("memory_bytes"),
    on_front: text("on_front") === "True", may_belong: text("may_belong") === "True", probability: number("probability_on_front"), beaten_by: text("beaten_by"),
    extra: text("top1_extra_data") === "True", source: text("top1_source"),
  };
}

for (const front of data.fronts) front.networks = Array.from({ length: front.rows }, (_, at) => networkOf(front.first + at));
