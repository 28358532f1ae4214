/** What a conversation can be made to do. The page is real, what the model says is ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { violations } from './access.mjs';
import { NO_MODEL, TINY, VIEWS } from './context.mjs';

/** Loading a model of a few weights still compiles kernels. */
const SLOW = { timeout: 240_000 };

export function conversation(context) {
  /** A page with a model that answers with `answers`, one after the other. */
  async function talk(answers, options = {}) {
    const page = await context.at(`?model=${context.server.origin}/files/tiny.gguf#/chat`, {
      ...options,
      init: saying(answers),
    });
    await page.click('button', /^Load /);
    await page.wait('textbox', 'Message');
    return page;
  }
  async function ask(page, question) {
    const before = await page.evaluate(() => window.asked.length);
    await page.fill('textbox', 'Message', question);
    await page.press('Enter');
    await answered(page, before + 1);
  }
  async function answered(page, count) {
    await page.until((count) => window.asked.length === count, count);
    await page.wait('button', 'Regenerate');
  }
  const asked = (page) => page.evaluate(() => window.asked);
  const value = (page) => page.evaluate(() => document.getElementById('composer').value);

  test('a file that is dropped is loaded, and one that is no model is refused in words', async () => {
    const page = await context.at(VIEWS.chat.at);
    await page.wait('heading', VIEWS.chat.heading);
    await page.drop(TINY, () => page.see('Drop the model here'));
    await page.wait('textbox', 'Message', SLOW);
    await page.see('tied_q4_1 is ready.');
    await page.drop(NO_MODEL);
    await page.wait('alert', undefined, SLOW);
    await page.see('Take another copy of the file');
    await page.drop(TINY);
    await page.wait('textbox', 'Message', SLOW);
    assert.ok(!(await page.has('alert')));
    await page.close();
  });

  test('a question and an answer are copied as they were written', async () => {
    const answer = 'Some **bold** words, and `code`.';
    const page = await talk([answer]);
    await ask(page, 'What is *bold*?');
    for (const [button, text] of [[0, 'What is *bold*?'], [1, answer]]) {
      await page.evaluate((i) => document.querySelectorAll('button.copy')[i].focus(), button);
      assert.equal((await page.focused()).name, 'Copy');
      await page.press('Enter');
      await page.wait('button', 'Copied');
      await page.focus('textbox', 'Message');
      await page.paste();
      await page.until((text) => document.getElementById('composer').value === text, text);
      await page.fill('textbox', 'Message', '');
      await page.until(() => !document.body.innerText.includes('Copied\n'));
    }
    await page.close();
  });

  test('regenerate asks the same again, and its answer replaces the first', async () => {
    const page = await talk(['The first answer.', 'The second answer.']);
    await ask(page, 'A question?');
    await page.see('The first answer.');
    await page.click('button', 'Regenerate');
    await answered(page, 2);
    assert.equal((await page.text('article', 'Answer')).trim(), 'The second answer.');
    assert.ok(!(await page.content()).includes('The first answer.'));
    const [first, second] = await asked(page);
    assert.deepEqual(first, [{ role: 'user', content: 'A question?' }]);
    assert.deepEqual(second, first);
    await page.close();
  });

  test('a question that is edited is asked anew, without what followed it', async () => {
    const page = await talk(['One.', 'Two.', 'Three.']);
    await ask(page, 'First?');
    await ask(page, 'Second?');
    // The first question's button.
    await page.click('button', 'Edit');
    assert.equal(await value(page), 'First?');
    assert.equal((await page.focused()).id, 'composer');
    assert.ok(!(await page.has('article', 'Answer')));
    await ask(page, 'Third?');
    await page.see('Three.');
    const turns = (await asked(page)).map((messages) => messages.map(({ content }) => content));
    assert.deepEqual(turns, [['First?'], ['First?', 'One.', 'Second?'], ['Third?']]);
    await page.close();
  });

  test('what is hostile in a question or an answer is shown, and does nothing', async () => {
    const page = await talk([HOSTILE]);
    await ask(page, HOSTILE_QUESTION);
    // As it was written.
    assert.equal(await page.text('article', 'You'), HOSTILE_QUESTION);
    await page.see('the end of it');
    const got = await page.evaluate(() => {
      const all = [...document.querySelectorAll('.turns *')];
      return {
        elements: all.map((e) => e.localName),
        handlers: all.flatMap((e) => [...e.attributes].map((a) => a.name)).filter((n) => n.startsWith('on')),
        links: all.filter((e) => e.hasAttribute('href')).map((e) => [e.innerText, e.getAttribute('href'), e.rel]),
        ran: window.ran,
      };
    });
    const active = ['script', 'img', 'image', 'iframe', 'svg', 'math', 'style', 'form', 'input', 'object', 'embed', 'base', 'video', 'link'];
    assert.deepEqual(got.elements.filter((name) => active.includes(name)), []);
    assert.deepEqual(got.handlers, []);
    const kept = ['http://evil.example/picture.png', 'https://evil.example/'];
    assert.deepEqual(got.links.map(([, href]) => href).sort(), kept);
    for (const [text, , rel] of got.links) assert.equal(rel, 'noopener noreferrer nofollow', text);
    // A person clicks what looks like a link.
    for (const text of ['by markdown', 'by a tag', 'by data', 'by case']) {
      await page.evaluate((text) => {
        [...document.querySelectorAll('.turns a')].find((a) => a.innerText === text)?.click();
      }, text);
    }
    assert.equal(await page.evaluate(() => window.ran), undefined);
    assert.deepEqual(page.requests.filter((url) => url.includes('evil.example')), []);
    // Nor had the page's content policy to stop anything. Chromium tells of the handlers in the inert
    // document that the sanitizer reads, too.
    assert.deepEqual(page.errors.filter((text) => !text.startsWith('Executing inline event handler')), []);
    await page.close();
  });

  for (const [scheme, width] of [['dark', 1280], ['dark', 390], ['light', 1280]]) {
    test(`a conversation is accessible, ${scheme}, ${width} pixels`, async () => {
      const page = await talk([RICH], { scheme, width });
      await ask(page, 'Show me everything.');
      await page.see('the end of it');
      assert.deepEqual(await violations(page), []);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${overflow} pixels too wide`);
      await page.screenshot(context.picture(`chat-markdown-${scheme}-${width}`));
      assert.deepEqual(page.errors, []);
      await page.close();
    });
  }
}

/** What a load of the tiny model gives, as far as the page shows it. */
const INFO = {
  name: 'tiny.gguf',
  title: 'tiny',
  parameters: 150_000,
  formats: [{ format: 'q4_1', tensors: 14, bytes: 90_000 }],
  context: 2048,
  kvCache: 'f32',
  canChat: true,
  adapter: { name: 'a test', vendor: '', architecture: '', description: '' },
};
const STATS = { tokens: 3, promptTokens: 5, cachedTokens: 0, prefillSeconds: 0.1, decodeSeconds: 0.1 };

/**
 * Before the page's first script: its Workers are loaded at once, and answer each chat with the next
 * text. So a test says what a model would, and waits for no kernel.
 */
const saying = (answers) => `{
  window.asked = [];
  const answers = ${JSON.stringify(answers)};
  const stats = ${JSON.stringify(STATS)};
  const methods = {
    load: () => (${JSON.stringify(INFO)}),
    memory: () => ({ gpuBytes: 1e6, wasmBytes: 1e6 }),
    chat([messages], emit) {
      const text = answers[window.asked.length % answers.length];
      window.asked.push(messages);
      emit({ piece: text, stats });
      return { ...stats, text, tokenIds: [1, 2, 3], finishReason: 'stop', recoveries: 0 };
    },
  };
  window.Worker = class extends Worker {
    postMessage(message, ...rest) {
      const method = methods[message.method];
      if (!method) return super.postMessage(message, ...rest);
      const { id, args } = message;
      const say = (data) => this.dispatchEvent(new MessageEvent('message', { data }));
      setTimeout(() => {
        const value = method(args, (event) => say({ kind: 'event', id, event }));
        say({ kind: 'result', id, value });
      });
    }
  };
}`;

const HOSTILE_QUESTION = '<img src=x onerror="window.ran=1"><script>window.ran=1</script> **not bold**';

const HOSTILE = `<script>window.ran = 'script'</script>
<img src="http://evil.example/a.png" onerror="window.ran='img'">
<svg onload="window.ran='svg'"><script>window.ran='svg script'</script></svg>
<iframe srcdoc="<script>parent.ran='frame'</script>" src="http://evil.example/frame"></iframe>
<form action="http://evil.example/form"><input autofocus onfocus="window.ran='focus'"></form>
<style>@import "http://evil.example/a.css"; body { background: url(http://evil.example/b.png) }</style>
<p onclick="window.ran='p'" style="position:fixed;inset:0">a paragraph</p>

[by markdown](javascript:window.ran='markdown') and [by case](JaVaScRiPt:window.ran='case')
and <a href="javascript:window.ran='tag'" onclick="window.ran='click'">by a tag</a>
and [by data](data:text/html,<script>window.ran='data'</script>) and [a plain one](https://evil.example/).

![a picture](http://evil.example/picture.png) ![another](javascript:window.ran='picture')

\`\`\`html"><img/src=x/onerror=window.ran='language'>
<script>window.ran = 'code'</script>
\`\`\`

<math><mtext></table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.ran='mutation'&gt;">

the end of it`;

const RICH = `# A heading

Text with **bold**, *italic*, \`code\`, ~~struck~~ and [a link](https://example.com/).

1. one
2. two
   - deeper

> A quotation.

| name | bits |
|---|---:|
| q4_1 | 5 |

\`\`\`rust
// A comment, a number and a string.
fn main() { println!("{}", 42 + "text".len()); }
\`\`\`

\`\`\`
${'a long line without any break '.repeat(12)}
\`\`\`

---

the end of it`;
