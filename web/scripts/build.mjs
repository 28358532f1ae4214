// Builds dist/: the engine as WebAssembly, its bindings, and the package's own modules.
//   node scripts/build.mjs [--modules]     --modules takes the engine as it was built before
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const root = dirname(web);
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const dist = join(web, 'dist');

function run(program, ...args) {
  console.error(`$ ${program} ${args.join(' ')}`);
  execFileSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
}

const made = join(target, 'bindgen');
if (!process.argv.includes('--modules')) engine();

// The compiler needs the bindings' types; the bindings themselves go beside what it makes.
mkdirSync(join(web, 'src/wasm'), { recursive: true });
cpSync(join(made, 'mantissa.d.ts'), join(web, 'src/wasm/mantissa.d.ts'));
rmSync(dist, { recursive: true, force: true });
run(process.execPath, join(web, 'node_modules/typescript/bin/tsc'), '-p', join(web, 'tsconfig.json'));
cpSync(made, join(dist, 'wasm'), { recursive: true });

/** wasm-opt is left out: it takes 6 % off the file and nothing off what is sent compressed. */
function engine() {
  const cargo = process.env.CARGO ?? 'cargo';
  const triple = 'wasm32-unknown-unknown';
  run(cargo, 'rustc', '--lib', '--crate-type', 'cdylib', '--target', triple, '--profile', 'web',
    '--no-default-features', '--features', 'web');
  // Of the workspace, so that it shares its dependencies with the tests' build.
  run(cargo, 'build', '--workspace', '--bin', 'mantissa-bindgen');
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  run(join(target, 'debug/mantissa-bindgen'), join(target, triple, 'web/mantissa.wasm'), made);
}
