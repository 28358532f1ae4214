"""ggml's own matrix multiplication on the CPU, through xllamacpp's library: the yardstick of
tests/test-backend-ops in llama.cpp. It quantizes its activations."""

import ctypes as C

import numpy as np
import xllamacpp


class _InitParams(C.Structure):
    _fields_ = [("mem_size", C.c_size_t), ("mem_buffer", C.c_void_p), ("no_alloc", C.c_bool)]


def _load():
    lib = C.CDLL(xllamacpp.xllamacpp.__file__)
    signatures = {
        "ggml_cpu_init": ([], None),
        "ggml_init": ([_InitParams], C.c_void_p),
        "ggml_free": ([C.c_void_p], None),
        "ggml_new_tensor_2d": ([C.c_void_p, C.c_int, C.c_int64, C.c_int64], C.c_void_p),
        "ggml_get_data": ([C.c_void_p], C.c_void_p),
        "ggml_nbytes": ([C.c_void_p], C.c_size_t),
        "ggml_mul_mat": ([C.c_void_p] * 3, C.c_void_p),
        "ggml_new_graph": ([C.c_void_p], C.c_void_p),
        "ggml_build_forward_expand": ([C.c_void_p] * 2, None),
        "ggml_graph_compute_with_ctx": ([C.c_void_p, C.c_void_p, C.c_int], C.c_int),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = arguments, result
    lib.ggml_cpu_init()
    return lib


_lib = _load()


def _tensor(context, kind, k, rows, data):
    tensor = _lib.ggml_new_tensor_2d(context, kind, k, rows)
    raw = np.ascontiguousarray(data).tobytes()
    assert _lib.ggml_nbytes(tensor) == len(raw)
    C.memmove(_lib.ggml_get_data(tensor), raw, len(raw))
    return tensor


def mul_mat(kind, blocks, x):
    """x·Wᵀ: W is rows of blocks of the GGUF type, x float32 [M, K]; the result is float32 [M, N]."""
    (m, k), n = x.shape, len(blocks)
    context = _lib.ggml_init(_InitParams(64 << 20, None, False))
    try:
        w = _tensor(context, int(kind), k, n, blocks)
        y = _lib.ggml_mul_mat(context, w, _tensor(context, 0, k, m, x.astype(np.float32)))
        graph = _lib.ggml_new_graph(context)
        _lib.ggml_build_forward_expand(graph, y)
        assert _lib.ggml_graph_compute_with_ctx(context, graph, 1) == 0
        return np.frombuffer(C.string_at(_lib.ggml_get_data(y), 4 * m * n), "<f4").reshape(m, n)
    finally:
        _lib.ggml_free(context)
