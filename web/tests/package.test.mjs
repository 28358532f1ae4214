// The package in real browsers: node --test tests/package.test.mjs
// MANTISSA_BROWSERS=chromium,firefox chooses; the other variables are those of context.mjs.
import { choosing } from './package/choosing.mjs';
import { open } from './package/context.mjs';
import { faults } from './package/faults.mjs';
import { kernels } from './package/kernels.mjs';
import { kvCache } from './package/kv_cache.mjs';
import { loading } from './package/loading.mjs';
import { remote } from './package/remote.mjs';
import { text } from './package/text.mjs';
import { tuning } from './package/tuning.mjs';
import { inBrowsers } from './suite.mjs';

inBrowsers(open, { loading, remote, faults, choosing, 'KV cache': kvCache, kernels, text, tuning });
