// The estimate that the page is about, put together again from the page's data.
const names = data.operators.names;
const report = unpack(data);
const kernels = report.kernels;
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

const latencyOf = (seconds) => share(seconds, report.totals.latency_s);

function saveJson() {
  offer(JSON.stringify(report), "application/json", `${report.model.replace(/[^\w.@-]+/g, "_").slice(0, 80)}-${report.device}.json`);
}
