// Charts, tables and keys follow the theme and what is chosen.
document.documentElement.classList.add("scripted");
byId("save-csv").addEventListener("click", () => offer(csvText(), "text/csv", "front.csv"));
startFronts();
startTables();
startPage();
