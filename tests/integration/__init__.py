"""The operator against real servers. A package, so that its folders are packages with names of their own."""
