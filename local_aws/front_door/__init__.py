"""Parses each request once into an ``AwsCall``, and dispatches it to faults, handlers or moto."""
