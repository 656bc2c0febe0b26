"""From a name (later: a file) to a model that can be pruned."""
