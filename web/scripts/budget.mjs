// Fails where the engine is larger than what a page may have to download.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMITS = { raw: 2_500_000, gzipped: 900_000 };

const bytes = readFileSync(new URL('../dist/wasm/mantissa_bg.wasm', import.meta.url));
const sizes = { raw: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length };
for (const [kind, limit] of Object.entries(LIMITS)) {
  const size = sizes[kind];
  console.log(`mantissa_bg.wasm, ${kind}: ${size} of ${limit} bytes`);
  if (size > limit) process.exitCode = 1;
}

// naga reads WGSL for native drivers; a browser has its own reader.
for (const word of ['naga', 'wgpu_core']) {
  if (bytes.includes(Buffer.from(word))) {
    console.log(`mantissa_bg.wasm holds code of ${word}, which only native programs need`);
    process.exitCode = 1;
  }
}
