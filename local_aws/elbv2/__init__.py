"""Load balancers: HTTP proxies with probed, weighted target groups."""
