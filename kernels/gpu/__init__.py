"""The GPU engines: Triton kernels on maps with the images innermost. Importing this needs no Triton."""
