"""The only package with session keys, and the only one that writes the address bar's link."""
