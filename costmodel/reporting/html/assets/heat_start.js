// The map is drawn anew when the theme changes, for its colours follow it.
document.documentElement.classList.add("scripted");
byId("save-json").addEventListener("click", () => offer(JSON.stringify(data.document), "application/json", "comparison.json"));
startMap();
startPairs();
startPage();
