"""The simulator kernel: pure Numba functions over struct-of-arrays state, arrays in, arrays out."""
