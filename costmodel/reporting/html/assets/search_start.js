// A page of a search has nothing to draw: only the theme and the print button work.
document.documentElement.classList.add("scripted");
startPage();
