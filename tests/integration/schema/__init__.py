"""A package, so that the control plane of the schema's tests ends with them."""
