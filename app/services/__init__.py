"""The only package that caches: models, plans, the stores on disk and the job queue, one subject a file.

Caches are keyed by strings and numbers alone (hashing arrays samples them) and bounded. What they hold is
frozen and shared between sessions; pruning works on copies.
"""
