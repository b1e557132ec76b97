"""One self-contained HTML page: `page` of an estimate, `comparison_page` of a table of them, `fronts_page` of fronts, `search_page` of a search.

`write...` makes files of them.
"""

from costmodel.reporting.html._comparison import comparison_page, write_comparison
from costmodel.reporting.html._fronts import fronts_page, write_fronts
from costmodel.reporting.html._page import page, write
from costmodel.reporting.html._search import search_page

__all__ = ["comparison_page", "fronts_page", "page", "search_page", "write", "write_comparison", "write_fronts"]
