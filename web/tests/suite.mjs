/** A suite of tests in each browser. MANTISSA_BROWSERS=chromium,firefox chooses. */
import { after, before, describe } from 'node:test';
import { BROWSERS } from './browsers.mjs';

/**
 * Runs groups of tests, by name, in each browser: each is given what `open(browser)` gives, which is
 * there before its first test runs.
 */
export function inBrowsers(open, groups) {
  for (const name of process.env.MANTISSA_BROWSERS?.split(',') ?? BROWSERS) {
    describe(name, () => {
      const context = { name };
      before(async () => Object.assign(context, await open(name)));
      after(() => context.close?.());
      for (const [group, tests] of Object.entries(groups)) describe(group, () => tests(context));
    });
  }
}
