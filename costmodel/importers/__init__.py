"""Other formats into a `Graph` and back, one room a format; `_trace` and `_assemble` are what they share."""
