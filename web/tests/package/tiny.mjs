/** A llama of one layer, all weights f32 and small, with a tokenizer of the test's choice, as GGUF. */

const STRING = 8;
const ARRAY = 9;
const U32 = 4;
const F32 = 6;

class Bytes {
  #parts = [];
  length = 0;

  bytes(part) {
    this.#parts.push(part);
    this.length += part.length;
  }

  numbers(Kind, ...values) {
    this.bytes(new Uint8Array(Kind.from(values).buffer));
  }

  u64(value) {
    this.numbers(BigUint64Array, BigInt(value));
  }

  string(text) {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  pad(alignment) {
    this.bytes(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  whole() {
    return Buffer.concat(this.#parts);
  }
}

/** The file; `pre` names the pre-tokenizer, `vocabulary` is as in tests/golden/text_bpe.json. */
export function tiny(pre, vocabulary) {
  const [width, feedForward, tokens] = [32, 32, vocabulary.tokens.length];
  const metadata = {
    'general.architecture': 'llama',
    'llama.block_count': [U32, 1],
    'llama.context_length': [U32, 64],
    'llama.embedding_length': [U32, width],
    'llama.feed_forward_length': [U32, feedForward],
    'llama.attention.head_count': [U32, 1],
    'llama.attention.layer_norm_rms_epsilon': [F32, 1e-5],
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': vocabulary.tokens,
    'tokenizer.ggml.token_type': vocabulary.token_types,
    'tokenizer.ggml.merges': vocabulary.merges,
    'tokenizer.ggml.bos_token_id': [U32, vocabulary.bos],
    'tokenizer.ggml.eos_token_id': [U32, vocabulary.eos],
  };
  const square = [width, width];
  const tensors = Object.entries({
    'token_embd.weight': [width, tokens],
    'output_norm.weight': [width],
    'blk.0.attn_norm.weight': [width],
    'blk.0.attn_q.weight': square,
    'blk.0.attn_k.weight': square,
    'blk.0.attn_v.weight': square,
    'blk.0.attn_output.weight': square,
    'blk.0.ffn_norm.weight': [width],
    'blk.0.ffn_gate.weight': [width, feedForward],
    'blk.0.ffn_up.weight': [width, feedForward],
    'blk.0.ffn_down.weight': [feedForward, width],
  });
  const file = new Bytes();
  file.bytes(new TextEncoder().encode('GGUF'));
  file.numbers(Uint32Array, 3);
  file.u64(tensors.length);
  file.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) entry(file, key, value);
  let offset = 0;
  const sizes = tensors.map(([, shape]) => shape.reduce((a, b) => a * b));
  tensors.forEach(([name, shape], i) => {
    file.string(name);
    file.numbers(Uint32Array, shape.length);
    shape.forEach((n) => file.u64(n));
    file.numbers(Uint32Array, 0);
    file.u64(offset);
    offset += Math.ceil((4 * sizes[i]) / 32) * 32;
  });
  file.pad(32);
  for (const size of sizes) {
    file.numbers(Float32Array, ...Array.from({ length: size }, (_, i) => Math.sin(i) / 8));
    file.pad(32);
  }
  return file.whole();
}

function entry(file, key, value) {
  file.string(key);
  if (typeof value === 'string') {
    file.numbers(Uint32Array, STRING);
    file.string(value);
  } else if (typeof value[0] === 'string') {
    file.numbers(Uint32Array, ARRAY, STRING);
    file.u64(value.length);
    value.forEach((text) => file.string(text));
  } else if (value.length > 2) {
    file.numbers(Uint32Array, ARRAY, 5);
    file.u64(value.length);
    file.numbers(Int32Array, ...value);
  } else {
    const [type, number] = value;
    file.numbers(Uint32Array, type);
    file.numbers(type === F32 ? Float32Array : Uint32Array, number);
  }
}
