// Two networks side by side: differences by kind, and every kernel with its counterpart; rows are made as they scroll into view.
const CHUNK = 150;
const PRINTED = 40; // as the style sheet says
const signed = (seconds) => `${seconds < 0 ? "−" : "+"}${duration(Math.abs(seconds))}`;
const pairs = { shown: [], made: 0, largest: 0 };

// A bar from the middle: to the right where the second takes longer.
function bar(seconds, largest) {
  const half = 50 * share(Math.abs(seconds), largest);
  return make("div", { class: "versus", "aria-hidden": "true" }, make("i", { class: seconds < 0 ? "less" : "more", style: { width: `${half}%`, left: `${seconds < 0 ? 50 - half : 50}%` } }));
}

function head(id, ...labels) {
  byId(id).tHead.replaceChildren(make("tr", {}, ...labels.map((label, at) => make("th", { scope: "col", class: at && at < 4 ? "num" : at > 4 ? "optional" : undefined }, label || make("span", { class: "hidden" }, "difference as a bar")))));
}

function drawKinds() {
  const [first, second] = data.sides;
  head("kind-table", "kind of kernel", first, second, "difference", "", "kernels");
  const found = data.kinds.filter((change) => change.first_s || change.second_s).sort((a, b) => Math.abs(b.difference_s) - Math.abs(a.difference_s));
  const largest = Math.max(...found.map((change) => Math.abs(change.difference_s)), 0);
  const sums = ["first_s", "second_s", "difference_s"].map((key) => found.reduce((sum, change) => sum + change[key], 0));
  const rows = found.map((change) => make("tr", {},
    make("th", { scope: "row" }, change.name.replace("_", " ")), make("td", { class: "num" }, duration(change.first_s)), make("td", { class: "num" }, duration(change.second_s)),
    make("td", { class: "num" }, signed(change.difference_s)), make("td", { class: "bars" }, bar(change.difference_s, largest)),
    make("td", { class: "optional" }, change.first_kernels || change.second_kernels ? `${change.first_kernels} and ${change.second_kernels}` : "outside kernels")));
  rows.push(make("tr", { class: "sum" }, make("th", { scope: "row" }, "together"), ...sums.map((sum, at) => make("td", { class: "num" }, at === 2 ? signed(sum) : duration(sum))), make("td"), make("td", { class: "optional" })));
  byId("kind-table").tBodies[0].replaceChildren(...rows);
}

function pairRow({ first, second, by, difference }) {
  const same = first && second && first[0] === second[0];
  const label = same ? nameCell(first[0]) : make("div", { class: "both" }, first ? nameCell(first[0]) : make("span", { class: "none" }, "none"), second ? nameCell(second[0]) : make("span", { class: "none" }, "none"));
  const kinds = [...new Set([first, second].filter(Boolean).map((kernel) => short(kernel[1])))].join(" / ");
  return make("tr", {}, make("th", { scope: "row" }, label), make("td", { class: "num" }, first ? duration(first[3]) : "–"), make("td", { class: "num" }, second ? duration(second[3]) : "–"),
    make("td", { class: "num" }, difference ? signed(difference) : "0"), make("td", { class: "bars" }, bar(difference, pairs.largest)), make("td", { class: "optional" }, kinds), make("td", { class: "optional" }, by));
}

function morePairs() {
  const part = pairs.shown.slice(pairs.made, pairs.made + CHUNK);
  byId("pair-table").tBodies[0].append(...part.map(pairRow));
  pairs.made += part.length;
}

function drawPairs() {
  const words = byId("pair-find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const by = byId("pair-by").value;
  const every = data.pairs.map(([first, second, common]) => ({ first, second, by: common, difference: (second?.[3] ?? 0) - (first?.[3] ?? 0), hay: [first, second].filter(Boolean).map((kernel) => `${kernel[0]} ${kernel[1]}`).join(" ").toLowerCase() }));
  pairs.largest = Math.max(...every.map((pair) => Math.abs(pair.difference)), 0);
  pairs.shown = every.filter((pair) => (!by || pair.by === by) && words.every((word) => pair.hay.includes(word)));
  if (byId("pair-order").value === "difference") pairs.shown.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference));
  pairs.made = 0;
  byId("pair-table").tBodies[0].replaceChildren();
  const sum = pairs.shown.reduce((total, pair) => total + pair.difference, 0);
  byId("pair-note").textContent = pairs.shown.length > PRINTED ? `Rows appear as you scroll; print shows the first ${PRINTED} in this order.` : "";
  byId("pair-status").textContent = `${pairs.shown.length} of ${every.length} pairs, ${sum ? signed(sum) : "no difference"}`;
  morePairs();
}

function startPairs() {
  if (!data.sides) return;
  drawKinds();
  head("pair-table", "kernel", ...data.sides, "difference", "", "kind", "matched by");
  let waiting = 0;
  byId("pair-find").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(drawPairs, 60); });
  for (const id of ["pair-order", "pair-by"]) byId(id).addEventListener("change", drawPairs);
  byId("pair-controls").addEventListener("submit", (event) => event.preventDefault());
  const box = byId("pair-scroll");
  box.addEventListener("scroll", () => { if (box.scrollTop + box.clientHeight > box.scrollHeight - 600 && pairs.made < pairs.shown.length) morePairs(); }, { passive: true });
  drawPairs();
}
