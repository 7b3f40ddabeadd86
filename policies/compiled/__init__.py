"""Kernels compiled for the CPU, in single precision: the numbers of plain torch to rounding, in a fraction of the time.

Nothing outside this folder needs to know them: `policies.compiled.arithmetic` chooses for the network's layers and
`policies.compiled.inference` for acting, as ``policy.compiled`` says.
"""
