/** What the tests of the package share: a browser, a server, pages, and the native program. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { launch } from '../browsers.mjs';
import { serve } from '../server.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; cargo xtask test sets it`);
  return value;
}

export const MODEL_SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
export const TINY = join(ROOT, 'tests/golden/models/tied_q4_1.gguf');
export const TINY_SHA256 = createHash('sha256').update(readFileSync(TINY)).digest('hex');

/** A browser with a server beside it. */
export async function open(name) {
  const files = {
    'model.gguf': required('MANTISSA_MODEL'),
    'tiny.gguf': TINY,
    'page.html': join(ROOT, 'web/package.json'),
  };
  const server = await serve({ files });
  const browser = await launch(name);
  return {
    name,
    server,
    /** The ranges that were asked for of the tiny model. */
    ranges: () => server.requests.filter((r) => r.path === '/files/tiny.gguf').map((r) => r.range),
    /** A page of its own storage, with the package loaded. */
    async page() {
      const page = await browser.page();
      await page.goto(`${server.origin}/`);
      await page.evaluate(async () => {
        const { Mantissa } = await import('/dist/index.js');
        window.Mantissa = Mantissa;
        /** What an error says, as a value that crosses to the test. */
        window.failure = async (work) => {
          try {
            await work();
            return { code: 'none' };
          } catch (error) {
            return { ...error, name: error.name, message: error.message, code: error.code };
          }
        };
        /** Beats on the page's thread; the function that it gives ends it, with its longest pause in ms. */
        window.heartbeat = () => {
          let [last, longest, timer] = [performance.now(), 0, 0];
          const beat = () => {
            const now = performance.now();
            [last, longest] = [now, Math.max(longest, now - last)];
            timer = setTimeout(beat, 4);
          };
          beat();
          return () => {
            beat();
            clearTimeout(timer);
            return longest;
          };
        };
      });
      return page;
    },
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** Workers that the page starts from here on run `patch` before their own script. */
export function patchWorkers(page, patch) {
  return page.evaluate((patch) => {
    const Original = Worker;
    const module = (source) => URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    const first = module(patch);
    window.Worker = class extends Original {
      constructor(url, options) {
        const imports = [first, url].map((from) => `import ${JSON.stringify(String(from))};`);
        super(module(imports.join('')), options);
      }
    };
    window.unpatch = () => (window.Worker = Original);
  }, patch);
}

/** What the native program answers on the driver that this browser's WebGPU runs on, of the default model if `flags` name none. */
export async function native(browser, prompt, ...flags) {
  const driver = browser === 'chromium' ? 'MANTISSA_SWIFTSHADER_ICD' : 'MANTISSA_LAVAPIPE_ICD';
  const env = { ...process.env, VK_ICD_FILENAMES: required(driver) };
  const model = flags.includes('--model') ? [] : ['--model', required('MANTISSA_MODEL')];
  const args = ['run', '--json', ...model, '--prompt', prompt, ...flags];
  const { stdout } = await promisify(execFile)(required('MANTISSA_BIN'), args, { env });
  return JSON.parse(stdout);
}

/** Physical memory of all processes that this one has started, in bytes. */
export function childrenMemory() {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
      parents.set(pid, parent);
    } catch {
      // It has ended meanwhile.
    }
  }
  const isOurs = (pid) => {
    for (let p = parents.get(pid); p && p !== '0'; p = parents.get(p)) {
      if (p === String(process.pid)) return true;
    }
    return false;
  };
  let total = 0;
  for (const pid of parents.keys()) {
    if (!isOurs(pid)) continue;
    try {
      const rss = /^RssAnon:\s+(\d+)|^RssShmem:\s+(\d+)/gm;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      for (const [, anonymous, shared] of status.matchAll(rss)) {
        total += 1024 * Number(anonymous ?? shared);
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return total;
}
