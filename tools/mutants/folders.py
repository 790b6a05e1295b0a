"""The folders of the product that mutation testing breaks."""

#: Folders whose modules are mutated.
PRODUCT = (
    "dags",
    "plugins",
    "include",
    "spark_jobs",
    "training",
    "serving",
    "local_aws",
    "local_stack",
    "demo",
    "infrastructure/packaging",
)
