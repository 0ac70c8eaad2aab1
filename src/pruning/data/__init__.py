"""Data sets: prepared once into uint8 tensors on disk, then kept whole on the device."""
