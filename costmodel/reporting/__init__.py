"""Showing results: terminal tables, and the documents behind them. The only room that knows how anything looks."""
