"""Where kopf calls in: each handler hands one event on. The only package that imports kopf."""
