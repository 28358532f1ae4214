/** Text to tokens by the browser's regular expressions: llama.cpp's ids, as natively. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { tiny } from './tiny.mjs';

const golden = (name) =>
  JSON.parse(readFileSync(new URL(`../../../tests/golden/${name}.json`, import.meta.url)));

export function text(context) {
  let page;
  before(async () => {
    page = await context.page();
  });
  after(() => page?.close());

  const base = golden('text_bpe');
  const strings = golden('text_strings');
  const rules = { 'gpt-2': { rows: {} }, ...golden('text_rules_a'), ...golden('text_rules_b') };

  test('every rule cuts as llama.cpp does', async () => {
    const wrong = [];
    for (const [name, rule] of Object.entries(rules)) {
      const file = tiny(name, base.vocabulary).toString('base64');
      const ids = await page.evaluate(
        async ({ file, strings }) => {
          const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
          const model = await Mantissa.load(new Blob([bytes]), { compile: false });
          const all = await Promise.all(strings.map((text) => model.tokenize(text)));
          await model.dispose();
          return all.map((ids) => [...ids]);
        },
        { file, strings },
      );
      ids.forEach((got, i) => {
        const want = rule.rows[i] ?? base.rows[i][0];
        if (got.join() !== want.join()) wrong.push({ name, text: strings[i], got, want });
      });
    }
    assert.equal(Object.keys(rules).length, 16);
    assert.deepEqual(wrong, []);
  });
}
