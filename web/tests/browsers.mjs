/**
 * Two real browsers behind one small page: Chromium through Playwright, Firefox through Puppeteer
 * (WebDriver BiDi). Elements are found by role and name, as a person or a screen reader does, and
 * input is real input.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

/** The browsers that the tests run in. */
export const BROWSERS = ['chromium', 'firefox'];

const WAIT = 30_000;

const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const FIREFOX_PREFS = {
  'dom.webgpu.enabled': true,
  'dom.webgpu.workers.enabled': true,
  'gfx.webgpu.ignore-blocklist': true,
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'toolkit.telemetry.enabled': false,
};

function program(variable, names) {
  const found = [process.env[variable], ...names].find((path) => path && existsSync(path));
  if (!found) throw new Error(`no ${names[0]}; install it, or set ${variable}`);
  return found;
}

/** Starts `chromium` or `firefox`, headless, with WebGPU on a software driver. */
export async function launch(name) {
  if (name === 'chromium') return launchChromium();
  if (name === 'firefox') return launchFirefox();
  throw new Error(`no browser is called ${name}`);
}

async function launchChromium() {
  const executablePath = program('CHROMIUM', ['/usr/bin/chromium', '/usr/bin/google-chrome']);
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGS });
  return {
    name: 'chromium',
    async page({ width = 1280, height = 860, scheme = 'light', init } = {}) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: scheme,
        permissions: ['clipboard-read', 'clipboard-write'],
      });
      if (init) await context.addInitScript(init);
      return new ChromiumPage(await context.newPage(), () => context.close());
    },
    close: () => browser.close(),
  };
}

async function launchFirefox() {
  const executablePath = program('FIREFOX', ['/usr/bin/firefox-esr', '/usr/bin/firefox']);
  const start = (scheme) =>
    puppeteer.launch({
      browser: 'firefox',
      executablePath,
      headless: true,
      // A busy machine takes long to start it.
      timeout: 180_000,
      protocolTimeout: 600_000,
      env: { ...process.env, MOZ_DISABLE_GPU_SANDBOX: '1' },
      // Firefox has no call that sets the colour scheme of a page.
      extraPrefsFirefox: {
        ...FIREFOX_PREFS,
        'layout.css.prefers-color-scheme.content-override': scheme === 'dark' ? 0 : 1,
      },
    });
  const running = new Map();
  return {
    name: 'firefox',
    async page({ width = 1280, height = 860, scheme = 'light', init } = {}) {
      if (!running.has(scheme)) running.set(scheme, await start(scheme));
      const context = await running.get(scheme).createBrowserContext();
      const page = await context.newPage();
      await page.setViewport({ width, height });
      if (init) await page.evaluateOnNewDocument(init);
      return new FirefoxPage(page, () => context.close());
    },
    async close() {
      for (const browser of running.values()) await browser.close();
    },
  };
}

/** What both pages do in the same way. */
class Page {
  constructor(inner, close) {
    this.inner = inner;
    this.closeContext = close;
    /** Errors that nobody caught, and what the page wrote as errors. */
    this.errors = [];
    /** Addresses that were asked for. */
    this.requests = [];
    inner.on('pageerror', (error) => this.errors.push(`${error.stack ?? error}`));
    inner.on('console', (m) => m.type() === 'error' && this.errors.push(m.text()));
    inner.on('request', (request) => this.requests.push(request.url()));
  }

  close() {
    return this.closeContext();
  }

  /** The value of `f(argument)` in the page. */
  evaluate(f, argument) {
    return this.inner.evaluate(f, argument);
  }

  /** Waits until `f(argument)` is truthy in the page. */
  async until(f, argument, { timeout = WAIT, what = String(f) } = {}) {
    const end = Date.now() + timeout;
    while (!(await this.evaluate(f, argument))) {
      if (Date.now() > end) throw new Error(`after ${timeout} ms still not: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async reload() {
    await this.inner.reload();
  }

  press(key) {
    return this.inner.keyboard.press(key);
  }

  type(text) {
    return this.inner.keyboard.type(text);
  }

  /** The whole page's text. */
  content() {
    return this.evaluate(() => document.body.innerText);
  }

  /** Waits until the page's text holds `text` (or matches a pattern). */
  async see(text, options = {}) {
    const pattern = text instanceof RegExp;
    await this.until(
      ({ source, flags, pattern }) => {
        const shown = document.body.innerText;
        return pattern ? new RegExp(source, flags).test(shown) : shown.includes(source);
      },
      { source: pattern ? text.source : text, flags: pattern ? text.flags : '', pattern },
      { what: `the page shows ${text}`, ...options },
    );
  }

  /** The role and the name of the element that has the focus, as far as attributes say them. */
  focused() {
    return this.evaluate(() => {
      const e = document.activeElement;
      const label = e.labels?.[0]?.innerText ?? e.innerText;
      return { tag: e.tagName.toLowerCase(), id: e.id, name: (e.ariaLabel ?? label ?? '').trim() };
    });
  }

  async screenshot(path) {
    await mkdir(dirname(path), { recursive: true });
    await this.inner.screenshot({ path });
  }
}

class ChromiumPage extends Page {
  async goto(url) {
    await this.inner.goto(url, { waitUntil: 'load' });
  }

  find(role, name) {
    return this.inner.getByRole(role, { name, exact: typeof name === 'string' }).first();
  }

  click(role, name) {
    return this.find(role, name).click({ timeout: WAIT });
  }

  fill(role, name, text) {
    return this.find(role, name).fill(text, { timeout: WAIT });
  }

  choose(role, name, value) {
    return this.find(role, name).selectOption(value, { timeout: WAIT });
  }

  /** Whether there is such an element now. */
  async has(role, name) {
    return (await this.find(role, name).count()) > 0;
  }

  async text(role, name) {
    return this.find(role, name).innerText({ timeout: WAIT });
  }

  /** Waits for an element of this role and name. */
  async wait(role, name, { timeout = WAIT } = {}) {
    await this.find(role, name).waitFor({ timeout });
  }

  async focus(role, name) {
    await this.find(role, name).focus({ timeout: WAIT });
  }

  async upload(selector, path) {
    await this.inner.setInputFiles(selector, path);
  }

  paste() {
    return this.press('Control+V');
  }

  /** Drags a file over the page, and drops it after `over()`. */
  async drop(path, over) {
    const session = await this.inner.context().newCDPSession(this.inner);
    const data = { items: [], files: [path], dragOperationsMask: 1 };
    const send = (type) => session.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    await send('dragEnter');
    await send('dragOver');
    await over?.();
    await send('drop');
    await session.detach();
  }
}

class FirefoxPage extends Page {
  async goto(url) {
    // Another page of the same path differs in the hash only, which is no load.
    const hashOnly = this.inner.url().split('#')[0] === url.split('#')[0];
    if (hashOnly) await this.evaluate((to) => void (location.href = to), url);
    else await this.inner.goto(url, { waitUntil: 'load' });
  }

  async handles(role, name) {
    const wanted = { role, name: name?.source ?? name ?? null, pattern: name instanceof RegExp };
    const all = await this.inner.$$(`::-p-aria([role="${role}"])`);
    const found = [];
    for (const handle of all) {
      if (await handle.evaluate(named, wanted)) found.push(handle);
    }
    return found;
  }

  async find(role, name, timeout = WAIT) {
    const end = Date.now() + timeout;
    for (;;) {
      const [handle] = await this.handles(role, name).catch(gone);
      if (handle) return handle;
      if (Date.now() > end) throw new Error(`after ${timeout} ms there is no ${role} "${name}"`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async click(role, name) {
    await (await this.find(role, name)).click();
  }

  async fill(role, name, text) {
    const handle = await this.find(role, name);
    await handle.focus();
    const { length } = await handle.evaluate((e) => e.value);
    // Selecting all does nothing in a number's field here.
    await this.press('End');
    for (let i = 0; i < length; i += 1) await this.press('Backspace');
    await this.type(text);
  }

  async choose(role, name, value) {
    await (await this.find(role, name)).select(value);
  }

  async has(role, name) {
    return (await this.handles(role, name)).length > 0;
  }

  async text(role, name) {
    return (await this.find(role, name)).evaluate((e) => e.innerText);
  }

  async wait(role, name, { timeout = WAIT } = {}) {
    await this.find(role, name, timeout);
  }

  async focus(role, name) {
    await (await this.find(role, name)).focus();
  }

  async upload(selector, path) {
    await (await this.inner.$(selector)).uploadFile(path);
  }

  async paste() {
    await this.inner.keyboard.down('Control');
    await this.press('v');
    await this.inner.keyboard.up('Control');
  }

  /** As in Chromium, by events of ours: WebDriver BiDi drags no files. */
  async drop(path, over) {
    const file = { name: basename(path), bytes: (await readFile(path)).toString('base64') };
    const send = (type) =>
      this.evaluate(
        ({ type, name, bytes }) => {
          const dataTransfer = new DataTransfer();
          const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
          dataTransfer.items.add(new File([content], name));
          const how = { dataTransfer, bubbles: true, cancelable: true };
          document.elementFromPoint(300, 300).dispatchEvent(new DragEvent(type, how));
        },
        { type, ...file },
      );
    await send('dragenter');
    await send('dragover');
    await over?.();
    await send('drop');
  }
}

/** Between two documents, what was found in the first is no more; there is nothing yet, then. */
function gone(error) {
  if (/no such (handle|node|frame)|destroyed|discarded/i.test(error.message)) return [];
  throw error;
}

/** In the page: whether an element is visible and has this name. */
function named(element, { name, pattern }) {
  if (!element.checkVisibility?.({ checkVisibilityCSS: true })) return false;
  if (name === null) return true;
  const by = element.getAttribute('aria-labelledby');
  const own =
    element.getAttribute('aria-label') ??
    (by && by.split(' ').map((id) => document.getElementById(id)?.innerText ?? '').join(' ')) ??
    element.labels?.[0]?.textContent ??
    element.textContent ??
    '';
  const text = own.replace(/\s+/g, ' ').trim();
  return pattern ? new RegExp(name, 'i').test(text) : text === name;
}
