/** What the measurements need of this checkout: found, or made, so that one command is enough. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');

const BUILDS = ['release', 'debug'].map((profile) => join(TARGET, profile, 'mantissa'));

/** Where Debian keeps the drivers that the browsers' WebGPU runs on. */
const DRIVERS = {
  MANTISSA_LAVAPIPE_ICD: '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
  MANTISSA_SWIFTSHADER_ICD: '/usr/lib/chromium/vk_swiftshader_icd.json',
};

function run(program, ...args) {
  console.error(`$ ${program} ${args.join(' ')}`);
  execFileSync(program, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
}

function built() {
  run('cargo', 'build', '--release', '--bin', 'mantissa');
  return BUILDS[0];
}

/** Sets what is not set of the variables that the tests' context asks for, and builds what is missing. */
export function prepare() {
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  for (const [name, path] of Object.entries(DRIVERS)) process.env[name] ??= path;
  process.env.MANTISSA_BIN ??= BUILDS.find((path) => existsSync(path)) ?? built();
  process.env.MANTISSA_MODEL ??= execFileSync(process.env.MANTISSA_BIN, ['fetch'], { encoding: 'utf8' }).trim();
  packages('web');
  if (!existsSync(join(ROOT, 'web/dist/index.js'))) run('npm', 'run', 'build', '--prefix', 'web');
}

/** Installs the packages of a folder, where they are not there. */
export function packages(folder) {
  if (existsSync(join(ROOT, folder, 'node_modules'))) return;
  run('npm', 'ci', '--no-audit', '--no-fund', '--prefix', folder);
}

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** A table in Markdown: the first row is its head, the first column its names. */
export function table([head, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map(line).join('\n');
}

/** The browsers that the command line names, or all. */
export function chosen(all) {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !all.includes(name));
  if (unknown) {
    console.error(`no browser is called ${unknown}; there are ${all.join(' and ')}`);
    process.exit(2);
  }
  return names.length > 0 ? names : all;
}
