// The default model in real browsers, as package.test.mjs is run: by itself, since it looks at how
// quick the page is.
import { open } from './package/context.mjs';
import { model } from './package/model.mjs';
import { inBrowsers } from './suite.mjs';

inBrowsers(open, { model });
