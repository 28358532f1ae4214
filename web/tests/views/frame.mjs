/** The frame: navigation, theme, and the page without WebGPU. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_GPU, VIEWS } from './context.mjs';

export function frame(context) {
  for (const [view, { at, heading }] of Object.entries(VIEWS)) {
    test(`${view}: landmarks, heading, no sideways scrolling, a picture each`, async () => {
      for (const [scheme, width] of [['light', 1280], ['dark', 390]]) {
        const page = await context.at(at, { scheme, width });
        await page.wait('heading', heading);
        for (const [role, name] of [['banner'], ['navigation', 'Views'], ['main']]) {
          await page.wait(role, name);
        }
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} pixels too wide at ${width}`);
        await page.screenshot(context.picture(`${view}-${scheme}-${width}`));
        assert.deepEqual(page.errors, []);
        await page.close();
      }
    });
  }

  test('the navigation leads to every view, and nothing is asked of another host', async () => {
    const page = await context.at('');
    for (const [link, heading] of [
      ['Bench', 'Bench'],
      ['Formats', 'Number formats'],
      ['Conformance', 'Conformance'],
      ['Chat', VIEWS.chat.heading],
    ]) {
      await page.click('link', link);
      await page.wait('heading', heading);
    }
    const elsewhere = page.requests.filter((url) => !/^(blob:|data:)/.test(url) && new URL(url).origin !== context.server.origin);
    assert.deepEqual(elsewhere, []);
    await page.close();
  });

  test('the theme is the system’s until it is chosen, and the choice is kept', async () => {
    const page = await context.at('#/chat', { scheme: 'light' });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.wait('heading', VIEWS.chat.heading);
    const light = await ground();
    await page.click('button', 'Dark theme');
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.reload();
    await page.until(() => document.querySelector('button[aria-pressed="true"]') !== null);
    assert.equal(await ground(), dark);
    await page.click('button', 'Dark theme');
    assert.equal(await ground(), light);
    await page.close();
  });

  test('without WebGPU a page says so, and why, and what this browser needs', async () => {
    const page = await context.at('#/chat', { init: NO_GPU });
    await page.wait('heading', 'No WebGPU here');
    await page.see('there is no navigator.gpu');
    const open = await page.evaluate(() => document.querySelector('details[open] summary').innerText);
    assert.match(open, context.name === 'firefox' ? /^Firefox/ : /^Chrome/);
    await page.screenshot(context.picture('no-webgpu'));
    // Formats are computed without a GPU.
    await page.click('link', 'Formats');
    await page.see(/17 numbers that a weight can become/);
    await page.close();
  });
}
