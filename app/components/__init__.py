"""Screen parts of more than one widget: the mask canvas and the layer table."""
