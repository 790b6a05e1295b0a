"""The one way in: a request is parsed once into an ``AwsCall``, which faults, handlers and moto all use."""
