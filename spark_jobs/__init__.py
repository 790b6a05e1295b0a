"""Raw shards to a token dataset, on Spark: ``jobs/`` are the entry points, ``kernels/`` the hot loops.

Text never crosses a shuffle. A task reads its shards and writes its own parquet files under canonical
names; Spark itself moves only small columns (document number, hashes, lengths).
"""
