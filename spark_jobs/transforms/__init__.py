"""DataFrame in, DataFrame out, ending in ``select``: the clusters of a corpus that outgrows one task."""
