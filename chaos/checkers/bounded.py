"""P8, as far as a history shows it: nothing that is bounded outgrows its bound.

A history is invalid where a table of an honest node holds more than its limit. Memory, files and
sockets as the system counts them are measured on real processes, not here.
"""

from chaos.history import History
from chaos.verdict import Finding

from .casebook import Casebook, moment
from .limits import Limits
from .registers import honest_nodes


def check(history: History, _limits: Limits) -> Finding:
    """Judge P8."""
    book = Casebook()
    honest = honest_nodes(history)
    for table in history.tables:
        if table.node not in honest:
            continue
        book.looked_at += 1
        largest = book.figures.get(f"most_{table.table}", 0.0)
        book.figures[f"most_{table.table}"] = max(largest, float(table.size))
        if table.size > table.most:
            text = (
                f"{table.node} at {moment(table.at_s)}: {table.table} is {table.size}, "
                f"over its limit of {table.most}"
            )
            book.blame(table.at_s, text)
    return book.finding("P8", "bounded")
