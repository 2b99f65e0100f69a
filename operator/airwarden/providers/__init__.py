"""The edges: one module or folder per system. A new store is one of these (design section 3)."""
