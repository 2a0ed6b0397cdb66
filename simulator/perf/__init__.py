"""Step time, GPU memory and power of one replica, from a model's shape and a GPU's figures."""
