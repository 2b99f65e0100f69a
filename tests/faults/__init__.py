"""A package, so that the control plane of the fault tests ends with them."""
