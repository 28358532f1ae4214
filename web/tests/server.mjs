/**
 * A server on localhost for the tests: the package, files with byte ranges, and faults on demand.
 * Faults are parameters of a file's address:
 *   break=N     the first answer ends after N bytes, as a connection that breaks
 *   truncate=N  every answer ends at byte N of the file, although all of it was promised
 *   promise=N   N bytes are promised, whatever there is
 *   corrupt     a bit in the middle is another
 *   fickle      the same, from the second answer on
 *   norange     ranges are ignored
 *   slow=N      N bytes per millisecond
 *   status=N    this status and nothing else
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const WEB = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
};
/** A broken connection takes along what arrived and was not read yet: a busy browser has so long to read. */
const READ_MS = 2000;
const BLANK = '<!doctype html><html lang="en"><title>Mantissa</title><body></body></html>';

/**
 * Serves `folders` (a path's first part → a folder; the package at /dist/ in any case) and `files` (a
 * name → a path, at /files/), with `headers` on every answer.
 */
export async function serve({ folders = {}, files = {}, headers = {} } = {}) {
  folders = { dist: join(WEB, 'dist'), ...folders };
  /** What was asked for: `{ path, range }`. */
  const requests = [];
  const broken = new Set();
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    requests.push({ path: url.pathname, range: request.headers.range });
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (url.pathname === '/favicon.ico') return void response.writeHead(204).end();
    if (url.pathname === '/') return void response.setHeader('Content-Type', TYPES['.html']).end(BLANK);
    const path = locate(decodeURIComponent(url.pathname), folders, files);
    if (!path) return void response.writeHead(404).end('there is no such file');
    send(path, url, request, response, broken);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  return {
    origin: `http://localhost:${port}`,
    requests,
    close: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  };
}

function locate(pathname, folders, files) {
  const [, first, ...rest] = normalize(pathname).split('/');
  if (first === 'files') return files[rest.join('/')];
  const folder = folders[first];
  const path = folder && join(folder, ...rest);
  const found = [path, path && join(path, 'index.html')];
  return found.find((p) => p && p.startsWith(folder) && existsSync(p) && statSync(p).isFile());
}

function send(path, url, request, response, broken) {
  const fault = (name) => url.searchParams.get(name);
  if (fault('status')) return void response.writeHead(Number(fault('status'))).end();
  const size = statSync(path).size;
  const range = fault('norange') === null && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const last = range && range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('ETag', `"${size}"`);
  if (start >= size) {
    response.setHeader('Content-Range', `bytes */${size}`);
    return void response.writeHead(416).end();
  }
  if (range) response.setHeader('Content-Range', `bytes ${start}-${last}/${size}`);
  const promised = Number(fault('promise') ?? last - start + 1);
  response.setHeader('Content-Length', promised);
  response.writeHead(range ? 206 : 200);
  if (request.method === 'HEAD') return void response.end();
  let end = last + 1;
  if (fault('truncate')) end = Math.max(start, Math.min(end, Number(fault('truncate'))));
  if (fault('break') && !broken.has(url.href)) {
    broken.add(url.href);
    end = Math.min(end, start + Number(fault('break')));
  }
  const flips = fault('corrupt') !== null || (fault('fickle') !== null && broken.has(url.href));
  if (fault('fickle') !== null) broken.add(url.href);
  const flipped = flips ? Math.floor(size / 2) : -1;
  void stream(path, { start, end, flipped }, fault, response, start + promised);
}

async function stream(path, { start, end, flipped }, fault, response, promised) {
  let at = start;
  if (end > start) {
    const file = createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 18 });
    for await (const chunk of file) {
      if (response.destroyed) return;
      if (flipped >= at && flipped < at + chunk.length) chunk[flipped - at] ^= 1;
      at += chunk.length;
      if (!response.write(chunk)) await writable(response);
      const slow = Number(fault('slow'));
      if (slow) await new Promise((done) => setTimeout(done, chunk.length / slow));
    }
  }
  if (end === promised) response.end();
  else setTimeout(() => response.destroy(), end > start ? READ_MS : 0);
}

/** Resolves when more can be written, or the other side is gone. */
function writable(response) {
  return new Promise((done) => {
    const go = () => {
      response.off('drain', go).off('close', go);
      done();
    };
    response.on('drain', go).on('close', go);
  });
}
