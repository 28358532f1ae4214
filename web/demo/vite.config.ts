import { defineConfig } from 'vite';

const at = (path: string) => decodeURIComponent(new URL(path, import.meta.url).pathname);

/** Two pages with relative addresses, so that any folder of any static server will do. */
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Nothing is inlined: the page's content policy allows no data: scripts.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { index: at('./index.html'), conformance: at('./conformance/index.html') },
    },
  },
  worker: { format: 'es' },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
});
