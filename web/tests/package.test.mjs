// The package in real browsers: node --test tests/package.test.mjs
// MANTISSA_BROWSERS=chromium,firefox chooses; the other variables are those of context.mjs.
import { after, before, describe } from 'node:test';
import { BROWSERS } from './browsers.mjs';
import { open } from './package/context.mjs';
import { faults } from './package/faults.mjs';
import { kernels } from './package/kernels.mjs';
import { kvCache } from './package/kv_cache.mjs';
import { loading } from './package/loading.mjs';
import { model } from './package/model.mjs';
import { text } from './package/text.mjs';

const chosen = process.env.MANTISSA_BROWSERS?.split(',') ?? BROWSERS;

for (const name of chosen) {
  describe(name, () => {
    /** Filled before the first test runs. */
    const context = { name };
    before(async () => Object.assign(context, await open(name)));
    after(() => context.close?.());
    describe('model', () => model(context));
    describe('loading', () => loading(context));
    describe('faults', () => faults(context));
    describe('KV cache', () => kvCache(context));
    describe('kernels', () => kernels(context));
    describe('text', () => text(context));
  });
}
