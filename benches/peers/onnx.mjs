/** The smallest ONNX files that hold one operator each: protobuf, written by hand (onnx.proto3). */

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return bytes;
}

const number = (field, value) => Buffer.from([...varint(field << 3), ...varint(value)]);
const bytes = (field, value) => {
  const body = Buffer.from(value);
  return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(body.length)]), body]);
};
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));

const FLOAT = 1;
const UINT8 = 2;

const value = (field, name, dims) =>
  message(
    field,
    bytes(1, name),
    message(2, message(1, number(1, FLOAT), message(2, ...dims.map((n) => message(1, number(1, n)))))),
  );
const tensor = (name, type, dims, data) =>
  message(5, ...dims.map((n) => number(1, n)), number(2, type), bytes(8, name), bytes(9, data));
const attribute = (name, i) => message(5, bytes(1, name), number(3, BigInt.asUintN(64, BigInt(i))), number(20, 2));

function model(node, initializers, input, output) {
  const graph = message(7, node, bytes(2, 'graph'), ...initializers, value(11, 'x', input), value(12, 'y', output));
  const opset = (domain, version) => message(8, bytes(1, domain), number(2, version));
  return Buffer.concat([number(1, 8), opset('', 17), opset('com.microsoft', 1), graph]);
}

/** y = x·Wᵀ with W in 4 bits and blocks of 32: com.microsoft's MatMulNBits. */
export function matMulNBits(m, k, n) {
  const quants = Buffer.alloc((n * k) / 2, 0x5a);
  const scales = Buffer.from(new Float32Array((n * k) / 32).fill(0.01).buffer);
  const node = message(
    1,
    ...['x', 'w', 's'].map((name) => bytes(1, name)),
    bytes(2, 'y'),
    bytes(4, 'MatMulNBits'),
    ...Object.entries({ K: k, N: n, bits: 4, block_size: 32 }).map(([name, i]) => attribute(name, i)),
    bytes(7, 'com.microsoft'),
  );
  const weights = [tensor('w', UINT8, [n, k / 32, 16], quants), tensor('s', FLOAT, [(n * k) / 32], scales)];
  return model(node, weights, [m, k], [m, n]);
}

/** Softmax of rows. */
export function softmax(rows, cols) {
  const node = message(1, bytes(1, 'x'), bytes(2, 'y'), bytes(4, 'Softmax'), attribute('axis', -1));
  return model(node, [], [rows, cols], [rows, cols]);
}
