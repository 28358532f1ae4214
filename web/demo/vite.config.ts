import { defineConfig, type Plugin } from 'vite';

/** The same document one folder down, which opens at the view of that name. */
const conformance = (html: string) =>
  html
    .replaceAll('="./', '="../')
    .replace('data-route=""', 'data-route="conformance"')
    .replace('<title>', '<title>Conformance · ');

/** conformance/index.html, made of index.html: built, and as the development server gives it. */
const conformancePage: Plugin = {
  name: 'conformance-page',
  enforce: 'post',
  transformIndexHtml: (html, { originalUrl }) =>
    originalUrl?.startsWith('/conformance/') ? conformance(html) : html,
  generateBundle(_, bundle) {
    const page = bundle['index.html'];
    if (page?.type !== 'asset') return this.error('there is no index.html to make the page of');
    const source = conformance(String(page.source));
    this.emitFile({ type: 'asset', fileName: 'conformance/index.html', source });
  },
};

/** Relative addresses, so that any folder of any static server will do. */
export default defineConfig({
  base: './',
  plugins: [conformancePage],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Nothing is inlined: the page's content policy allows no data: scripts.
    assetsInlineLimit: 0,
  },
  worker: { format: 'es' },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
});
