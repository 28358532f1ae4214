"""Dequantizes a GGUF to an F32 GGUF, all metadata kept, one tensor in memory at a time.

On such a file llama.cpp does not quantize its activations, which makes it a fair peer.

    python make_f32.py IN.gguf OUT.gguf
"""

import os
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import dequantize


def copy_metadata(reader, writer):
    """Every key but those that the writer sets itself; `general.file_type` becomes ALL_F32."""
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value = int(LlamaFileType.ALL_F32) if key == "general.file_type" else field.contents()
        sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(key, value, field.types[0], sub_type)
        if key == "general.alignment":
            writer.data_alignment = value


def make_f32(source, target):
    """Writes the F32 copy of `source` to `target`; an interrupted run leaves no half file there."""
    reader = GGUFReader(source)
    partial = f"{target}.partial"
    writer = GGUFWriter(partial, reader.fields["general.architecture"].contents())
    copy_metadata(reader, writer)
    for t in reader.tensors:
        shape = [int(n) for n in t.shape[::-1]]
        writer.add_tensor_info(
            t.name, shape, np.dtype(np.float32), int(np.prod(shape)) * 4, GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for t in reader.tensors:
        writer.write_tensor_data(
            dequantize(t.data, t.tensor_type).reshape(t.shape[::-1]).astype(np.float32))
    writer.close()
    os.replace(partial, target)
    return target


if __name__ == "__main__":
    make_f32(*sys.argv[1:])
