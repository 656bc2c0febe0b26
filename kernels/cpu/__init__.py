"""The CPU engine: convolutions on kept columns, in code generated for each layer's shape."""
