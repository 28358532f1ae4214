// The demo page in real browsers: node --test tests/views.test.mjs
// MANTISSA_BROWSERS=chromium,firefox chooses; MANTISSA_MODEL is the default model's file.
import { after, before, describe } from 'node:test';
import { BROWSERS } from './browsers.mjs';
import { access } from './views/access.mjs';
import { chat } from './views/chat.mjs';
import { conversation } from './views/conversation.mjs';
import { open } from './views/context.mjs';
import { frame } from './views/frame.mjs';
import { pages } from './views/pages.mjs';

const chosen = process.env.MANTISSA_BROWSERS?.split(',') ?? BROWSERS;

for (const name of chosen) {
  describe(name, () => {
    /** Filled before the first test runs. */
    const context = { name };
    before(async () => Object.assign(context, await open(name)));
    after(() => context.close?.());
    describe('frame', () => frame(context));
    describe('pages', () => pages(context));
    describe('access', () => access(context));
    describe('conversation', () => conversation(context));
    describe('chat', () => chat(context));
  });
}
