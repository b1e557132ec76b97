// Everything is set up once; a theme's change draws the charts and the graph anew.
document.documentElement.classList.add("scripted");
byId("save-json").addEventListener("click", saveJson);
startCharts();
startTable();
startGraph();
startWhatif();
startPage();
