"""A package, so that the control plane of the tests of admission ends with them."""
