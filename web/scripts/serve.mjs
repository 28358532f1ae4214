// Serves a folder on localhost and prints its address: node scripts/serve.mjs FOLDER [PORT]
// With MANTISSA_MODEL, that file is at /model.gguf, so that a page can be tried without a network.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, resolve, sep } from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};
const [folder = '.', port = '0'] = process.argv.slice(2);
const root = resolve(folder);

function locate(pathname) {
  if (pathname === '/model.gguf') return process.env.MANTISSA_MODEL;
  const path = join(root, normalize(pathname));
  const found = [path, join(path, 'index.html')];
  return found.find((p) => p.startsWith(root + sep) && existsSync(p) && statSync(p).isFile());
}

// What a request names, or nothing where it is no address.
function pathOf(request) {
  try {
    return decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
  } catch {
    return '';
  }
}

const server = createServer((request, response) => {
  const name = pathOf(request);
  const path = locate(name);
  // A folder's page has addresses relative to the folder.
  if (path?.endsWith('index.html') && !/(\/|index\.html)$/.test(name)) {
    return void response.writeHead(301, { Location: `${name}/` }).end();
  }
  if (!path) return void response.writeHead(404).end('there is no such page');
  const { size } = statSync(path);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range && range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  if (start > end) return void response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
  response.writeHead(range ? 206 : 200, {
    'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
    'Content-Length': end - start + 1,
    'Accept-Ranges': 'bytes',
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${size}` } : {}),
  });
  if (request.method === 'HEAD') return void response.end();
  createReadStream(path, { start, end }).pipe(response);
});

// Another program may have the port: then any that is free.
server.once('error', (error) => {
  if (error.code !== 'EADDRINUSE') throw error;
  server.listen(0, '127.0.0.1');
});
server.on('listening', () => {
  const query = process.env.MANTISSA_MODEL ? '?model=/model.gguf' : '';
  console.log(`http://localhost:${server.address().port}/${query}`);
});
server.listen(Number(port), '127.0.0.1');
