// Charts, tables and keys follow the theme and what is chosen.
document.documentElement.classList.add("scripted");
byId("save-csv").addEventListener("click", () => offer(data.csv, "text/csv", "front.csv"));
startFronts();
startTables();
startPage();
