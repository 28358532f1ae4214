// The demo page in real browsers: node --test tests/views.test.mjs
// MANTISSA_BROWSERS=chromium,firefox chooses; MANTISSA_MODEL is the default model's file.
import { inBrowsers } from './suite.mjs';
import { access } from './views/access.mjs';
import { chat } from './views/chat.mjs';
import { open } from './views/context.mjs';
import { conversation } from './views/conversation.mjs';
import { frame } from './views/frame.mjs';
import { pages } from './views/pages.mjs';

inBrowsers(open, { frame, pages, access, conversation, chat });
