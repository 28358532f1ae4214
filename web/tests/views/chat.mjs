/** The chat, with the default model, and by keyboard alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { violations } from './access.mjs';
import { VIEWS } from './context.mjs';

const SLOW = { timeout: 300_000 };
const ADDRESS = 'Or the address of a GGUF file';

export function chat(context) {
  test('an address with nothing behind it is said in words, where it was entered', async () => {
    const page = await context.at(VIEWS.chat.at);
    await page.fill('textbox', ADDRESS, `${context.server.origin}/files/nothing.gguf`);
    await page.press('Enter');
    await page.wait('alert', undefined, SLOW);
    await page.see(/404[\s\S]*Check the address/);
    await page.fill('textbox', ADDRESS, `${context.server.origin}/files/page.gguf`);
    await page.press('Enter');
    await page.see(/Take another copy of the file/, SLOW);
    await page.screenshot(context.picture('chat-bad-file'));
    await page.close();
  });

  test('a setting is typed, held within its bounds, and kept', async () => {
    for (const [typed, kept] of [['16', '16'], ['99999', '8192']]) {
      const page = await context.at(VIEWS.chat.at);
      await page.fill('spinbutton', 'Most tokens', typed);
      await page.press('Tab');
      await page.until((kept) => document.getElementById('s-maxTokens').value === kept, kept);
      await page.until((kept) => JSON.parse(localStorage.sampling).maxTokens === Number(kept), kept);
      await page.close();
    }
  });

  test('loading can be cancelled', async () => {
    const page = await context.at(VIEWS.chat.at);
    await page.fill('textbox', ADDRESS, `${context.server.origin}/files/model.gguf?slow=1000`);
    await page.press('Enter');
    await page.see(/Downloading: [\d.]+ [kM]?B of 98\.4 MB/, SLOW);
    await page.click('button', 'Cancel');
    await page.wait('heading', VIEWS.chat.heading);
    await page.wait('textbox', ADDRESS);
    await page.close();
  });

  test('a lost device: the page says so, and the answer goes on', { timeout: 900_000 }, async () => {
    const page = await context.at(`?model=${context.server.origin}/files/model.gguf#/chat`, {
      init: `${HOLD_WORKERS}
        localStorage.setItem('sampling', '{"maxTokens":16}');`,
    });
    await page.until(() => document.querySelector('.picker .primary') !== null);
    await page.click('button', /^Load model/);
    await page.wait('textbox', 'Message', SLOW);
    await remember(page, '.recovery');
    await page.fill('textbox', 'Message', 'Write a long story about a lighthouse.');
    await page.press('Enter');
    await page.see(/[1-4] tokens ·/, SLOW);
    await loseDevice(page);
    await page.see(/16 tokens · .* · the GPU was lost once; the answer went on/, SLOW);
    const said = await page.evaluate(() => window.said);
    assert.ok(said.some((text) => text.includes('The GPU was lost')), `said: ${said}`);
    assert.ok(!(await page.evaluate(() => document.querySelector('.recovery'))), 'it is over');
    await page.close();
  });

  test('by keyboard: load, ask, read, stop, ask again; the page stays quick', { timeout: 900_000 }, async () => {
    const page = await context.at(`?model=${context.server.origin}/files/model.gguf#/chat`);
    await page.wait('heading', VIEWS.chat.heading);
    await page.until(() => document.querySelector('.picker .primary') !== null);
    await page.evaluate(() => document.querySelector('.picker .primary').focus());
    await page.press('Enter');
    await page.wait('textbox', 'Message', SLOW);
    await page.until(() => document.activeElement.id === 'composer', undefined, SLOW);
    await watch(page);

    await page.type('What is the capital of France?');
    await page.press('Enter');
    await page.see(/\d+ tokens/, SLOW);
    await page.screenshot(context.picture('chat-streaming'));
    await page.wait('button', 'Regenerate', SLOW);
    assert.match(await page.text('article', 'Answer'), /Paris/);
    await page.see(/\d+ tokens · [\d.]+ tokens\/s · first after/);
    await page.see(/GPU memory\s+[\d.]+ MB/);
    assert.equal((await page.focused()).id, 'composer');
    const { tasks, shift } = await seen(page);
    assert.deepEqual(tasks.filter((ms) => ms > 50), [], 'tasks longer than 50 ms');
    assert.ok(shift < 0.01, `the layout shifts by ${shift}`);

    await page.type('Write a long story about a lighthouse.');
    await page.press('Enter');
    await page.until(() => document.querySelectorAll('article[aria-label=Answer]').length === 2);
    await page.until(() => document.querySelectorAll('article[aria-label=Answer]')[1].innerText.length > 40, undefined, SLOW);
    await page.press('Escape');
    await page.see(/· stopped/, SLOW);
    assert.deepEqual(await violations(page), [], 'a conversation');
    await page.screenshot(context.picture('chat-conversation'));

    // Its tensors are there for Formats.
    await page.click('link', 'Formats');
    await page.choose('combobox', 'Weights', 'blk.0.ffn_up.weight');
    await page.see(/Distinct after\s+[\d,]+/, SLOW);
    await page.click('link', 'Chat');
    await page.see('What is the capital of France?');
    assert.deepEqual(page.errors, []);
    await page.close();
  });
}

/** Keeps hold of the page's Workers, so that a test can lose the device behind its back. */
const HOLD_WORKERS = `
  window.workers = [];
  window.Worker = class extends Worker {
    constructor(...how) {
      super(...how);
      window.workers.push(this);
    }
  };`;

/** Asks each Worker to give its device up; those without a model answer with an error nobody awaits. */
function loseDevice(page) {
  return page.evaluate(() => {
    const call = { kind: 'call', id: 1e9, method: 'destroyDevice', args: [] };
    for (const worker of window.workers) worker.postMessage(call);
  });
}

/** Remembers every text that `selector` shows, from here on. */
function remember(page, selector) {
  return page.evaluate((selector) => {
    window.said = [];
    new MutationObserver(() => {
      const text = document.querySelector(selector)?.innerText;
      if (text && window.said.at(-1) !== text) window.said.push(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  }, selector);
}

/** Counts tasks that block the page, and what moves without being asked, from here on. */
function watch(page) {
  return page.evaluate(() => {
    window.seen = { tasks: [], shift: 0 };
    const observe = (type, take) => {
      if (!PerformanceObserver.supportedEntryTypes.includes(type)) return;
      new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type });
    };
    observe('longtask', (entry) => window.seen.tasks.push(entry.duration));
    observe('layout-shift', (entry) => (window.seen.shift += entry.hadRecentInput ? 0 : entry.value));
  });
}

const seen = (page) => page.evaluate(() => window.seen);
