/** axe-core finds nothing serious in any view, in both themes and both widths. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { NO_GPU, VIEWS } from './context.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe calls serious or critical, with the elements. */
export async function violations(page) {
  // By evaluation, which no content policy forbids.
  await page.evaluate(`${AXE};0`);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`);
  });
}

export function access(context) {
  for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['dark', 390]]) {
    test(`no serious violation, ${scheme}, ${width} pixels`, async () => {
      for (const { at, heading } of Object.values(VIEWS)) {
        const page = await context.at(at, { scheme, width });
        await page.wait('heading', heading);
        assert.deepEqual(await violations(page), [], at);
        await page.close();
      }
      const page = await context.at('', { scheme, width, init: NO_GPU });
      await page.wait('heading', 'No WebGPU here');
      assert.deepEqual(await violations(page), [], 'no WebGPU');
      await page.close();
    });
  }

  test('axe sees what is wrong', async () => {
    const page = await context.at(VIEWS.bench.at);
    await page.wait('heading', VIEWS.bench.heading);
    await page.evaluate(() => document.querySelector('main').append(document.createElement('button')));
    assert.match((await violations(page)).join(), /button-name/);
    await page.close();
  });

  test('the first stop of the keyboard skips the navigation', async () => {
    const page = await context.at(VIEWS.bench.at);
    await page.wait('heading', VIEWS.bench.heading);
    await page.press('Tab');
    assert.equal((await page.focused()).name, 'Skip to the content');
    await page.press('Enter');
    assert.equal((await page.focused()).id, 'main');
    await page.press('Tab');
    assert.equal((await page.focused()).name, 'Softmax');
    await page.close();
  });
}
