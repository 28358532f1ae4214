/** What the tests of the views share: a browser, and a server with the built page. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from '../browsers.mjs';
import { serve } from '../server.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const DEMO = join(ROOT, 'web/demo/dist');

/** A model of a few weights, and a file that is none. */
export const TINY = join(ROOT, 'tests/golden/models/tied_q4_1.gguf');
export const NO_MODEL = join(ROOT, 'web/package.json');

/** The views: where each is, and its heading. */
export const VIEWS = {
  chat: { at: '#/chat', heading: 'A language model on your own GPU' },
  bench: { at: '#/bench', heading: 'Bench' },
  formats: { at: '#/formats', heading: 'Number formats' },
  conformance: { at: 'conformance/', heading: 'Conformance' },
};

/** WebGPU is taken away before the page's first script runs. */
export const NO_GPU = 'delete Navigator.prototype.gpu;';

export async function open(name) {
  if (!existsSync(DEMO)) throw new Error(`${DEMO} is not there; npm run build --prefix web/demo makes it`);
  const model = process.env.MANTISSA_MODEL;
  if (!model) throw new Error('MANTISSA_MODEL is not set; cargo xtask test sets it');
  const files = { 'model.gguf': model, 'tiny.gguf': TINY, 'page.gguf': NO_MODEL };
  const server = await serve({ folders: { demo: DEMO }, files });
  const browser = await launch(name);
  return {
    name,
    server,
    /** A page of its own storage, at a view. */
    async at(view, options) {
      const page = await browser.page(options);
      await page.goto(`${server.origin}/demo/${view}`);
      return page;
    },
    /** Where a screenshot goes. */
    picture: (file) => join(ROOT, 'target/screenshots', name, `${file}.png`),
    async close() {
      await browser.close();
      await server.close();
    },
  };
}
