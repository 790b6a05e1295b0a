"""Mutation testing: break one behaviour in each of N modules and see whether a test notices.

The mutations are made by cosmic-ray's operators (8.7, maintained, and usable on a string of source code).
mutmut and pytest-gremlins run pytest inside their own process, which does not fit a repository with one
environment per runtime; mutatest and mutpy have had no release for years. The choice of modules, the
choice of tests and the judgement of equivalent mutants are written here.
"""
